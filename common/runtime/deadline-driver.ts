import type { MonotonicMs } from '../net/units.ts'
import type { Clock } from './clock.ts'

/** Wakes a machine at the deadline it asks for: the one place that calls `setTimeout`. */
export interface DeadlineDriver {
  /** Reads `nextDeadline` anew; to be called after every step of the machine. */
  rearm(): void
  /** Wakes no more; `rearm` then does nothing. */
  stop(): void
}

export interface DeadlineDriverComponents {
  readonly clock: Clock
  /** When the machine wants to be woken; undefined: not at all. */
  readonly nextDeadline: () => MonotonicMs | undefined
  /**
   * The deadline has come (never early); `lateMs` is how long ago it was due: the event loop's own
   * lateness, 0 or more. The driver rearms itself afterwards.
   */
  readonly onDeadline: (lateMs: number) => void
}

/** A driver that sleeps until `nextDeadline` says otherwise; it keeps the process alive meanwhile. */
export function createDeadlineDriver(components: DeadlineDriverComponents): DeadlineDriver {
  const { clock, nextDeadline, onDeadline } = components
  let timer: NodeJS.Timeout | undefined
  let armedFor: MonotonicMs | undefined
  let isStopped = false

  function disarm(): void {
    clearTimeout(timer)
    timer = undefined
    armedFor = undefined
  }

  function rearm(): void {
    if (isStopped) return
    const deadline = nextDeadline()
    if (deadline === armedFor) return
    disarm()
    if (deadline === undefined) return
    const waitMs = Math.min(LONGEST_MS, Math.max(0, Math.ceil(deadline - clock.now())))
    armedFor = deadline
    timer = setTimeout(fire, waitMs, deadline)
  }

  function fire(deadline: MonotonicMs): void {
    disarm()
    const lateMs = clock.now() - deadline
    // Node's timers may fire a fraction of a millisecond early, and a long sleep is cut in pieces.
    if (lateMs >= 0) onDeadline(lateMs)
    rearm()
  }

  return {
    rearm,
    stop() {
      isStopped = true
      disarm()
    },
  }
}

/** `setTimeout` takes a longer wait for no wait at all. */
const LONGEST_MS = 2 ** 31 - 1
