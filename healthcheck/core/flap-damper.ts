import type { MonotonicMs } from '../../common/net/units.ts'

/** What damping remembers of a server's outages. */
export interface FlapHistory {
  /** When it went down, those of the last minute, oldest first. */
  readonly outagesAt: readonly MonotonicMs[]
  /** 0: not damped. Each further outage doubles the hold-down. */
  readonly level: number
}

export const CALM: FlapHistory = { outagesAt: [], level: 0 }

/** From the third outage within this span on, a server is held down. */
export const FLAP_WINDOW_MS = 60_000
const OUTAGES_TO_DAMP = 3
const FIRST_HOLD_MS = 10_000
const LONGEST_HOLD_MS = 300_000

/**
 * A server that was up since `upSince` goes down. While damping is on every outage counts, until
 * it once stayed up for the whole window.
 */
export function recordOutage(
  history: FlapHistory,
  upSince: MonotonicMs,
  now: MonotonicMs,
): FlapHistory {
  const level = now - upSince < FLAP_WINDOW_MS ? history.level : 0
  const outagesAt = [...history.outagesAt.filter((at) => now - at < FLAP_WINDOW_MS), now]
  const isDamped = level > 0 || outagesAt.length >= OUTAGES_TO_DAMP
  return { outagesAt: outagesAt.slice(-OUTAGES_TO_DAMP), level: isDamped ? level + 1 : 0 }
}

/** How long its checks must pass without a break before it is up again; 0: at once. */
export function holdDownMs(history: FlapHistory): number {
  if (history.level === 0) return 0
  return Math.min(LONGEST_HOLD_MS, FIRST_HOLD_MS * 2 ** (history.level - 1))
}
