import { execFile } from 'node:child_process'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { promisify } from 'node:util'
import { readProcessOwner, readProcessStat } from './process-stat.ts'
import { MARK_PATTERN } from './script-mark.ts'

/** Kills scripts with all that they have started, also what has left their process group. */
export interface ScriptKiller {
  /**
   * Kills the group of `leader` and its descendants at once; soon after, whatever else has `mark`
   * in its environment: what no longer has a parent among them.
   */
  kill(leader: number, mark: string): void
  /** Kills so what services that are gone have left running, of scripts that have not ended. */
  killLeftOver(): Promise<void>
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

  function kill(leader: number, mark: string): void {
    const descendants = descendantsOf(leader)
    killProcess(-leader)
    for (const pid of descendants) killProcess(pid)
    marks.add(mark)
    if (!isSearching) void search()
  }

  return {
    kill,
    async killLeftOver() {
      for (const { pid, mark } of await leftOverScripts()) kill(pid, mark)
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

async function markedProcesses(marks: readonly string[]): Promise<number[]> {
  const patterns = marks.flatMap((mark) => ['-e', mark])
  const files = await searchEnvironments(['-lszxF', ...patterns])
  return Array.from(files.matchAll(/^\/proc\/(\d+)\//gm), ([, pid]) => Number(pid))
}

interface LeftOver {
  readonly pid: number
  readonly mark: string
}

async function leftOverScripts(): Promise<LeftOver[]> {
  const found = await searchEnvironments(['-HaszxE', '-e', MARK_PATTERN])
  return found.split('\0').flatMap((line) => {
    const [, pid, mark = '', servicePid, startTicks] = FOUND_MARK.exec(line) ?? []
    if (mark === '' || isThere(Number(servicePid), Number(startTicks))) return []
    return isScript(Number(pid)) ? [{ pid: Number(pid), mark }] : []
  })
}

function isThere(servicePid: number, startTicks: number): boolean {
  const service = readProcessStat(servicePid)
  if (service !== undefined) return service.startTicks === startTicks
  try {
    return process.kill(servicePid, 0)
  } catch (error) {
    // Where `/proc` hides the processes of others (hidepid), EPERM tells that it is there.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/**
 * Not so a daemon that a script has put into a session of its own, if its output goes elsewhere: it
 * is meant to stay. In a container services have other numbers, and may well be there.
 */
function isScript(pid: number): boolean {
  if (readProcessStat(pid)?.sessionId !== pid) return false
  if (readProcessOwner(pid)?.isOfThisNamespace !== true) return false
  try {
    return readlinkSync(`/proc/${pid}/fd/1`).startsWith('socket:')
  } catch {
    return false
  }
}

/**
 * What grep says of all environments. A process of its own reads them, as one who asks for those of
 * a process that hangs in the kernel may hang with it.
 */
async function searchEnvironments(args: readonly string[]): Promise<string> {
  try {
    const files = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => `/proc/${pid}/environ`)
    const { stdout } = await run('grep', [...args, '--', ...files], {
      timeout: LONGEST_SEARCH_MS,
      killSignal: 'SIGKILL',
    })
    return stdout
  } catch (error) {
    // Also the usual end: nothing was found, or some have ended meanwhile. Or no descriptor is left.
    return (error as { stdout?: string }).stdout ?? ''
  }
}

const FOUND_MARK = new RegExp(`^/proc/(\\d+)/environ:(${MARK_PATTERN})$`)

const run = promisify(execFile)

const LONGEST_SEARCH_MS = 5000
/** One that forks faster than it is killed is left alone at last. */
const MOST_ROUNDS = 5
/** A script that forks without end does not hold its prober up. */
const MOST_DESCENDANTS = 1000
