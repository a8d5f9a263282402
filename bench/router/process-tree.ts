import { readdirSync, readFileSync } from 'node:fs'

const PAGE_BYTES = 4096

/** A process and all its descendants, by id; empty when it is gone. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const parent = parentOf(pid)
    if (parent === undefined) continue
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [pid])
    else siblings.push(pid)
  }
  if (parentOf(root) === undefined) return []
  const tree = [root]
  for (const pid of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

function parentOf(pid: number): number | undefined {
  const stat = readQuietly(`/proc/${pid}/stat`)
  // The name in parentheses may hold spaces: fields are counted from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return stat === '' || fields[0] === 'Z' ? undefined : Number(fields[1])
}

/**
 * User and system time of these processes so far, all threads, in nanoseconds: the scheduler's
 * own sum, of which utime + stime is the same rounded to 10 ms.
 */
export function cpuTimeNs(pids: readonly number[]): number {
  let sum = 0
  for (const pid of pids) {
    for (const thread of listQuietly(`/proc/${pid}/task`)) {
      sum += Number(readQuietly(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0])
    }
  }
  return sum
}

/** Resident memory of these processes together. */
export function residentBytes(pids: readonly number[]): number {
  let pages = 0
  for (const pid of pids) pages += Number(readQuietly(`/proc/${pid}/statm`).split(' ')[1] ?? 0)
  return pages * PAGE_BYTES
}

function readQuietly(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

function listQuietly(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
