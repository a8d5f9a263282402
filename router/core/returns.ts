import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { Verdict } from '../../common/model/health.ts'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import type { KeptReturn, KeptReturns } from './kept-returns.ts'
import { overrideKey } from './overrides.ts'

/** The caches that are coming back, by `pool/server`: for how many milliseconds they have been. */
export type Returning = Readonly<Record<string, number>>

/** A pool, as far as the return of its caches goes. */
export interface ReturnPool {
  readonly pool: string
  /** The groups that have their caches from it and want them back in steps. */
  readonly ramps: readonly { readonly group: string; readonly rampUpMs: number }[]
  /** With the weights in force. */
  readonly servers: readonly {
    readonly name: string
    readonly weight: number
    readonly isDrained: boolean
  }[]
}

/** A return under way, as an operator is shown it. */
export interface ReturnView {
  /** The least that any group has back of it, 0 to 1. */
  readonly share: number
  /** For how long it has been coming back. */
  readonly elapsedMs: number
  /** Until all of its users are back, everywhere. */
  readonly leftMs: number
  /** Why not at once, in words. */
  readonly reason: string
}

interface Moment {
  readonly now: MonotonicMs
  readonly wallMs: number
}

/** One cache; all of it changes but `pool` and `name`. */
interface Comer {
  readonly pool: string
  readonly name: string
  state: Verdict['state']
  factor: number
  reason: string
  /** It is to come back, from this far on: it is drained, or has not been looked at yet. */
  waitingFromMs: number | undefined
  startedAt: MonotonicMs | undefined
  /** `startedAt` by the wall clock, for a restart. */
  begunMs: number
  /** When it gets its next slots. */
  nextAt: MonotonicMs
  /** How far a return had come when it was broken off. */
  unfinishedMs: number | undefined
}

/**
 * The share of its slots, above 0, that a cache has back `elapsedMs` after its return (undefined:
 * it is not returning). It grows in equal steps, at most 100, at least 100 ms apart; the first
 * slots are back at once, the last ones when the time is over.
 */
export function returnShare(rampUpMs: number, elapsedMs: number | undefined): number {
  if (elapsedMs === undefined || elapsedMs >= rampUpMs) return 1
  const steps = stepCount(rampUpMs)
  return (stepOf(rampUpMs, elapsedMs) + 1) / steps
}

/**
 * Which caches come back in steps, and how far they are. The one place that decides it is the
 * router's primary: its workers are told how long a cache has been coming back and all derive the
 * same share from that. Mutable; each method returns what is to be told.
 *
 * 1. A cache comes back in steps where its verdict goes from down to up and nothing says that it
 *    kept its content; with the same content an unfinished return goes on where it was broken off.
 * 2. Time is the verdict's, by the monotonic clock; over a restart, by the wall clock. What was kept
 *    goes on with a verdict that was kept; a first verdict, kept or new, begins nothing.
 * 3. While those that are wholly up carry less than half of the pool's weight, a returning cache is
 *    needed more than it is cold: it comes back at once. What is unknown counts as up here.
 * 4. A drained cache's return begins when it is undrained.
 */
export class Returns {
  readonly #comers = new Map<string, Comer>()
  #pools = new Map<string, ReturnPool>()

  /** `kept` by a former life, up to now. */
  constructor(kept: KeptReturns, wallMs: number) {
    for (const [key, one] of Object.entries(kept)) {
      const [pool = '', server = ''] = key.split('/')
      const comer = this.#comerOf({ pool, server })
      if (one.state === 'brokenOff') comer.unfinishedMs = one.reachedMs
      else if (one.state === 'owed') comer.waitingFromMs = one.reachedMs
      else comer.waitingFromMs = Math.max(0, wallMs - one.begunMs)
    }
  }

