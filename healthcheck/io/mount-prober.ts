import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { MountConfig } from '../../common/config/config.ts'
import { failedReport } from '../core/mount-report.ts'
import type { MountReport } from '../core/mount-report.ts'
import type { LookMessage, ReportMessage } from './mount-process.ts'

/** Looks at one mount, in a process of its own that may hang with the disk. */
export interface MountProber {
  /** One at a time: `done` comes when the disk answers, which may be never. */
  look(run: number, mount: MountConfig, done: (report: MountReport) => void): void
  /** Lets the process go; one that hangs ends when its disk lets it. */
  stop(): void
}

/** Remembers over restarts which process looks at a mount: it may hang, and can't be killed then. */
export interface ProcessNotes {
  readJson(name: string): unknown
  writeJson(name: string, value: unknown): void
}

const ENTRY = new URL('./mount-process.ts', import.meta.url)

export function createMountProber(path: string, notes: ProcessNotes): MountProber {
  const note = `mount-${createHash('sha256').update(path).digest('hex').slice(0, 12)}.json`
  let child: ChildProcess | undefined
  let isStopped = false
  /** Of an earlier life of this service. */
  let former = readNote(notes.readJson(note))
  let waiting: { run: number; done: (report: MountReport) => void } | undefined

  function finish(run: number, report: MountReport): void {
    if (waiting?.run !== run) return
    const { done } = waiting
    waiting = undefined
    done(report)
  }

  function started(): ChildProcess {
    const process = fork(ENTRY, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    process.on('message', (message: ReportMessage) => {
      finish(message.run, message.report)
    })
    process.on('error', (error) => {
      fail(`cannot be run: ${error.message}`)
    })
    process.on('exit', (code, signal) => {
      if (child === process) child = undefined
      fail(`ended with ${signal ?? `exit code ${code}`}`)
    })
    // Neither the process nor its channel keeps the service from ending.
    process.unref()
    process.channel?.unref()
    keepNote(process.pid)
    return process
  }

  function fail(how: string): void {
    if (waiting === undefined) return
    const message = `the process that looks at it ${how}`
    finish(waiting.run, failedReport({ step: 'process', code: '', message }))
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
    look(run, mount, done) {
      waiting = { run, done }
      if (former !== undefined && startTicksOf(former.pid) === former.startTicks) {
        const message = `process ${former.pid} of an earlier run still waits for its disk`
        const report = failedReport({ step: 'process', code: '', message })
        setImmediate(() => {
          finish(run, report)
        })
        return
      }
      former = undefined
      child ??= started()
      const order: LookMessage = { run, mount }
      child.send(order, (error) => {
        if (error !== null && !isStopped) fail(`cannot be told: ${error.message}`)
      })
    },
    stop() {
      isStopped = true
      waiting = undefined
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
