import { readFileSync } from 'node:fs'

/** A process as `/proc` tells it; one that got its number later has another start. */
export interface ProcessStat {
  readonly pid: number
  /** The first 15 bytes of it, in latin1. */
  readonly name: string
  readonly sessionId: number
  /** After the box's boot, in clock ticks. */
  readonly startTicks: number
}

/** What only `/proc/PID/status` tells, as its reader sees it. */
export interface ProcessOwner {
  readonly parentPid: number
  /** Real, effective, saved and file system user. */
  readonly uids: readonly number[]
  /** In the pid namespace of the reader's `/proc` itself, not in one below it (a container's). */
  readonly isOfThisNamespace: boolean
}

/*
 * Neither waits for a process that hangs in the kernel, as who asks for its command line or its
 * environment may.
 */

/** Nothing of a process that has ended, if only its parent has not heard yet. */
export function readProcessStat(which: number | 'self'): ProcessStat | undefined {
  const stat = read(`/proc/${which}/stat`)
  // A name may hold any byte, also the parenthesis that ends it.
  const end = stat.lastIndexOf(')')
  const fields = stat.slice(end + 2).split(' ')
  if (end < 0 || fields[0] === 'Z' || fields[0] === 'X') return undefined
  const name = stat.slice(stat.indexOf('(') + 1, end)
  const pid = Number.parseInt(stat, 10)
  return { pid, name, sessionId: Number(fields[3]), startTicks: Number(fields[19]) }
}

export function readProcessOwner(pid: number): ProcessOwner | undefined {
  const status = read(`/proc/${pid}/status`)
  const numbersOf = (key: string): number[] =>
    (new RegExp(`^${key}:\t(.*)$`, 'm').exec(status)?.[1] ?? '').split('\t').map(Number)
  if (status === '') return undefined
  const [parentPid = 0] = numbersOf('PPid')
  return { parentPid, uids: numbersOf('Uid'), isOfThisNamespace: numbersOf('NSpid').length === 1 }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
