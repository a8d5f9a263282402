import { monotonicMs } from '../net/units.ts'
import type { MonotonicMs } from '../net/units.ts'

/** Where a shell takes the time from; a pure core gets it as an argument. */
export interface Clock {
  /** For spans and deadlines; never goes back. */
  now(): MonotonicMs
  /** Milliseconds since 1970, for logs and dates only. */
  wallMs(): number
}

export const systemClock: Clock = {
  now: () => monotonicMs(performance.now()),
  wallMs: () => Date.now(),
}
