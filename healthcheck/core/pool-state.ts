import type { Pool, PoolServer } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { HealthChange, Verdict } from '../../common/model/health.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { partInWords } from './blame.ts'
import { CALM } from './flap-damper.ts'
import type { FlapHistory } from './flap-damper.ts'
import type { ProbeHealth } from './probe-health.ts'
import type { SavedVerdict } from './saved-verdicts.ts'
import { combine } from './server-health.ts'
import type { RawVerdict } from './server-health.ts'
import { newWeightDamping } from './weight-damper.ts'
import type { WeightDamping } from './weight-damper.ts'

/** The time of a step on both clocks: monotonic for decisions, wall for what people read. */
export interface Moment {
  readonly now: MonotonicMs
  readonly wallMs: number
}

/** One server of one pool. Mutable: written by the health machine and the pool's own files only. */
export interface ServerRecord {
  config: PoolServer
  /** The weight in force: the configured one, unless an operator changed it; 0 while drained. */
  weight: number
  pool: PoolRecord
  checks: readonly ServerCheck[]
  /** What its checks say, before damping and panic. */
  raw: RawVerdict
  /** What is told of it. */
  verdict: Verdict
  flaps: FlapHistory
  upSince: MonotonicMs
  readonly weightDamping: WeightDamping
  /** The `cache` that it told while it was last up. */
  upCache: string | undefined
  /** When its verdict was last confirmed by the checks that it had before the present ones. */
  confirmedMs: number
  /** Damped: when it may come back; undefined while its checks don't pass, or it is not damped. */
  heldUntil: MonotonicMs | undefined
  /** Let up though damped, as its pool was short: until when it would have been kept down. */
  earlyUntil: MonotonicMs | undefined
  /** It went down doubtfully, and what it was before, should that prove to be our own fault. */
  doubtfulOutage: DoubtfulOutage | undefined
}

/** One check of a server: its name, its probe's key, and the probe's present health. */
export interface ServerCheck {
  readonly check: string
  readonly key: string
  readonly source: {
    readonly target: {
      readonly check: { readonly intervalMs: number; readonly downIntervalMs: number }
    }
    readonly health: ProbeHealth
    /** When (wall clock) a result last was, or confirmed, what `health` says. */
    readonly confirmedMs: number | undefined
    /** The prober's own trouble: the last verdict stands though nothing new is known. */
    readonly voidReason: string | undefined
  }
}

export interface DoubtfulOutage {
  readonly at: MonotonicMs
  readonly sinceMs: number
  readonly flaps: FlapHistory
  readonly upSince: MonotonicMs
  readonly factor: number
}

/** One pool. Mutable, as its servers. */
export interface PoolRecord {
  config: Pool
  servers: ServerRecord[]
  /** Those with a `heldUntil`. */
  readonly held: Set<ServerRecord>
  /** Those told to be up whose checks fail by what could be the prober's own fault. */
  readonly doubtfulUp: Set<ServerRecord>
  /** Those with a `doubtfulOutage`, the oldest first. */
  readonly doubtfulOut: Set<ServerRecord>
  /** Two of its longest check intervals: outages so near to each other are one event. */
  windowMs: number
  /** The prober suspects itself until then. */
  panicUntil: MonotonicMs | undefined
  /** Too few fail by now: those that do have until then to answer, too. */
  easeUntil: MonotonicMs | undefined
  /** It did so for as long as it may; no panic again before the pool has recovered. */
  isPanicSpent: boolean
}

/** What a step has to tell, in order. */
export interface Findings {
  readonly changes: HealthChange[]
  readonly events: EdgeEvent[]
}

export function newPool(config: Pool): PoolRecord {
  return {
    config,
    servers: [],
    held: new Set(),
    doubtfulUp: new Set(),
    doubtfulOut: new Set(),
    windowMs: 0,
    panicUntil: undefined,
    easeUntil: undefined,
    isPanicSpent: false,
  }
}

