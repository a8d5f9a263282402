import type { HealthState, Verdict } from '../../common/model/health.ts'
import { NOTHING_TOLD } from './outcome.ts'
import type { Outcome, Told } from './outcome.ts'

/** The part of a check's configuration that rise and fall need. */
export interface ProbeTiming {
  readonly intervalMs: number
  readonly fastIntervalMs: number
  readonly downIntervalMs: number
  readonly fall: number
  readonly rise: number
  /** 0 to 100; shortens only. */
  readonly jitterPct: number
}

/** What one check makes of its server so far. */
export interface ProbeHealth {
  readonly state: HealthState
  /** Results in a row that speak against `state`; below `fall` or `rise`. */
  readonly streak: number
  /** The last result. */
  readonly reason: string
  /** Whose fault the last failure can be; meaningless while the last result is good. */
  readonly blame: 'server' | 'doubtful' | 'none'
  readonly told: Told
}

/** Before the first result, where nothing is known of the server. */
export const FRESH: ProbeHealth = {
  state: 'unknown',
  streak: 0,
  reason: 'not checked yet',
  blame: 'none',
  told: NOTHING_TOLD,
}

/**
 * Before the first result of a server whose verdict is known (from before a reload or a restart):
 * only good news is taken over; what was down comes back as a new one does. One that is kept
 * although its checks fail is in doubt until a check passes.
 */
export function assumedHealth(verdict: Verdict): ProbeHealth {
  if (verdict.state !== 'up') return FRESH
  const { factor, boot, cache } = verdict
  const told: Told = { factor, weight: undefined, boot, cache }
  const known = { ...FRESH, state: 'up', reason: 'not checked since', told } as const
  return verdict.held === 'panic' ? { ...known, streak: 1, blame: 'doubtful' } : known
}

/**
 * One result counted: `fall` failures in a row (one, when the server says so itself) take an up
 * server down, `rise` good ones bring it up. What is not up yet needs one failure to be down.
 */
export function judge(health: ProbeHealth, outcome: Outcome, timing: ProbeTiming): ProbeHealth {
  const { reason } = outcome
  if (outcome.result === 'passed') {
    // An identity that is not told now proves nothing: a box may have been exchanged.
    const { factor, weight, boot, cache } = outcome
    const told: Told = { factor, weight, boot, cache }
    if (health.state === 'up') return { state: 'up', streak: 0, reason, blame: 'none', told }
    const streak = health.blame === 'none' ? health.streak + 1 : 1
    const isUp = streak >= timing.rise
    return isUp
      ? { state: 'up', streak: 0, reason, blame: 'none', told }
      : { state: health.state, streak, reason, blame: 'none', told }
  }
  const blame = outcome.blame === 'server' ? 'server' : 'doubtful'
  // What a failing server can carry is no news, who it is may be.
  const told: Told = {
    ...health.told,
    boot: outcome.boot ?? health.told.boot,
    cache: outcome.cache ?? health.told.cache,
  }
  if (health.state !== 'up') return { state: 'down', streak: 0, reason, blame, told }
  const streak = health.streak + 1
  return outcome.isExplicit || streak >= timing.fall
    ? { state: 'down', streak: 0, reason, blame, told }
    : { state: 'up', streak, reason, blame, told }
}

/** From this run's start to the next one's, before jitter. */
export function intervalMs(health: ProbeHealth, timing: ProbeTiming): number {
  if (health.streak > 0) return timing.fastIntervalMs
  return health.state === 'down' ? timing.downIntervalMs : timing.intervalMs
}
