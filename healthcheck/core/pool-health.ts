import type { Pool, PoolServer } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { HealthChange, HealthState, Verdict } from '../../common/model/health.ts'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { CALM, holdDownMs, recordOutage } from './flap-damper.ts'
import type { FlapHistory } from './flap-damper.ts'
import { combine } from './server-health.ts'
import type { NamedHealth, RawVerdict } from './server-health.ts'

/** The time of a step on both clocks: monotonic for decisions, wall for what people read. */
export interface Moment {
  readonly now: MonotonicMs
  readonly wallMs: number
}

/** One server of one pool. Mutable: only this file and the health machine write it. */
export interface ServerHealth {
  config: PoolServer
  pool: PoolHealth
  /** Its checks, as the health machine last judged them. */
  probes: readonly {
    readonly check: string
    readonly key: string
    readonly source: ProbeSource
  }[]
  verdict: Verdict
  raw: RawVerdict
  flaps: FlapHistory
  upSince: MonotonicMs
  /** Damped: when it may come back; undefined while its checks don't pass, or it is not damped. */
  heldUntil: MonotonicMs | undefined
  /** It went down doubtfully: when, and what it was before, should it prove to be our own fault. */
  doubtfulOutage: DoubtfulOutage | undefined
}

interface ProbeSource {
  readonly health: NamedHealth['health']
  /** The prober's own trouble: the last verdict stands though nothing new is known. */
  readonly voidReason: string | undefined
}

interface DoubtfulOutage {
  readonly at: MonotonicMs
  readonly sinceMs: number
  readonly flaps: FlapHistory
  readonly upSince: MonotonicMs
  readonly factor: number
}

export interface PoolHealth {
  config: Pool
  servers: ServerHealth[]
  /** Those with a `heldUntil`. */
  readonly held: Set<ServerHealth>
  /** Two of its longest check intervals: outages so near to each other are one event. */
  windowMs: number
  /** The prober suspects itself until then. */
  panicUntil: MonotonicMs | undefined
  /** It did so for as long as it may; no panic again before the pool has recovered. */
  isPanicSpent: boolean
}

/** What settling had to tell. */
export interface Findings {
  readonly changes: HealthChange[]
  readonly events: EdgeEvent[]
}

const FEWEST_TO_PANIC = 4

/** A server that nothing is known of yet; in a pool without checks it is up from the first settle. */
export function newServer(pool: PoolHealth, config: PoolServer, moment: Moment): ServerHealth {
  const verdict: Verdict = {
    pool: pool.config.name,
    server: config.name,
    state: 'unknown',
    factor: 0,
    reason: 'not checked yet',
    sinceMs: moment.wallMs,
    clearsSuspicion: false,
    held: 'no',
    outageCount: 0,
    boot: undefined,
    cache: undefined,
  }
  return {
    config,
    pool,
    probes: [],
    verdict,
    raw: combine([], config.weight),
    flaps: CALM,
    upSince: moment.now,
    heldUntil: undefined,
    doubtfulOutage: undefined,
  }
}

/** Takes in what the server's checks say now, and what follows for its pool. */
export function settle(server: ServerHealth, moment: Moment, findings: Findings): void {
  const { pool } = server
  const healths = server.probes.map(({ check, source }) => ({ check, health: source.health }))
  server.raw = combine(healths, server.config.weight)
  if (pool.panicUntil === undefined && wouldPanic(server, moment))
    startPanic(pool, moment, findings)
  settleServer(server, moment, findings)
  if (pool.panicUntil !== undefined || pool.isPanicSpent) reviewPanic(pool, moment, findings)
  releaseIfNoneUp(pool, moment, findings)
}

/** To be called when a pool's `panicUntil` or a server's `heldUntil` has come. */
export function settlePool(pool: PoolHealth, moment: Moment, findings: Findings): void {
  for (const server of pool.servers) settleServer(server, moment, findings)
  reviewPanic(pool, moment, findings)
  releaseIfNoneUp(pool, moment, findings)
}

/** The earliest time at which a pool's verdicts may change with no new result. */
export function nextPoolDeadline(pool: PoolHealth): MonotonicMs | undefined {
  let earliest = pool.panicUntil
  for (const { heldUntil } of pool.held) {
    if (heldUntil !== undefined && (earliest === undefined || heldUntil < earliest)) {
      earliest = heldUntil
    }
  }
  return earliest
}