/** A server that nothing is known of, or only what was known before a restart. */
export function newServer(
  pool: PoolRecord,
  config: PoolServer,
  saved: SavedVerdict | undefined,
  moment: Moment,
): ServerRecord {
  const verdict: Verdict = {
    pool: pool.config.name,
    server: config.name,
    state: saved?.state ?? 'unknown',
    factor: saved?.factor ?? 0,
    reason: saved === undefined ? 'not checked yet' : reasonBefore(saved),
    sinceMs: saved?.sinceMs ?? moment.wallMs,
    clearsSuspicion: false,
    held: saved?.keptUntilMs === undefined ? 'no' : 'panic',
    outageCount: saved?.outageCount ?? 0,
    returned: saved?.returned ?? 'no',
    boot: saved?.boot,
    cache: saved?.cache,
  }
  return {
    config,
    weight: config.weight,
    pool,
    checks: [],
    verdict,
    raw: combine([], config.weight),
    flaps: CALM,
    upSince: moment.now,
    weightDamping: newWeightDamping(moment.now),
    upCache: saved?.upCache,
    confirmedMs: saved?.confirmedMs ?? moment.wallMs,
    heldUntil: undefined,
    earlyUntil: undefined,
    doubtfulOutage: undefined,
  }
}

/** Said once, however many restarts it outlives. */
const reasonBefore = ({ reason }: SavedVerdict): string =>
  reason.endsWith(BEFORE) ? reason : `${reason}${BEFORE}`

const BEFORE = ' (before the restart)'

/** When (wall clock) the last of the server's checks confirmed its verdict; now, if it has none. */
export function confirmedMs(server: ServerRecord, wallMs: number): number {
  const each = server.checks.map(({ source }) => source.confirmedMs ?? server.confirmedMs)
  return Math.min(wallMs, ...each)
}

/** A hold-down begins, or ends, or must be stood through anew. */
export function setHeld(server: ServerRecord, until: MonotonicMs | undefined): void {
  server.heldUntil = until
  if (until === undefined) server.pool.held.delete(server)
  else server.pool.held.add(server)
}

export function setDoubtfulOutage(server: ServerRecord, outage: DoubtfulOutage | undefined): void {
  server.doubtfulOutage = outage
  server.pool.doubtfulOut.delete(server)
  if (outage !== undefined) server.pool.doubtfulOut.add(server)
}

/** Keeps the pool's sets in step with the server; after every change of `raw` or `verdict`. */
export function classify(server: ServerRecord): void {
  const { pool, raw, verdict } = server
  if (raw.isDoubtful && verdict.state === 'up') pool.doubtfulUp.add(server)
  else pool.doubtfulUp.delete(server)
}

/** Tells `news` of the server; a change only where something beside the reason has changed. */
export function publish(
  server: ServerRecord,
  news: Partial<Verdict>,
  moment: Moment,
  findings: Findings,
): void {
  const before = server.verdict
  const changed = { ...before, ...news }
  const isNewState = changed.state !== before.state
  const sinceMs = news.sinceMs ?? (isNewState ? moment.wallMs : before.sinceMs)
  const verdict = { ...changed, sinceMs }
  server.verdict = verdict
  if (isNewState) {
    const { state, reason } = verdict
    tellServer(
      server,
      { event: `server ${state}`, from: before.state, to: state, reason },
      moment,
      findings,
    )
  }
  if (!isNewState && verdict.factor !== before.factor) {
    const [from, to] = [partInWords(before.factor), partInWords(verdict.factor)]
    const reason = `${to} of its weight instead of ${from}: ${verdict.reason}`
    tellServer(server, { event: 'server weight', from, to, reason }, moment, findings)
  }
  const isNews =
    isNewState ||
    verdict.factor !== before.factor ||
    verdict.held !== before.held ||
    verdict.boot !== before.boot ||
    verdict.cache !== before.cache
  if (isNews) findings.changes.push({ before: before.state, verdict })
}

export function tellServer(
  server: ServerRecord,
  told: { event: string; from: string; to: string; reason: string },
  moment: Moment,
  findings: Findings,
): void {
  const subject = `${server.pool.config.name}/${server.config.name}`
  findings.events.push({ atMs: moment.wallMs, subject, ...told })
}

/** An event of the whole pool. */
export function tellPool(
  pool: PoolRecord,
  event: string,
  reason: string,
  moment: Moment,
  findings: Findings,
): void {
  const subject = pool.config.name
  findings.events.push({
    atMs: moment.wallMs,
    event,
    subject,
    from: undefined,
    to: undefined,
    reason,
  })
}
