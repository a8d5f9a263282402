import type { Verdict } from '../../common/model/health.ts'
import { earliest, monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { partInWords, spanInWords } from './blame.ts'
import { holdDownMs, recordOutage } from './flap-damper.ts'
import { endPanic, keptReason, startPanic, wouldPanic } from './panic.ts'
import { classify, publish, setDoubtfulOutage, setHeld, tellServer } from './pool-state.ts'
import type { Findings, Moment, PoolRecord, ServerRecord } from './pool-state.ts'
import { combine } from './server-health.ts'
import { dampedFactor, noteGrowth } from './weight-damper.ts'

/** What the server's checks say now, and what follows for it and its pool. */
export function settle(server: ServerRecord, moment: Moment, findings: Findings): void {
  const { pool } = server
  takeIn(server)
  if (wouldPanic(server, moment)) startPanic(pool, moment, findings)
  settleServer(server, moment, findings)
  reviewPool(pool, moment, findings)
}

/** Takes in what the server's checks say now, without a verdict yet. */
export function takeIn(server: ServerRecord): void {
  const healths = server.checks.map(({ check, source }) => ({ check, health: source.health }))
  server.raw = combine(healths, server.config.weight)
  classify(server)
}

/** To be called when `nextPoolDeadline` has come, or weights have changed. */
export function settlePool(pool: PoolRecord, moment: Moment, findings: Findings): void {
  for (const server of [...pool.held]) settleServer(server, moment, findings)
  reviewPool(pool, moment, findings)
}

/** The earliest time at which a pool's verdicts may change with no new result. */
export function nextPoolDeadline(pool: PoolRecord): MonotonicMs | undefined {
  // Easing never goes beyond the panic's own end.
  let soonest = earliest(pool.panicUntil, pool.easeUntil)
  for (const { heldUntil } of pool.held) soonest = earliest(soonest, heldUntil)
  return soonest
}

function reviewPool(pool: PoolRecord, moment: Moment, findings: Findings): void {
  const mayEnd = pool.panicUntil !== undefined || pool.isPanicSpent
  if (mayEnd && endPanic(pool, moment, findings)) {
    for (const server of pool.servers) settleServer(server, moment, findings)
  }
  releaseWhileShort(pool, moment, findings)
}

function settleServer(server: ServerRecord, moment: Moment, findings: Findings): void {
  const { raw } = server
  switch (raw.state) {
    case 'unknown':
      // A verdict from before a reload stands until the new checks have one.
      if (server.verdict.state === 'unknown')
        publish(server, { reason: raw.reason }, moment, findings)
      break
    case 'up':
      settleUp(server, moment, findings)
      break
    case 'down':
      settleDown(server, moment, findings)
      break
  }
  classify(server)
}

function settleUp(server: ServerRecord, moment: Moment, findings: Findings): void {
  const { raw, verdict } = server
  setDoubtfulOutage(server, undefined)
  if (isKeptUnchecked(server)) return
  if (isHeldDown(server, moment, findings)) return
  setHeld(server, undefined)
  if (verdict.state !== 'up') server.upSince = moment.now
  const voidReason = server.checks.find((c) => c.source.voidReason !== undefined)?.source.voidReason
  const factor = factorInForce(server, moment, findings)
  const news: Partial<Verdict> =
    voidReason === undefined
      ? { state: 'up', factor, reason: upReason(server, moment), held: 'no' }
      : { state: 'up', factor, reason: keptReason(voidReason), held: 'panic' }
  const returned = howReturned(server, moment)
  server.upCache = raw.cache
  // Not what it told last: a cache that tells no identity now is not known to be that one.
  const { boot, cache } = raw
  publish(server, { ...news, returned, boot, cache }, moment, findings)
}

/** Kept by a panic that goes on, and not checked yet since a reload or a restart. */
function isKeptUnchecked({ raw, verdict, pool }: ServerRecord): boolean {
  return pool.panicUntil !== undefined && verdict.held === 'panic' && raw.isDoubtful
}

/** A reboot keeps what is on disks, so the boot says nothing; the cache's own token does. */
function howReturned(server: ServerRecord, moment: Moment): Verdict['returned'] {
  const { raw, verdict, upCache } = server
  if (verdict.state !== 'down') return verdict.state === 'up' ? verdict.returned : 'no'
  if (isFirstUp(server, moment)) return 'no'
  return upCache !== undefined && raw.cache === upCache ? 'same' : 'cold'
}

/**
 * Not up till now, and down for so short that it may have been a lost check: when everything starts
 * one is lost easily, and takes down what is not up. Nobody else has that server's users by then.
 */
function isFirstUp({ checks, verdict }: ServerRecord, { wallMs }: Moment): boolean {
  const spans = checks.map(({ source }) => source.target.check)
  const longestMs = Math.max(
    ...spans.map(({ intervalMs, downIntervalMs }) => Math.max(intervalMs, downIntervalMs)),
  )
  return verdict.outageCount === 0 && wallMs - verdict.sinceMs < FIRST_UP_INTERVALS * longestMs
}

/** Damped, and to be kept down still? The first time, the hold-down begins and is told. */
function isHeldDown(server: ServerRecord, moment: Moment, findings: Findings): boolean {
  const holdMs = server.verdict.state === 'down' ? holdDownMs(server.flaps) : 0
  if (holdMs === 0) return false
  if (server.heldUntil !== undefined && moment.now >= server.heldUntil) return false
  if (server.weight > 0 && isShort(server.pool)) {
    server.earlyUntil = server.heldUntil ?? monotonicMs(moment.now + holdMs)
    const told = { event: 'server let up early', from: 'down', to: 'up' } as const
    tellServer(server, { ...told, reason: upReason(server, moment) }, moment, findings)
    return false
  }
  if (server.heldUntil === undefined) {
    setHeld(server, monotonicMs(moment.now + holdMs))
    const reason =
      `its checks pass again (${server.raw.reason}), but it went down again and again: ` +
      `kept down until they have passed for ${spanInWords(holdMs)}`
    if (server.verdict.held !== 'flapping') {
      const told = { event: 'server held down', from: 'down', to: 'down', reason } as const
      tellServer(server, told, moment, findings)
    }
    publish(server, { reason, held: 'flapping', ...identity(server) }, moment, findings)
  }
  return true
}

/** The factor in force from now on; where a larger one is held back, that is told once. */
function factorInForce(server: ServerRecord, moment: Moment, findings: Findings): number {
  const { raw, verdict, weightDamping, pool } = server
  if (verdict.state !== 'up') {
    noteGrowth(weightDamping, moment.now)
    return raw.factor
  }
  const told = { inForce: verdict.factor, told: raw.factor, isShort: isShort(pool) }
  const factor = dampedFactor(weightDamping, told, moment.now)
  if (weightDamping.growAt !== undefined && !weightDamping.isHoldTold) {
    weightDamping.isHoldTold = true
    const reason =
      `its checks tell ${partInWords(raw.factor)} of its weight again (${raw.reason}), but it ` +
      `shrank again and again: ${keptFactor(server)}`
    const kept = partInWords(factor)
    const held = { event: 'server weight held', from: kept, to: kept } as const
    tellServer(server, { ...held, reason }, moment, findings)
  }
  return factor
}

const keptFactor = ({ verdict, weightDamping }: ServerRecord): string =>
  `kept at ${partInWords(verdict.factor)} until they have told more for ` +
  spanInWords(holdDownMs(weightDamping.losses))

/** The checks' own words, and, for as long as a hold-down would have lasted, why there is none. */
function upReason(server: ServerRecord, { now }: Moment): string {
  const { raw, earlyUntil, weightDamping } = server
  if (weightDamping.growAt !== undefined)
    return `${raw.reason}; ${partInWords(raw.factor)} of its weight, ${keptFactor(server)}`
  if (earlyUntil === undefined || now >= earlyUntil) return raw.reason
  return `${raw.reason}; it flaps, and is up as less than half of the pool was left without it`
}

function settleDown(server: ServerRecord, moment: Moment, findings: Findings): void {
  const { raw, verdict, pool } = server
  setHeld(server, undefined)
  server.earlyUntil = undefined
  const known = identity(server)
  if (verdict.state === 'up' && raw.isDoubtful && pool.panicUntil !== undefined) {
    publish(server, { reason: keptReason(raw.reason), held: 'panic', ...known }, moment, findings)
    return
  }
  const { outageCount, factor, sinceMs } = verdict
  const down = { state: 'down', factor: 0, reason: raw.reason, held: 'no', ...known } as const
  if (!raw.isDoubtful) setDoubtfulOutage(server, undefined)
  if (verdict.state !== 'up') {
    publish(server, down, moment, findings)
    return
  }
  const { flaps, upSince } = server
  if (raw.isDoubtful) {
    setDoubtfulOutage(server, { at: moment.now, sinceMs, flaps, upSince, factor })
  }
  server.flaps = recordOutage(flaps, upSince, moment.now)
  publish(server, { ...down, outageCount: outageCount + 1 }, moment, findings)
}

/** Damping a pool that has too little left would be an outage of our own making. */
function releaseWhileShort(pool: PoolRecord, moment: Moment, findings: Findings): void {
  for (const server of [...pool.held]) {
    if (!isShort(pool)) return
    settleServer(server, moment, findings)
  }
}

/**
 * No weight is up, or less than half of what the pool has: of the weights in force, the parts that
 * are told where checks pass (a pool all of which is loaded is not short), else all of it.
 */
function isShort({ servers }: PoolRecord): boolean {
  let upWeight = 0
  let wholeWeight = 0
  for (const { weight, verdict, raw } of servers) {
    if (verdict.state === 'up') upWeight += weight * verdict.factor
    wholeWeight += weight * (raw.state === 'up' ? raw.factor : 1)
  }
  return upWeight === 0 || upWeight * 2 < wholeWeight
}

/** The last told identity stands while the server is out. */
function identity(server: ServerRecord): Pick<Verdict, 'boot' | 'cache'> {
  const { raw, verdict } = server
  return { boot: raw.boot ?? verdict.boot, cache: raw.cache ?? verdict.cache }
}

const FIRST_UP_INTERVALS = 2
