import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'

/**
 * The title of the process that looks at the mount at `path` for the service `parentPid`. The
 * kernel keeps its first 15 bytes as the process's name (proc_pid_comm(5)): they tell the mount and
 * the service, so that a later service finds one that hangs without anything written to a disk. The
 * path behind them is for who reads `ps`.
 */
export function lookerTitle(path: string, parentPid: number): string {
  return `${namePrefix(path)}${parentPid.toString(36)} ${path}`
}

/**
 * The process that looks at this mount for no service any more, as its disk does not let it go. Those
 * of another service that is still there are not meant.
 *
 * Asks for nothing but `/proc/PID/stat`, as who asks for the command line of a process that hangs
 * may hang with it.
 */
export function findFormerLooker(path: string): number | undefined {
  const prefix = namePrefix(path)
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const pid = Number(entry)
    const stat = readStat(pid)
    if (stat?.name.startsWith(prefix) !== true || !isTrusted(pid)) continue
    const namedParent = parseInt(stat.name.slice(prefix.length), 36)
    const isServed = stat.parentPid === namedParent && namedParent !== process.pid
    if (!isServed) return pid
  }
  return undefined
}

const namePrefix = (path: string): string =>
  `pe${createHash('sha256').update(path).digest('hex').slice(0, 7)}-`

/** Another user could give a process any name, and so keep a mount from being looked at. */
function isTrusted(pid: number): boolean {
  try {
    const { uid } = statSync(`/proc/${pid}`)
    return uid === 0 || uid === process.geteuid?.()
  } catch {
    return false
  }
}

/** Nothing of a process that has ended, if only its parent has not heard yet. */
function readStat(pid: number) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // A name may hold any byte, also the parenthesis that ends it.
    const end = stat.lastIndexOf(')')
    const [state, parentPid] = stat.slice(end + 2).split(' ', 2)
    if (state === 'Z' || state === 'X') return undefined
    return { name: stat.slice(stat.indexOf('(') + 1, end), parentPid: Number(parentPid) }
  } catch {
    return undefined
  }
}
