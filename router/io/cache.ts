import type { Pool, PoolServer } from '../../common/config/config.ts'
import type { Verdict } from '../../common/model/health.ts'
import { logText } from '../core/access-record.ts'
import { encodeText } from '../core/ascii.ts'
import { GLOBAL, SERVER } from '../core/counters.ts'
import type { RetryBudget } from '../core/retry-budget.ts'
import { Suspicion } from '../core/suspicion.ts'
import { workerShare } from '../core/worker-share.ts'
import type { Lane } from './lane.ts'
import { UpstreamConnection } from './upstream-connection.ts'
import type { UpstreamServer, UpstreamUser } from './upstream-connection.ts'
import { Warmer } from './warmer.ts'
import { workerPlace } from './worker-place.ts'

/** One cache server as this worker sees it. It outlives reloads that leave its address alone. */
export class Cache implements UpstreamServer {
  readonly lane: Lane
  readonly pool: string
  readonly name: string
  readonly address: string
  readonly port: number
  /** Start of its row in the counters. */
  readonly row: number
  readonly logName: Uint8Array
  /** `address:port`, the Host of a request that has none. */
  readonly hostField: Uint8Array
  readonly suspicion = new Suspicion()
  /** Exchanges on it now. */
  active = 0
  /** The most of them in this worker. */
  maxActive = Infinity
  /** Whether a check exists whose good verdict clears a suspicion; else trials do. */
  hasPortCheck = false
  verdict: Verdict | undefined
  isDrained = false

  readonly #idle: UpstreamConnection[] = []
  readonly #all = new Set<UpstreamConnection>()
  #idleMs = 0
  #maxIdle = 0
  #isRetired = false
  #warmer: Warmer | undefined

  constructor(lane: Lane, pool: string, server: PoolServer, port: number) {
    this.lane = lane
    this.pool = pool
    this.name = server.name
    this.address = server.address
    this.port = port
    this.row = lane.counters.serverRow(pool, server.name)
    this.logName = logText(server.name)
    const host = server.address.includes(':') ? `[${server.address}]` : server.address
    this.hostField = encodeText(`${host}:${port}`)
  }

  configure(pool: Pool, workers: number, hasPortCheck: boolean): void {
    this.#maxIdle = pool.keepAlive.connections
    this.#idleMs = pool.keepAlive.idleMs
    this.maxActive = workerShare(pool.maxConnections, workers, workerPlace())
    this.hasPortCheck = hasPortCheck
  }

  get isFull(): boolean {
    return this.active >= this.maxActive
  }

  get isUp(): boolean {
    return this.verdict?.state === 'up' && this.verdict.factor > 0 && !this.isDrained
  }

  /** A kept connection, or undefined: then `open` one. */
  takeIdle(user: UpstreamUser): UpstreamConnection | undefined {
    const connection = this.#idle.pop()
    if (connection === undefined) return undefined
    connection.use(user)
    this.lane.counters.addServer(this.row + SERVER.connectionsReused, 1)
    return connection
  }

  open(user: UpstreamUser): UpstreamConnection {
    const connection = new UpstreamConnection(this, user)
    this.#all.add(connection)
    return connection
  }

  /**
   * Called by a connection whose exchange is over; false: it is not wanted. One beyond the number
   * that is kept stays for a second: where many end at once, as many are needed the next moment.
   */
  keep(connection: UpstreamConnection): boolean {
    if (this.#isRetired || this.#maxIdle === 0) return false
    const isSurplus = this.#idle.length >= this.#maxIdle
    this.#idle.push(connection)
    const idleMs = isSurplus ? Math.min(this.#idleMs, SURPLUS_IDLE_MS) : this.#idleMs
    connection.expireAt(this.lane.nowMs + idleMs)
    return true
  }

  /** Called by a connection that closes. */
  forget(connection: UpstreamConnection): void {
    this.#all.delete(connection)
    const at = this.#idle.lastIndexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /**
   * Whoever repeats requests to it, for a request whose target has this hash; undefined: not now.
   * What is repeated never takes a client's place.
   */
  warmerFor(hash: number): Warmer | undefined {
    if (!this.isUp || this.#isRetired || this.suspicion.isSuspect) return undefined
    this.#warmer ??= new Warmer(this)
    const isRoom = this.active + this.#warmer.activeCount < this.maxActive
    return isRoom && this.#warmer.admit(hash) ? this.#warmer : undefined
  }

  /** Out of the configuration, or the worker stops: kept connections go, used ones finish. */
  retire(): void {
    this.#isRetired = true
    this.#warmer?.stop()
    while (this.#idle.length > 0) this.#idle[this.#idle.length - 1]?.destroy()
  }

  /** An attempt on it failed before or within its answer. */
  noteFailure(isTrial: boolean): void {
    if (!this.suspicion.fail(isTrial)) return
    const { counters } = this.lane
    counters.add(GLOBAL.suspicions, 1)
    counters.addServer(this.row + SERVER.suspicions, 1)
    counters.servers[this.row + SERVER.suspect] = 1
    this.lane.onSuspect(this.pool, this.name)
  }

  /** An answer's first byte came. */
  noteSuccess(isTrial: boolean): void {
    if (this.suspicion.succeed(isTrial)) this.#cleared('a trial request was answered')
  }

  /** The checks say something new. */
  setVerdict(verdict: Verdict): void {
    this.verdict = verdict
    // What it was filled with may be gone when it comes back.
    if (verdict.state !== 'up') {
      this.#warmer?.stop()
      this.#warmer = undefined
    }
    if (verdict.clearsSuspicion && this.suspicion.clear()) this.#cleared(verdict.reason)
  }

  #cleared(reason: string): void {
    this.lane.counters.servers[this.row + SERVER.suspect] = 0
    this.lane.onCleared(this.pool, this.name, reason)
  }
}

const SURPLUS_IDLE_MS = 1_000

/** The caches of one pool, by index as listed, and what they share. */
export class CachePool {
  readonly name: string
  readonly caches: readonly Cache[]
  readonly budget: RetryBudget
  readonly isFramingRequired: boolean

  constructor(pool: Pool, caches: readonly Cache[], budget: RetryBudget) {
    this.name = pool.name
    this.caches = caches
    this.budget = budget
    this.isFramingRequired = pool.framing === 'required'
  }

  /** The weights in force, by index. */
  setWeights(weights: readonly number[]): void {
    const sum = weights.reduce((total, weight) => total + weight, 0)
    this.budget.setHeaviestShare(sum === 0 ? 0 : Math.max(...weights) / sum)
  }
}
