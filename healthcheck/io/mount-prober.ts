import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { MountConfig } from '../../common/config/config.ts'
import type { MountReport } from '../core/mount-report.ts'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import type { Clock } from '../../common/runtime/clock.ts'
import { createDeadlineDriver } from '../../common/runtime/deadline-driver.ts'
import { findFormerLooker, isStillThere, lookerTitle } from './former-looker.ts'
import type { ProcessStat } from './process-stat.ts'
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
export interface MountProberComponents {
  readonly clock: Clock
  readonly onReady: () => void
  readonly onReport: (run: number, report: MountReport) => void
  /** The process has ended, or there is none, and why. */
  readonly onGone: (how: string) => void
  /** There is none, as a former one still waits for the mount's disk: `onUnblocked` follows. */
  readonly onBlocked: (how: string) => void
  /** The former one has ended: another `start` may make the process. */
  readonly onUnblocked: () => void
}

const ENTRY = new URL('./mount-process.ts', import.meta.url)

export function createMountProber(path: string, components: MountProberComponents): MountProber {
  const { clock, onReady, onReport, onGone, onBlocked, onUnblocked } = components
  let child: ChildProcess | undefined
  let former: ProcessStat | undefined
  let watchAt: MonotonicMs | undefined
  let isStopped = false
  const driver = createDeadlineDriver({ clock, nextDeadline: () => watchAt, onDeadline: watch })

  function started(): ChildProcess {
    const looker = fork(ENTRY, [lookerTitle(path, process.pid)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    looker.on('message', (message: ProcessMessage) => {
      if (isStopped || child !== looker) return
      if (message === 'ready') onReady()
      else onReport(message.run, message.report)
    })
    looker.on('error', (error) => {
      lose(looker, `cannot be run: ${error.message}`)
    })
    looker.on('exit', (code, signal) => {
      lose(looker, `ended with ${signal ?? `exit code ${code}`}`)
    })
    // Neither the process nor its channel keeps the service from ending.
    looker.unref()
    looker.channel?.unref()
    return looker
  }

  function lose(process: ChildProcess | undefined, how: string): void {
    if (isStopped || child !== process) return
    child = undefined
    onGone(`the process that looks at it ${how}`)
  }

  function watch(): void {
    watchAt = undefined
    if (former === undefined) return
    if (isStillThere(former)) {
      watchAt = monotonicMs(clock.now() + WATCH_MS)
      return
    }
    former = undefined
    onUnblocked()
  }

  return {
    start() {
      former = findFormerLooker(path)
      if (former === undefined) {
        try {
          child = started()
        } catch (error) {
          // A few reasons why there is no process are events; Node throws the others.
          setImmediate(lose, undefined, `cannot be run: ${(error as Error).message}`)
        }
        return
      }
      const how = `process ${former.pid} still waits for its disk, since before the last start or reload`
      setImmediate(() => {
        if (isStopped) return
        onBlocked(how)
        watch()
        driver.rearm()
      })
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
      driver.stop()
      if (child?.connected === true) child.disconnect()
    },
  }
}

/** Reading a process's state costs some microseconds. */
const WATCH_MS = 100
