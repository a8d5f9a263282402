import { accessSync, constants, lstatSync, readFileSync, readlinkSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'

/** The user that a script runs as. */
export interface ScriptUser {
  readonly uid: number
  readonly gid: number
}

/**
 * Why this program must not be run, in words; undefined: it may. Whoever can write the file, or put
 * another one in its place, could run what they like with the prober's rights.
 */
export function scriptRefusal(program: string): string | undefined {
  if (!isAbsolute(program)) return `${program} is no absolute path`
  try {
    const risk = riskOnTheWay(program)
    if (risk !== undefined) return `${program} is refused as ${risk}`
    accessSync(program, constants.X_OK)
    return undefined
  } catch (error) {
    const { code = 'ERROR' } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? `${program} does not exist` : `${program} cannot be run: ${code}`
  }
}

/** Looks at every directory and link that the kernel goes through, as the path is written, and the file. */
function riskOnTheWay(program: string): string | undefined {
  const names = namesOf(program)
  let linkCount = 0
  for (let place = '/'; ;) {
    const stats = lstatSync(place)
    const isLink = stats.isSymbolicLink()
    const what = isLink
      ? `its link ${place}`
      : stats.isDirectory()
        ? `its directory ${place}`
        : 'its file'
    const risk = riskOf(stats)
    if (risk !== undefined) return `${what} ${risk}`
    if (isLink) {
      linkCount += 1
      // In a circle: the kernel has its own word for it.
      if (linkCount > MOST_LINKS) return undefined
      const target = readlinkSync(place)
      names.unshift(...namesOf(target))
      place = isAbsolute(target) ? '/' : dirname(place)
    }
    const name = names.shift()
    if (name === undefined) return undefined
    place = join(place, name)
  }
}

function riskOf(stats: Stats): string | undefined {
  const { mode, uid, gid } = stats
  if (uid !== 0 && uid !== process.geteuid?.()) return `belongs to another user (uid ${uid})`
  // What a link's mode says means nothing; in a sticky directory others can't touch what is not theirs.
  if (stats.isSymbolicLink() || (stats.isDirectory() && (mode & 0o1000) !== 0)) return undefined
  const isLoose = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !isOwnGroup(gid))
  return isLoose ? 'is writable by others' : undefined
}

const namesOf = (path: string): string[] => path.split('/').filter((name) => name !== '')

/** Looks the user up in /etc/passwd, by name or number; undefined: no such user. */
export function findUser(name: string): ScriptUser | undefined {
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [user, , uid, gid] = line.split(':')
    if (user === name || uid === name) return { uid: Number(uid), gid: Number(gid) }
  }
  return undefined
}

function isOwnGroup(gid: number): boolean {
  return gid === 0 || gid === process.getegid?.()
}

/** No path has more, for the kernel either. */
const MOST_LINKS = 40
