import { monotonicMs } from '../../common/net/units.ts'
import { spanInWords } from './blame.ts'
import { classify, publish, setDoubtfulOutage, tellPool } from './pool-state.ts'
import type { Findings, Moment, PoolRecord, ServerRecord } from './pool-state.ts'

/** In a smaller pool a coincidence looks the same. */
const FEWEST_TO_PANIC = 4

/**
 * About to go down doubtfully, while more of its pool than the threshold allows fails so, or went
 * down so within two intervals?
 */
export function wouldPanic(server: ServerRecord, moment: Moment): boolean {
  const { pool, raw, verdict } = server
  if (pool.panicUntil !== undefined || pool.isPanicSpent) return false
  if (raw.state !== 'down' || !raw.isDoubtful || verdict.state !== 'up') return false
  return pool.servers.length >= FEWEST_TO_PANIC && isOverThreshold(pool, moment)
}

/** One alert; servers that have just gone down doubtfully are taken back, as if they never had. */
export function startPanic(pool: PoolRecord, moment: Moment, findings: Findings): void {
  const count = doubtfulCount(pool, moment)
  const { panicForMs } = pool.config
  pool.panicUntil = monotonicMs(moment.now + panicForMs)
  const reason =
    `${count} of ${pool.servers.length} servers stop answering at once, which can be the prober's ` +
    `own fault: their last verdicts are kept for at most ${spanInWords(panicForMs)}`
  tellPool(pool, 'prober suspects itself', reason, moment, findings)
  for (const server of [...pool.doubtfulOut]) takeBack(server, moment, findings)
}

/**
 * Ends a panic whose time is over, or that too few servers speak for any more (the rest have two
 * intervals to answer as well); true when it did, and verdicts must be settled anew.
 */
export function endPanic(pool: PoolRecord, moment: Moment, findings: Findings): boolean {
  const isOver = isOverThreshold(pool, moment)
  if (pool.panicUntil === undefined) {
    pool.isPanicSpent &&= isOver
    return false
  }
  const isTimeUp = moment.now >= pool.panicUntil
  if (!isTimeUp && !hasEased(pool, isOver, moment)) return false
  pool.panicUntil = undefined
  pool.easeUntil = undefined
  pool.isPanicSpent = isTimeUp && isOver
  const reason = pool.isPanicSpent
    ? `the servers still fail after ${spanInWords(pool.config.panicForMs)}: the checks are believed`
    : 'the servers answer again, or too few fail to doubt the checks'
  tellPool(pool, 'prober trusts itself again', reason, moment, findings)
  return true
}

function hasEased(pool: PoolRecord, isOver: boolean, moment: Moment): boolean {
  if (isOver) {
    pool.easeUntil = undefined
    return false
  }
  if (pool.doubtfulUp.size === 0) return true
  pool.easeUntil ??= monotonicMs(moment.now + pool.windowMs)
  return moment.now >= pool.easeUntil
}

/** When (wall clock) the panic ends, or ended, by which the server is up though its checks fail. */
export function keptUntilMs(server: ServerRecord, moment: Moment): number | undefined {
  const { pool } = server
  if (!pool.doubtfulUp.has(server)) return undefined
  if (pool.panicUntil !== undefined) return moment.wallMs + pool.panicUntil - moment.now
  return pool.isPanicSpent ? moment.wallMs : undefined
}

/** A panic of before a restart goes on to the end that it had: no new one begins. */
export function resumePanic(pool: PoolRecord, untilMs: number, moment: Moment): void {
  const leftMs = Math.min(Math.max(0, untilMs - moment.wallMs), pool.config.panicForMs)
  pool.panicUntil ??= monotonicMs(moment.now + leftMs)
}

/** How a kept verdict explains itself. */
export const keptReason = (why: string): string => `kept, as the prober suspects itself: ${why}`

function takeBack(server: ServerRecord, moment: Moment, findings: Findings): void {
  const outage = server.doubtfulOutage
  setDoubtfulOutage(server, undefined)
  if (outage === undefined || server.verdict.state !== 'down' || !server.raw.isDoubtful) return
  server.flaps = outage.flaps
  server.upSince = outage.upSince
  const { factor, sinceMs } = outage
  const outageCount = server.verdict.outageCount - 1
  const reason = keptReason(server.raw.reason)
  const news = { state: 'up', factor, sinceMs, reason, held: 'panic', outageCount } as const
  publish(server, news, moment, findings)
  classify(server)
}

function isOverThreshold(pool: PoolRecord, moment: Moment): boolean {
  return doubtfulCount(pool, moment) > (pool.config.panicThresholdPct / 100) * pool.servers.length
}

/** Servers that are failing, or have just gone down, by what could be the prober's own fault. */
function doubtfulCount(pool: PoolRecord, moment: Moment): number {
  for (const server of pool.doubtfulOut) {
    const at = server.doubtfulOutage?.at ?? 0
    if (moment.now - at <= pool.windowMs) break
    setDoubtfulOutage(server, undefined)
  }
  return pool.doubtfulUp.size + pool.doubtfulOut.size
}
