import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { MountConfig } from '../../common/config/config.ts'
import type { MountReport } from '../core/mount-report.ts'
import type { LookMessage, ProcessMessage } from './mount-process.ts'

/** Looks at one mount, in a process of its own that may hang with the disk. */
export interface MountProber {
  /** Makes the process: `onReady`, `onGone` or `onBlocked` follows, with a disk that hangs perhaps never. */
  start(): void
  /** One at a time, of a process that is ready: `onReport` comes when the disk answers, if it does. */
  look(run: number, mount: MountConfig): void
  /** Lets the process go; one that hangs ends when its disk lets it. Nothing is told afterwards. */
  stop(): void
}

/** Nothing is told within a call. */
export interface MountProberListener {
  readonly onReady: () => void
  readonly onReport: (run: number, report: MountReport) => void
  /** The process has ended, or there is none, and why. */
  readonly onGone: (how: string) => void
  /** There is none, as one of an earlier life still waits for the mount's disk. */
  readonly onBlocked: (how: string) => void
}

/** Remembers over restarts which process looks at a mount: it may hang, and can't be killed then. */
export interface ProcessNotes {
  readJson(name: string): unknown
  writeJson(name: string, value: unknown): void
}

const ENTRY = new URL('./mount-process.ts', import.meta.url)

export function createMountProber(
  path: string,
  notes: ProcessNotes,
  { onReady, onReport, onGone, onBlocked }: MountProberListener,
): MountProber {
  const note = `mount-${createHash('sha256').update(path).digest('hex').slice(0, 12)}.json`
  let child: ChildProcess | undefined
  let isStopped = false
  /** Of an earlier life of this service. */
  let former = readNote(notes.readJson(note))

  function started(): ChildProcess {
    const process = fork(ENTRY, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    process.on('message', (message: ProcessMessage) => {
      if (isStopped || child !== process) return
      if (message === 'ready') onReady()
      else onReport(message.run, message.report)
    })
    process.on('error', (error) => {
      lose(process, `cannot be run: ${error.message}`)
    })
    process.on('exit', (code, signal) => {
      lose(process, `ended with ${signal ?? `exit code ${code}`}`)
    })
    // Neither the process nor its channel keeps the service from ending.
    process.unref()
    process.channel?.unref()
    keepNote(process.pid)
    return process
  }

  function lose(process: ChildProcess | undefined, how: string): void {
    if (isStopped || child !== process) return
    child = undefined
    onGone(`the process that looks at it ${how}`)
  }

  function keepNote(pid: number | undefined): void {
    const startTicks = pid === undefined ? undefined : startTicksOf(pid)
    if (pid === undefined || startTicks === undefined) return
    try {
      notes.writeJson(note, { path, pid, startTicks })
    } catch {
      // Without a note only a restart in the middle of a hang makes a second process.
    }
  }

  return {
    start() {
      if (former !== undefined && startTicksOf(former.pid) === former.startTicks) {
        const how = `process ${former.pid} of an earlier run still waits for its disk`
        setImmediate(() => {
          if (!isStopped) onBlocked(how)
        })
        return
      }
      former = undefined
      child = started()
    },
    look(run, mount) {
      const process = child
      const order: LookMessage = { run, mount }
      process?.send(order, (error) => {
        if (error !== null) lose(process, `cannot be told: ${error.message}`)
      })
    },
    stop() {
      isStopped = true
      if (child?.connected === true) child.disconnect()
    },
  }
}

/** When a process began, in the kernel's ticks: tells it from a later one with its number. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const isGone = fields[0] === 'Z' || fields[0] === 'X'
    return isGone ? undefined : fields[19]
  } catch {
    return undefined
  }
}

function readNote(value: unknown): { pid: number; startTicks: string } | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { pid, startTicks } = value as Record<string, unknown>
  if (typeof pid !== 'number' || typeof startTicks !== 'string') return undefined
  return { pid, startTicks }
}
