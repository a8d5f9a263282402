import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { readProcessOwner, readProcessStat } from './process-stat.ts'
import type { ProcessStat } from './process-stat.ts'

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
 * The process that looks at this mount for no service any more, as its disk does not let it go. Not
 * meant are those of another service that is still there, be it in a container, nor those of
 * another user, who could give a process any name, and so keep a mount from being looked at.
 */
export function findFormerLooker(path: string): ProcessStat | undefined {
  const prefix = namePrefix(path)
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const stat = readProcessStat(Number(entry))
    if (stat?.name.startsWith(prefix) !== true) continue
    const servicePid = parseInt(stat.name.slice(prefix.length), 36)
    if (isLeftOver(stat.pid, servicePid)) return stat
  }
  return undefined
}

/** Asks only for that one process, so it may be asked often. */
export function isStillThere({ pid, name, startTicks }: ProcessStat): boolean {
  const now = readProcessStat(pid)
  return now?.name === name && now.startTicks === startTicks
}

function isLeftOver(pid: number, servicePid: number): boolean {
  const owner = readProcessOwner(pid)
  if (owner?.isOfThisNamespace !== true) return false
  // All four, as who runs a setuid program has its rights, but names it as he likes.
  if (owner.uids.some((uid) => uid !== process.geteuid?.())) return false
  return owner.parentPid !== servicePid || servicePid === process.pid
}

const namePrefix = (path: string): string =>
  `pe${createHash('sha256').update(path).digest('hex').slice(0, 7)}-`