function settleServer(server: ServerHealth, moment: Moment, findings: Findings): void {
  const { raw } = server
  switch (raw.state) {
    case 'unknown':
      // A verdict from before a reload stands until the new checks have one.
      if (server.verdict.state === 'unknown')
        publish(server, { reason: raw.reason }, moment, findings)
      return
    case 'up':
      settleUp(server, moment, findings)
      return
    case 'down':
      settleDown(server, moment, findings)
      return
  }
}

function settleUp(server: ServerHealth, moment: Moment, findings: Findings): void {
  const { raw, verdict } = server
  server.doubtfulOutage = undefined
  const voidReason = server.probes.find((p) => p.source.voidReason !== undefined)?.source.voidReason
  const news = {
    state: 'up' as const,
    factor: raw.factor,
    reason:
      voidReason === undefined ? raw.reason : `kept, the prober suspects itself: ${voidReason}`,
    held: voidReason === undefined ? ('no' as const) : ('panic' as const),
    ...identity(raw, verdict),
  }
  if (verdict.state === 'down') {
    const holdMs = holdDownMs(server.flaps)
    if (holdMs > 0 && isHeldDown(server, holdMs, moment, findings)) return
  }
  setHeld(server, undefined)
  if (verdict.state !== 'up') server.upSince = moment.now
  publish(server, news, moment, findings)
}

/** Damped: is it still to be kept down? The first time, the hold-down begins and is told. */
function isHeldDown(
  server: ServerHealth,
  holdMs: number,
  moment: Moment,
  findings: Findings,
): boolean {
  if (server.heldUntil === undefined) {
    setHeld(server, monotonicMs(moment.now + holdMs))
    const reason = `kept down for ${seconds(holdMs)}, as it went down again and again: ${server.raw.reason}`
    tell(findings, moment, 'server held down', server, 'down', 'down', reason)
    publish(server, { reason, held: 'flapping' }, moment, findings)
  }
  return server.heldUntil !== undefined && moment.now < server.heldUntil
}

/** A hold-down begins, or ends, or must be stood through anew. */
export function setHeld(server: ServerHealth, until: MonotonicMs | undefined): void {
  server.heldUntil = until
  if (until === undefined) server.pool.held.delete(server)
  else server.pool.held.add(server)
}

function settleDown(server: ServerHealth, moment: Moment, findings: Findings): void {
  const { raw, verdict, pool } = server
  setHeld(server, undefined)
  const known = identity(raw, verdict)
  if (verdict.state === 'up' && raw.isDoubtful && pool.panicUntil !== undefined) {
    const reason = `kept, the prober suspects itself: ${raw.reason}`
    publish(server, { reason, held: 'panic', ...known }, moment, findings)
    return
  }
  const down = { state: 'down' as const, factor: 0, reason: raw.reason, held: 'no' as const }
  if (verdict.state !== 'up') {
    if (!raw.isDoubtful) server.doubtfulOutage = undefined
    publish(server, { ...down, ...known }, moment, findings)
    return
  }
  const { flaps, upSince } = server
  server.doubtfulOutage = raw.isDoubtful
    ? { at: moment.now, sinceMs: verdict.sinceMs, flaps, upSince, factor: verdict.factor }
    : undefined
  server.flaps = recordOutage(flaps, upSince, moment.now)
  const outageCount = verdict.outageCount + 1
  publish(server, { ...down, ...known, outageCount }, moment, findings)
}

/** About to go down doubtfully, with more of its pool than the threshold allows? */
function wouldPanic(server: ServerHealth, moment: Moment): boolean {
  const { pool, raw, verdict } = server
  if (raw.state !== 'down' || !raw.isDoubtful || verdict.state !== 'up') return false
  if (pool.isPanicSpent || pool.servers.length < FEWEST_TO_PANIC) return false
  return isOverThreshold(pool, moment)
}

function isOverThreshold(pool: PoolHealth, moment: Moment): boolean {
  return doubtfulCount(pool, moment) > (pool.config.panicThresholdPct / 100) * pool.servers.length
}

/** Servers that are failing, or have just gone down, by what could be the prober's own fault. */
function doubtfulCount(pool: PoolHealth, moment: Moment): number {
  let count = 0
  for (const server of pool.servers) {
    if (!server.raw.isDoubtful) continue
    if (server.verdict.state === 'up' || isRecentlyOut(server, moment)) count += 1
  }
  return count
}