  /** What a next life is to be made of. Its text is the same while nothing begins or ends. */
  kept(): KeptReturns {
    return Object.fromEntries(
      [...this.#comers].flatMap(([key, comer]) => {
        const kept = keptOf(comer)
        return kept === undefined ? [] : [[key, kept]]
      }),
    )
  }

  /**
   * Another configuration or other overrides; what is under way goes on by the new times, from the
   * share that it has.
   */
  configure(pools: readonly ReturnPool[], moment: Moment): EdgeEvent[] {
    for (const pool of pools) this.#stretch(pool, moment)
    this.#pools = new Map(pools.map((pool) => [pool.pool, pool]))
    const known = new Set(pools.flatMap((pool) => pool.servers.map((s) => keyOf(pool, s.name))))
    for (const key of this.#comers.keys()) if (!known.has(key)) this.#comers.delete(key)
    return pools.flatMap((pool) => this.#settle(pool, moment))
  }

  /** Verdicts, new ones or known ones again. */
  take(verdicts: readonly Verdict[], moment: Moment): EdgeEvent[] {
    const events: EdgeEvent[] = []
    const touched = new Set<string>()
    for (const verdict of verdicts) {
      const pool = this.#pools.get(verdict.pool)
      if (pool === undefined) continue
      touched.add(verdict.pool)
      const comer = this.#comerOf(verdict)
      const { state: before } = comer
      comer.state = verdict.state
      comer.factor = verdict.factor
      if (verdict.state !== 'up') events.push(...breakOff(comer, pool, verdict.reason, moment))
      else if (before !== 'up') events.push(...comeUp(comer, pool, before, verdict, moment))
    }
    for (const name of touched) events.push(...this.#settle(this.#pools.get(name)!, moment))
    return events
  }

  /** To be called when `nextDeadline` has come: shares have grown. */
  tick(moment: Moment): EdgeEvent[] {
    return [...this.#pools.values()].flatMap((pool) => this.#settle(pool, moment))
  }

  /** When a share grows next, or a return ends. */
  nextDeadline(): MonotonicMs | undefined {
    let earliest: MonotonicMs | undefined
    for (const { startedAt, nextAt } of this.#comers.values())
      if (startedAt !== undefined && (earliest === undefined || nextAt < earliest))
        earliest = nextAt
    return earliest
  }

  /** All that workers need to know. */
  returning(now: MonotonicMs): Returning {
    const returning: Record<string, number> = {}
    for (const [key, { startedAt }] of this.#comers)
      if (startedAt !== undefined) returning[key] = now - startedAt
    return returning
  }

  /** A cache's return; undefined: it is not returning. */
  view(pool: string, server: string, now: MonotonicMs): ReturnView | undefined {
    const comer = this.#comers.get(overrideKey(pool, server))
    const place = this.#pools.get(pool)
    if (comer?.startedAt === undefined || place === undefined) return undefined
    const elapsedMs = now - comer.startedAt
    const longestMs = longest(place)
    const share = returnShare(longestMs, elapsedMs)
    return {
      share,
      elapsedMs,
      leftMs: Math.max(0, longestMs - elapsedMs),
      reason: comer.reason,
    }
  }

  #stretch(pool: ReturnPool, { now, wallMs }: Moment): void {
    const before = this.#pools.get(pool.pool)
    // What is kept stays the same text, to the millisecond, where no time has changed.
    if (before === undefined || !haveOtherTimes(before, pool)) return
    for (const { name } of pool.servers) {
      const comer = this.#comers.get(keyOf(pool, name))
      if (comer === undefined) continue
      const { startedAt, waitingFromMs, unfinishedMs } = comer
      if (startedAt !== undefined) {
        const reachedMs = stretched(now - startedAt, before, pool)
        comer.startedAt = monotonicMs(now - reachedMs)
        comer.begunMs = Math.round(wallMs - reachedMs)
      }
      if (waitingFromMs !== undefined) comer.waitingFromMs = stretched(waitingFromMs, before, pool)
      if (unfinishedMs !== undefined) comer.unfinishedMs = stretched(unfinishedMs, before, pool)
    }
  }

  #comerOf({ pool, server }: Pick<Verdict, 'pool' | 'server'>): Comer {
    const key = overrideKey(pool, server)
    let comer = this.#comers.get(key)
    if (comer === undefined) {
      comer = {
        pool,
        name: server,
        state: 'unknown',
        factor: 0,
        reason: '',
        waitingFromMs: undefined,
        startedAt: undefined,
        begunMs: 0,
        nextAt: monotonicMs(0),
        unfinishedMs: undefined,
      }
      this.#comers.set(key, comer)
    }
    return comer
  }

  /** Begins, goes on with and ends what the pool's standing asks for. */
  #settle(pool: ReturnPool, moment: Moment): EdgeEvent[] {
    const events: EdgeEvent[] = []
    const longestMs = longest(pool)
    /** As the prober has it: of those that are up what they can take, of the others all. */
    let wholeWeight = 0
    let carried = 0
    const coming: { readonly comer: Comer; readonly weight: number }[] = []
    for (const { name, weight, isDrained } of pool.servers) {
      const comer = this.#comers.get(keyOf(pool, name))
      if (!isDrained) wholeWeight += weight * (comer?.state === 'up' ? comer.factor : 1)
      if (isDrained) {
        if (comer?.startedAt !== undefined) {
          const why = 'it was drained, and begins anew when that is taken back'
          events.push(...breakOff(comer, pool, why, moment))
          comer.waitingFromMs = 0
        }
      } else if (comer === undefined || comer.state === 'unknown') carried += weight
      else if (comer.startedAt === undefined && comer.waitingFromMs === undefined)
        carried += weight * comer.factor
      else coming.push({ comer, weight: weight * comer.factor })
    }
    coming.sort((a, b) => (a.comer.startedAt ?? Infinity) - (b.comer.startedAt ?? Infinity))
    for (const { comer, weight } of coming) {
      const elapsedMs =
        comer.startedAt === undefined ? comer.waitingFromMs! : moment.now - comer.startedAt
      const isOver = elapsedMs + TOLERANCE_MS >= longestMs
      if (isOver || carried * 2 < wholeWeight) {
        events.push(...end(comer, longestMs, isOver, moment))
        carried += weight
        continue
      }
      if (comer.startedAt === undefined) events.push(begin(comer, pool, elapsedMs, moment))
      comer.nextAt = monotonicMs(comer.startedAt! + nextStepMs(pool, elapsedMs))
    }
    return events
  }
}

/** It is up, after it was not, or for the first time: does it come back in steps? */
function comeUp(
  comer: Comer,
  pool: ReturnPool,
  before: Verdict['state'],
  { returned, sinceMs, cache }: Verdict,
  moment: Moment,
): EdgeEvent[] {
  // Nothing waits for a cache that was not up, but what a former life left.
  const { waitingFromMs: keptMs, unfinishedMs } = comer
  const owedMs = keptMs ?? unfinishedMs
  comer.waitingFromMs = undefined
  comer.unfinishedMs = undefined
  if (returned === 'cold') {
    comer.reason =
      cache === undefined
        ? 'its checks told no identity of what it holds'
        : `its cache ${cache} is not known to be the one of before`
    // A restart can't tell one that is over from one that was not kept: only what was kept goes on.
    comer.waitingFromMs = before === 'down' ? Math.max(0, moment.wallMs - sinceMs) : keptMs
  } else if (returned === 'same' && owedMs !== undefined) {
    comer.reason = 'it went down before all of its users were back'
    comer.waitingFromMs = owedMs
  } else if (returned === 'same' && before === 'down' && pool.ramps.length > 0) {
    const reason = `it is the cache that it was (${cache ?? ''}): all of its users are back at once`
    return [tell(comer, 'return skipped', reason, moment)]
  }
  return []
}

function keptOf({
  startedAt,
  begunMs,
  waitingFromMs,
  unfinishedMs,
}: Comer): KeptReturn | undefined {
  if (startedAt !== undefined) return { state: 'underWay', begunMs }
  if (waitingFromMs !== undefined) return { state: 'owed', reachedMs: waitingFromMs }
  return unfinishedMs === undefined ? undefined : { state: 'brokenOff', reachedMs: unfinishedMs }
}

function begin(comer: Comer, pool: ReturnPool, elapsedMs: number, moment: Moment): EdgeEvent {
  comer.startedAt = monotonicMs(moment.now - elapsedMs)
  comer.begunMs = Math.round(moment.wallMs - elapsedMs)
  comer.waitingFromMs = undefined
  comer.unfinishedMs = undefined
  const spans = pool.ramps.map(({ group, rampUpMs }) => `${rampUpMs / 1000} s in ${group}`)
  const begun = elapsedMs < 1000 ? '' : `, ${Math.round(elapsedMs / 1000)} s of them over`
  const reason = `its users come back over ${spans.join(', ')}${begun}: ${comer.reason}`
  return tell(comer, 'return begun', reason, moment)
}

/** All is back; one that never began is told only where it could have. */
function end(comer: Comer, longestMs: number, isOver: boolean, moment: Moment): EdgeEvent[] {
  const wasUnderWay = comer.startedAt !== undefined
  comer.startedAt = undefined
  comer.waitingFromMs = undefined
  comer.unfinishedMs = undefined
  if (isOver)
    return wasUnderWay ? [tell(comer, 'return finished', 'all of its users are back', moment)] : []
  if (longestMs === 0) return []
  const reason =
    'the caches that are wholly up carry less than half of the pool: all of its users are back at once'
  return [tell(comer, wasUnderWay ? 'return finished' : 'return skipped', reason, moment)]
}

function breakOff(comer: Comer, pool: ReturnPool, why: string, moment: Moment): EdgeEvent[] {
  const { startedAt, waitingFromMs } = comer
  if (startedAt === undefined && waitingFromMs === undefined) return []
  const reachedMs = startedAt === undefined ? waitingFromMs : moment.now - startedAt
  comer.unfinishedMs = reachedMs
  comer.startedAt = undefined
  comer.waitingFromMs = undefined
  if (startedAt === undefined) return []
  const pct = Math.floor(100 * returnShare(longest(pool), reachedMs))
  return [tell(comer, 'return broken off', `with ${pct} % of its users back: ${why}`, moment)]
}

function tell(comer: Comer, event: string, reason: string, { wallMs }: Moment): EdgeEvent {
  const subject = overrideKey(comer.pool, comer.name)
  return { atMs: wallMs, event, subject, from: undefined, to: undefined, reason }
}

const haveOtherTimes = (before: ReturnPool, after: ReturnPool): boolean =>
  after.ramps.some(({ group, rampUpMs }) =>
    before.ramps.some((ramp) => ramp.group === group && ramp.rampUpMs !== rampUpMs),
  )

/** The time by the groups' new spans at which none of them has less back than it had. */
function stretched(reachedMs: number, before: ReturnPool, after: ReturnPool): number {
  const reached = after.ramps.flatMap(({ group, rampUpMs }) => {
    const was = before.ramps.find((ramp) => ramp.group === group)
    if (was === undefined) return []
    return was.rampUpMs === rampUpMs ? reachedMs : rampUpMs * Math.min(1, reachedMs / was.rampUpMs)
  })
  return reached.length === 0 ? reachedMs : Math.max(...reached)
}

const keyOf = ({ pool }: ReturnPool, server: string): string => overrideKey(pool, server)

const longest = ({ ramps }: ReturnPool): number =>
  Math.max(0, ...ramps.map(({ rampUpMs }) => rampUpMs))

const stepCount = (rampUpMs: number): number =>
  Math.min(MOST_STEPS, 1 + Math.floor(rampUpMs / LEAST_STEP_MS))

/** From 0; a deadline that is met exactly counts as over, whatever the fractions do. */
const stepOf = (rampUpMs: number, elapsedMs: number): number =>
  Math.floor((elapsedMs * (stepCount(rampUpMs) - 1)) / rampUpMs + ROUNDING)

/** So long after its beginning the next of the groups' shares grows. */
function nextStepMs({ ramps }: ReturnPool, elapsedMs: number): number {
  const steps = ramps
    .filter(({ rampUpMs }) => elapsedMs < rampUpMs)
    .map(({ rampUpMs }) => {
      const steps = stepCount(rampUpMs)
      return steps === 1 ? rampUpMs : ((stepOf(rampUpMs, elapsedMs) + 1) * rampUpMs) / (steps - 1)
    })
  return Math.min(...steps)
}

const MOST_STEPS = 100
const LEAST_STEP_MS = 100
const ROUNDING = 1e-6
/** A deadline that is met is over. */
const TOLERANCE_MS = 1e-3
