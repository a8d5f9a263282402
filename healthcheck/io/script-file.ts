import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, isAbsolute } from 'node:path'

/** The user that a script runs as. */
export interface ScriptUser {
  readonly uid: number
  readonly gid: number
}

/**
 * Why this program must not be run, in words; undefined: it may. Whoever can write the file, or
 * replace it in its directory, could run what they like with the prober's rights.
 */
export function scriptRefusal(program: string): string | undefined {
  if (!isAbsolute(program)) return `${program} is no absolute path`
  try {
    const path = realpathSync(program)
    const { mode, uid, gid } = statSync(path)
    const refused = `${program} is refused as its file is writable by others`
    if ((mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !isOwnGroup(gid))) return refused
    if (uid !== 0 && uid !== process.geteuid?.()) {
      return `${program} is refused as it belongs to another user (uid ${uid})`
    }
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      const { mode: folderMode } = statSync(folder)
      const isSticky = (folderMode & 0o1000) !== 0
      if ((folderMode & 0o002) !== 0 && !isSticky) {
        return `${program} is refused as its directory ${folder} is writable by others`
      }
      if (folder === dirname(folder)) break
    }
    accessSync(path, constants.X_OK)
    return undefined
  } catch (error) {
    const { code = 'ERROR' } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? `${program} does not exist` : `${program} cannot be run: ${code}`
  }
}

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