function isRecentlyOut(server: ServerHealth, moment: Moment): boolean {
  const outage = server.doubtfulOutage
  return outage !== undefined && moment.now - outage.at <= server.pool.windowMs
}

function startPanic(pool: PoolHealth, moment: Moment, findings: Findings): void {
  const count = doubtfulCount(pool, moment)
  pool.panicUntil = monotonicMs(moment.now + pool.config.panicForMs)
  findings.events.push({
    atMs: moment.wallMs,
    event: 'prober suspects itself',
    subject: pool.config.name,
    from: undefined,
    to: undefined,
    reason:
      `${count} of ${pool.servers.length} servers fail at once by timeouts: ` +
      `their last verdicts are kept for at most ${seconds(pool.config.panicForMs)}`,
  })
  for (const server of pool.servers) {
    const outage = server.doubtfulOutage
    if (server.verdict.state !== 'down' || outage === undefined) continue
    if (!server.raw.isDoubtful || !isRecentlyOut(server, moment)) continue
    server.doubtfulOutage = undefined
    server.flaps = outage.flaps
    server.upSince = outage.upSince
    const reason = `kept, the prober suspects itself: ${server.raw.reason}`
    const outageCount = server.verdict.outageCount - 1
    const { factor, sinceMs } = outage
    const news = { state: 'up' as const, factor, reason, held: 'panic' as const, outageCount }
    publish(server, news, moment, findings, sinceMs)
  }
}

/** Ends the panic when its time is over or too few servers still fail to speak for it. */
function reviewPanic(pool: PoolHealth, moment: Moment, findings: Findings): void {
  const isOver = isOverThreshold(pool, moment)
  if (pool.panicUntil === undefined) {
    pool.isPanicSpent &&= isOver
    return
  }
  const isTimeUp = moment.now >= pool.panicUntil
  if (isOver && !isTimeUp) return
  pool.panicUntil = undefined
  pool.isPanicSpent = isTimeUp && isOver
  const reason = isTimeUp
    ? `the servers still fail after ${seconds(pool.config.panicForMs)}: the checks are believed`
    : 'the servers answer again, or too few fail to doubt the checks'
  findings.events.push({
    atMs: moment.wallMs,
    event: 'prober trusts itself again',
    subject: pool.config.name,
    from: undefined,
    to: undefined,
    reason,
  })
  for (const server of pool.servers) settleServer(server, moment, findings)
}

/** Damping never leaves a pool with no server: one that passes is better than none. */
function releaseIfNoneUp(pool: PoolHealth, moment: Moment, findings: Findings): void {
  if (pool.servers.some((server) => server.verdict.state === 'up')) return
  for (const server of pool.held) {
    setHeld(server, moment.now)
    settleServer(server, moment, findings)
  }
}

function identity(raw: RawVerdict, verdict: Verdict): Pick<Verdict, 'boot' | 'cache'> {
  return { boot: raw.boot ?? verdict.boot, cache: raw.cache ?? verdict.cache }
}

function publish(
  server: ServerHealth,
  news: Partial<Verdict>,
  moment: Moment,
  findings: Findings,
  sinceMs: number = moment.wallMs,
): void {
  const before = server.verdict
  const changed = { ...before, ...news }
  const isNewState = changed.state !== before.state
  const verdict = isNewState ? { ...changed, sinceMs } : changed
  server.verdict = verdict
  if (isNewState) {
    tell(
      findings,
      moment,
      `server ${verdict.state}`,
      server,
      before.state,
      verdict.state,
      verdict.reason,
    )
  }
  const isNews =
    isNewState ||
    verdict.factor !== before.factor ||
    verdict.held !== before.held ||
    verdict.boot !== before.boot ||
    verdict.cache !== before.cache
  if (isNews) findings.changes.push({ before: before.state, verdict })
}

function tell(
  findings: Findings,
  moment: Moment,
  event: string,
  server: ServerHealth,
  from: HealthState,
  to: HealthState,
  reason: string,
): void {
  const subject = `${server.pool.config.name}/${server.config.name}`
  findings.events.push({ atMs: moment.wallMs, event, subject, from, to, reason })
}

const seconds = (ms: number): string => `${ms / 1000} s`
