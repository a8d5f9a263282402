import { constants, readFileSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { access, lstat, readlink } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { FileQueue, NoAnswer } from '../../common/runtime/file-queue.ts'

/** The user that a script runs as. */
export interface ScriptUser {
  readonly uid: number
  readonly gid: number
}

/**
 * Looks at scripts' files off the event loop. Of disks that hang at most two threads of the pool
 * wait, and a directory that hangs holds up no script of another one for long, as long as it is the
 * only one.
 */
export class ScriptFiles {
  readonly #look: (program: string) => Promise<string | undefined>
  readonly #queues: readonly FileQueue[]
  /** By directory: where it was last looked at, and may hang. Nowhere else it is looked at again. */
  readonly #lastQueue = new Map<string, FileQueue>()

  constructor(look = scriptRefusal) {
    this.#look = look
    this.#queues = [1, 2].map(() => new FileQueue({ answerWithinMs: ANSWER_WITHIN_MS }))
  }

  /** As `scriptRefusal`; rejects with `NoAnswer` where a disk hangs. */
  async refusal(program: string): Promise<string | undefined> {
    const directory = dirname(program)
    const last = this.#lastQueue.get(directory)
    const others = this.#queues.filter((queue) => queue !== last)
    let silence: unknown
    for (const queue of last === undefined ? others : [last, ...others]) {
      this.#lastQueue.set(directory, queue)
      try {
        return await queue.ask(program, this.#look)
      } catch (error) {
        if (!(error instanceof NoAnswer) || dirname(error.file) === directory) throw error
        silence = error
      }
    }
    throw silence
  }
}

/**
 * Why this program must not be run, in words; undefined: it may. Whoever can write the file, or put
 * another one in its place, could run what they like with the prober's rights.
 */
export async function scriptRefusal(program: string): Promise<string | undefined> {
  if (!isAbsolute(program)) return `${program} is no absolute path`
  try {
    const risk = await riskOnTheWay(program)
    if (risk !== undefined) return `${program} is refused as ${risk}`
    await access(program, constants.X_OK)
    return undefined
  } catch (error) {
    const { code = 'ERROR' } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? `${program} does not exist` : `${program} cannot be run: ${code}`
  }
}

/** Looks at every directory and link that the kernel goes through, as the path is written, and the file. */
async function riskOnTheWay(program: string): Promise<string | undefined> {
  const names = namesOf(program)
  let linkCount = 0
  for (let place = '/'; ;) {
    const stats = await lstat(place)
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
      const target = await readlink(place)
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

/** So long the scripts of other directories wait behind a look at a disk that hangs. */
const ANSWER_WITHIN_MS = 500
/** No path has more, for the kernel either. */
const MOST_LINKS = 40
