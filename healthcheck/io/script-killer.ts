import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { promisify } from 'node:util'

/** Kills scripts with all that they have started, also what has left their process group. */
export interface ScriptKiller {
  /**
   * Kills the group of `leader` and its descendants at once; soon after, whatever else has `mark`
   * in its environment: what no longer has a parent among them.
   */
  kill(leader: number, mark: string): void
}

export function createScriptKiller(): ScriptKiller {
  let marks = new Set<string>()
  let isSearching = false

  async function search(): Promise<void> {
    isSearching = true
    while (marks.size > 0) {
      const these = [...marks]
      marks = new Set()
      // Again, as one that was not found yet may have forked meanwhile.
      for (let round = 0; round < MOST_ROUNDS; round += 1) {
        const pids = await markedProcesses(these)
        if (pids.length === 0) break
        for (const pid of pids) killProcess(pid)
      }
    }
    isSearching = false
  }

  return {
    kill(leader, mark) {
      const descendants = descendantsOf(leader)
      killProcess(-leader)
      for (const pid of descendants) killProcess(pid)
      marks.add(mark)
      if (!isSearching) void search()
    },
  }
}

/** SIGKILL; a negative number is a group's. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // ESRCH: gone, which is what was wanted. EPERM: another user's, who may not be killed.
  }
}

function descendantsOf(leader: number): number[] {
  const found = [leader]
  for (const pid of found) {
    if (found.length < MOST_DESCENDANTS) found.push(...childrenOf(pid))
  }
  return found.slice(1)
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1')
      return children.split(' ').filter(Boolean).map(Number)
    })
  } catch {
    return []
  }
}

/**
 * A process of its own reads the environments, as one who asks for those of a process that hangs
 * in the kernel may hang with it.
 */
async function markedProcesses(marks: readonly string[]): Promise<number[]> {
  const files = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `/proc/${pid}/environ`)
  const patterns = marks.flatMap((mark) => ['-e', mark])
  try {
    const args = ['-lszxF', ...patterns, '--', ...files]
    const { stdout } = await run('grep', args, {
      timeout: LONGEST_SEARCH_MS,
      killSignal: 'SIGKILL',
    })
    return pidsIn(stdout)
  } catch (error) {
    // Also the usual end: nothing was found, or some have ended meanwhile.
    return pidsIn((error as { stdout?: string }).stdout ?? '')
  }
}

const pidsIn = (files: string): number[] =>
  Array.from(files.matchAll(/^\/proc\/(\d+)\//gm), ([, pid]) => Number(pid))

const run = promisify(execFile)

const LONGEST_SEARCH_MS = 5000
/** One that forks faster than it is killed is left alone at last. */
const MOST_ROUNDS = 5
/** A script that forks without end does not hold its prober up. */
const MOST_DESCENDANTS = 1000
