import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'

/** How late an event loop has been: at worst, and in sum, in milliseconds. */
export interface Lateness {
  readonly worstMs: number
  readonly totalMs: number
}

/** Measures a prober's own lateness, closely (by beats) while something is under way. */
export interface LatenessMeter {
  /** When it wants to be asked; undefined: not at all. */
  nextBeat(): MonotonicMs | undefined
  /** Something is under way, or nothing any more. */
  watch(isOn: boolean, now: MonotonicMs): void
  /** What was due at `dueAt` is done only now. */
  note(dueAt: MonotonicMs, now: MonotonicMs): void
  /** Until now: also what a beat is overdue by whose timer has yet to fire. */
  read(now: MonotonicMs): Lateness
}

export function createLatenessMeter(): LatenessMeter {
  let beatAt: MonotonicMs | undefined
  /** Lateness before that has been counted. */
  let countedUntil = -Infinity
  let worstMs = 0
  let totalMs = 0

  function note(dueAt: MonotonicMs, now: MonotonicMs): void {
    worstMs = Math.max(worstMs, now - dueAt)
    const lateMs = now - Math.max(dueAt, countedUntil)
    if (lateMs > TOLERATED_MS) totalMs += lateMs
    countedUntil = now
    if (beatAt !== undefined) beatAt = monotonicMs(now + BEAT_MS)
  }

  return {
    nextBeat: () => beatAt,
    watch(isOn, now) {
      beatAt = isOn ? (beatAt ?? monotonicMs(now + BEAT_MS)) : undefined
    },
    note,
    read(now) {
      if (beatAt !== undefined && beatAt < now) note(beatAt, now)
      return { worstMs, totalMs }
    },
  }
}

const BEAT_MS = 50
/** Timers are this exact at best. */
const TOLERATED_MS = 5
