import { Buffer } from 'node:buffer'
import { randomFillSync } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type {
  AccessLogConfig,
  Config,
  GroupConfig,
  RouterConfig,
} from '../../common/config/config.ts'
import type { Verdict } from '../../common/model/health.ts'
import type { ShortageCode } from '../../common/model/shortage.ts'
import type { AccessRecord } from '../core/access-record.ts'
import { CacheChooser } from '../core/cache-chooser.ts'
import { GLOBAL } from '../core/counters.ts'
import type { Counters, CountersSnapshot } from '../core/counters.ts'
import { Deadlines } from '../core/deadlines.ts'
import { httpDate } from '../core/http-date.ts'
import { ANSWER, writeOwnAnswer } from '../core/own-answer.ts'
import type { Via } from '../core/peer.ts'
import { overrideKey } from '../core/overrides.ts'
import { returnShare } from '../core/returns.ts'
import type { Returning } from '../core/returns.ts'
import { RetryBudget } from '../core/retry-budget.ts'
import { CONNECTION } from '../core/rewrite.ts'
import { ShortageTeller } from '../core/shortage-teller.ts'
import { moduloShardMap } from '../core/shard-map.ts'
import type { ShardMap } from '../core/shard-map.ts'
import { tableShardMap } from '../core/shard-table.ts'
import { tableKey } from '../core/slot-table.ts'
import { hasPortCheck } from '../core/standing.ts'
import { monotonicMs } from '../../common/net/units.ts'
import { openAccessLog } from './access-log.ts'
import type { AccessLog } from './access-log.ts'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { systemClock } from '../../common/runtime/clock.ts'
import { openFilesLimit } from '../../common/runtime/open-files-limit.ts'
import { Cache, CachePool } from './cache.ts'
import { BufferPool } from './buffer-pool.ts'
import { ClientConnection } from './client-connection.ts'
import type { ClientLane } from './client-connection.ts'
import { Exchange } from './exchange.ts'
import type { GeneralLane } from './general-lane.ts'
import { Landing } from './landing.ts'
import { NO_OVERRIDES } from './messages.ts'
import type { Overrides } from './messages.ts'
import type { Peer, PhotoServer, PhotoServerHooks, Tables } from './photo-serving.ts'
import { compilePlan, GroupPlan, ListenerState } from './plan.ts'
import type { Plan } from './plan.ts'
import { refuseClient } from './refused-client.ts'
import { Slab } from './slab.ts'
import { openSocket } from './socket-transport.ts'
import { isStreamWrapUsable, openStreamWrap } from './stream-wrap-transport.ts'
import type { Arrival, OpenTransport } from './transport.ts'
import { workerName } from './worker-place.ts'

/** What a photo server is made of. */
export interface PhotoServerComponents extends PhotoServerHooks {
  /** Public API only, also where Node's internals could be used. */
  readonly isPlain?: boolean
}

/** Makes a worker's photo server; it serves nobody until `configure`. */
export function createPhotoServer(components: PhotoServerComponents): PhotoServer {
  return new WorkerLane(components)
}

class WorkerLane implements PhotoServer, ClientLane {
  readonly counters: Counters
  readonly deadlines = new Deadlines()
  readonly landing = new Landing(ANSWER_LANDING_BYTES)
  readonly buffers = new BufferPool()
  readonly headSlab = new Slab(HEAD_SLAB_BYTES)
  readonly openTransport: OpenTransport
  readonly isPlain: boolean
  readonly clientLanding = Buffer.allocUnsafeSlow(CLIENT_LANDING_BYTES)
  isDraining = false
  readonly scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  date = httpDate(Date.now())
  nowMs = performance.now()

  readonly #components: PhotoServerComponents
  readonly #connections = new Set<ClientConnection>()
  readonly #listeners = new Map<string, ListenerState>()
  readonly #caches = new Map<string, Cache>()
  readonly #budgets = new Map<string, RetryBudget>()
  readonly #verdicts = new Map<string, Verdict>()
  readonly #spare: Exchange[] = []
  readonly #random = Buffer.allocUnsafeSlow(RANDOM_BYTES)
  readonly #shortages = new ShortageTeller(openFilesLimit())
  readonly #sweeper: NodeJS.Timeout
  #randomAt = RANDOM_BYTES
  #overrides: Overrides = NO_OVERRIDES
  #returning: Returning = {}
  #general: Promise<GeneralLane> | undefined
  #plan: Plan | undefined
  #config: Config | undefined
  #log: AccessLog | undefined
  #logKey = ''
  #onIdle: (() => void) | undefined

  constructor(components: PhotoServerComponents) {
    this.#components = components
    this.counters = components.counters
    const { isPlain = false } = components
    this.isPlain = isPlain
    this.openTransport = (socket, owner, landing) =>
      !isPlain && isStreamWrapUsable(socket)
        ? openStreamWrap(socket, owner, landing, this.buffers)
        : openSocket(socket, owner, landing)
    this.#sweeper = setInterval(() => {
      this.date = httpDate(Date.now())
      this.tick()
      this.deadlines.sweep(monotonicMs(this.nowMs))
      this.buffers.trim(monotonicMs(this.nowMs))
    }, SWEEP_MS)
  }

  /** There is one since the first `configure`; no connection comes before. */
  get plan(): Plan {
    return this.#plan!
  }

  tick(): void {
    this.nowMs = performance.now()
  }

  wallMs(): number {
    return Date.now()
  }

  accept(arrival: Arrival, listener: string, peer?: Peer): void {
    this.counters.add(GLOBAL.connectionsAccepted, 1)
    const state = this.#listeners.get(listener)
    if (state === undefined) {
      arrival.socket.destroy()
      return
    }
    if (state.connectionCount >= state.maxConnections) {
      this.#refuse(arrival)
      return
    }
    state.connectionCount++
    // Also while draining: whoever has not heard of it yet is still served, once.
    this.#connections.add(new ClientConnection(this, state, arrival, peer))
  }

  configure(config: Config, box: string, generation: number, tables: Tables): void {
    const { router } = config
    if (router === undefined)
      throw new TypeError('a worker was configured without a router section')
    this.#config = config
    const pools = this.#configurePools(config)
    const plan = compilePlan(config, box, generation, (group, via) =>
      this.#makeGroup(group, via, config, pools, tables),
    )
    this.#plan = plan
    if ([...plan.groups.values()].some(({ needsGeneralLane }) => needsGeneralLane)) {
      void this.general()
    }
    this.#configureListeners(router)
    this.#configureLog(router.accessLog)
  }

  forgetListener(name: string): void {
    if (this.#listeners.get(name)?.isGivenUp === true) this.#listeners.delete(name)
  }

  setVerdicts(verdicts: readonly Verdict[], returning: Returning): void {
    this.#returning = returning
    for (const group of this.#plan?.groups.values() ?? []) this.#applyShares(group)
    for (const verdict of verdicts) {
      this.#verdicts.set(`${verdict.pool}/${verdict.server}`, verdict)
      this.#applyVerdict(verdict)
    }
  }

  setOverrides(overrides: Overrides, tables: Tables): void {
    this.#overrides = overrides
    for (const group of this.#plan?.groups.values() ?? []) {
      this.#applyWeights(group, tables)
      this.#applyStates(group)
    }
  }

  drain(): void {
    this.isDraining = true
    for (const connection of this.#connections) connection.drain()
    for (const cache of this.#caches.values()) cache.retire()
  }

  async close(deadlineMs: number): Promise<void> {
    this.drain()
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          for (const connection of this.#connections) connection.stop()
          resolve()
        }, deadlineMs)
        this.#onIdle = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    clearInterval(this.#sweeper)
    await (await this.#general)?.close()
    await this.#log?.close()
  }

  snapshot(): CountersSnapshot {
    return this.counters.snapshot()
  }

  reopenLog(): void {
    this.#log?.reopen()
  }

  /** Loading it is a fifth of a worker's start, and most edges never need it. */
  general(): Promise<GeneralLane> {
    this.#general ??= import('./general-lane.ts').then(({ GeneralLane }) =>
      new GeneralLane().start(),
    )
    return this.#general
  }

  putRequestId(out: Uint8Array): void {
    if (this.#randomAt === RANDOM_BYTES) {
      randomFillSync(this.#random)
      this.#randomAt = 0
    }
    const random = this.#random
    let at = this.#randomAt
    for (let i = 0; i < 32; i += 2) {
      const byte = random[at++] ?? 0
      out[i] = HEX[byte >> 4] ?? 0
      out[i + 1] = HEX[byte & 15] ?? 0
    }
    this.#randomAt = at
  }

  takeExchange(): Exchange {
    return this.#spare.pop() ?? new Exchange(this)
  }

  giveExchange(exchange: Exchange): void {
    if (this.#spare.length < SPARE_EXCHANGES) this.#spare.push(exchange)
    else exchange.retire()
  }

  log(record: AccessRecord): void {
    this.#log?.write(record)
  }

  countStrayBytes(): void {
    this.counters.add(GLOBAL.strayBytes, 1)
  }

  onShortage(code: ShortageCode, pool: string, server: string): void {
    this.counters.add(GLOBAL.shortages, 1)
    const reason = this.#shortages.tell(code, `${pool}/${server}`, this.nowMs)
    if (reason === undefined) return
    this.#components.onEvent({
      atMs: Date.now(),
      event: 'out of resources',
      subject: workerName(),
      from: undefined,
      to: undefined,
      reason,
    })
  }

  onSuspect(pool: string, server: string): void {
    this.#components.onSuspect(pool, server)
    this.#event(
      'cache suspect',
      pool,
      server,
      'trusted',
      'suspect',
      'three requests in a row failed',
    )
  }

  onCleared(pool: string, server: string, reason: string): void {
    this.#event('cache cleared', pool, server, 'suspect', 'trusted', reason)
  }

  forget(connection: ClientConnection): void {
    if (!this.#connections.delete(connection)) return
    connection.listener.connectionCount--
    if (this.#connections.size === 0) this.#onIdle?.()
  }

  #event(event: string, pool: string, server: string, from: string, to: string, reason: string) {
    this.#components.onEvent({
      atMs: Date.now(),
      event,
      subject: `${pool}/${server}`,
      from,
      to,
      reason,
    })
  }

  #refuse(arrival: Arrival): void {
    this.counters.add(GLOBAL.connectionsRefused, 1)
    const context = { date: this.date, connection: CONNECTION.close, isHead: false }
    const end = writeOwnAnswer(this.scratch, 0, ANSWER.tooManyConnections, context)
    refuseClient(arrival, this.scratch, end)
  }

  #configureListeners({ listeners, workers }: RouterConfig): void {
    for (const state of this.#listeners.values()) state.isGivenUp = true
    for (const listener of listeners) {
      const known = this.#listeners.get(listener.name)
      if (known === undefined) {
        this.#listeners.set(listener.name, new ListenerState(listener, workers))
      } else known.configure(listener, workers)
    }
    if (![...this.#listeners.values()].some(({ isGivenUp }) => isGivenUp)) return
    // What came while this went on is read within the event loop's next round: it is answered.
    setImmediate(() => setImmediate(this.#giveUp))
  }

  readonly #giveUp = (): void => {
    this.tick()
    for (const connection of this.#connections)
      if (connection.listener.isGivenUp) connection.giveUp()
  }

  #configurePools(config: Config): ReadonlyMap<string, CachePool> {
    const kept = new Set<string>()
    const pools = new Map<string, CachePool>()
    for (const group of Object.values(config.router?.groups ?? {})) {
      const pool = config.pools[group.pool]
      if (pool === undefined || pools.has(pool.name)) continue
      const caches = pool.servers.map((server) => {
        const port = server.port ?? DEFAULT_PORT
        const key = `${pool.name}/${server.name}/${server.address}/${port}`
        kept.add(key)
        let cache = this.#caches.get(key)
        if (cache === undefined) {
          cache = new Cache(this, pool.name, server, port)
          this.#caches.set(key, cache)
        }
        cache.configure(pool, config.router?.workers ?? 1, hasPortCheck(config, pool, port))
        return cache
      })
      const budget = this.#budgets.get(pool.name) ?? new RetryBudget()
      this.#budgets.set(pool.name, budget)
      pools.set(pool.name, new CachePool(pool, caches, budget))
    }
    for (const [key, cache] of this.#caches) {
      if (kept.has(key)) continue
      cache.retire()
      this.#caches.delete(key)
    }
    return pools
  }

  #makeGroup(
    group: GroupConfig,
    via: Via,
    config: Config,
    pools: ReadonlyMap<string, CachePool>,
    tables: Tables,
  ): GroupPlan {
    const pool = pools.get(group.pool)
    const servers = config.pools[group.pool]?.servers
    if (pool === undefined || servers === undefined) {
      throw new TypeError(`group ${group.name} has the unknown pool ${group.pool}`)
    }
    const backup = servers.findIndex(({ name }) => name === group.backup)
    const chooser = new CacheChooser({
      servers,
      shards: shardMap(group, tables),
      fallback: group.fallback,
      backup: backup < 0 ? undefined : backup,
    })
    const plan = new GroupPlan(group, pool, chooser, via)
    this.#applyWeights(plan, tables)
    this.#applyStates(plan)
    return plan
  }

  #applyWeights(group: GroupPlan, tables: Tables): void {
    const { pool } = group.config
    const servers = (this.#config?.pools[pool]?.servers ?? []).map(({ name, weight }) => ({
      name,
      weight: this.#overrides.weights[`${pool}/${name}`] ?? weight,
    }))
    const weights = servers.map(({ weight }) => weight)
    group.chooser.setWeights(weights, tables.slots.get(tableKey(servers)))
    group.pool.setWeights(weights)
  }

  #applyStates(group: GroupPlan): void {
    const drained = new Set(this.#overrides.drained)
    group.pool.caches.forEach((cache, place) => {
      const key = `${cache.pool}/${cache.name}`
      cache.isDrained = drained.has(key)
      const verdict = this.#verdicts.get(key)
      if (verdict !== undefined && cache.verdict === undefined) cache.setVerdict(verdict)
      group.chooser.setDrained(place, cache.isDrained)
      group.chooser.setFactor(place, verdict?.state === 'up' ? verdict.factor : 0)
    })
    this.#applyShares(group)
  }

  #applyShares({ chooser, config: { rampUpMs }, pool: { name, caches } }: GroupPlan): void {
    caches.forEach((cache, place) => {
      const elapsedMs = this.#returning[overrideKey(name, cache.name)]
      chooser.setShare(place, returnShare(rampUpMs, elapsedMs))
    })
  }

  #applyVerdict(verdict: Verdict): void {
    const factor = verdict.state === 'up' ? verdict.factor : 0
    for (const group of this.#plan?.groups.values() ?? []) {
      if (group.pool.name !== verdict.pool) continue
      const place = group.pool.caches.findIndex(({ name }) => name === verdict.server)
      const cache = group.pool.caches[place]
      if (cache === undefined) continue
      cache.setVerdict(verdict)
      group.chooser.setFactor(place, factor)
    }
  }

  /** A log that can't be opened leaves the one there was. */
  #configureLog(config: AccessLogConfig): void {
    const key = JSON.stringify(config)
    if (key === this.#logKey) return
    const { counters, onEvent } = this.#components
    try {
      const log = openAccessLog({ clock: systemClock, counters, onEvent }, config)
      void this.#log?.close()
      this.#log = log
      this.#logKey = key
    } catch (error) {
      if (!(error instanceof ApplianceError)) throw error
      onEvent({
        atMs: Date.now(),
        event: 'access log not opened',
        subject: config.file ?? '',
        from: undefined,
        to: undefined,
        reason: error.message,
      })
    }
  }
}

function shardMap({ shards, name }: GroupConfig, tables: Tables): ShardMap | undefined {
  switch (shards.type) {
    case 'hash':
      return undefined
    case 'modulo':
      return moduloShardMap(shards.modulo)
    case 'table': {
      const table = tables.shards.get(name)
      if (table === undefined) throw new TypeError(`no shard table came for group ${name}`)
      return tableShardMap(table)
    }
  }
}

const HEX = new TextEncoder().encode('0123456789abcdef')
const CLIENT_LANDING_BYTES = 64 * 1024
/** Most photos come in one read; a larger landing falls out of the processor's cache. */
const ANSWER_LANDING_BYTES = 192 * 1024
const HEAD_SLAB_BYTES = 1024 * 1024
/** A landing's bytes and their framing fit. */
const SCRATCH_BYTES = ANSWER_LANDING_BYTES + 8 * 1024
const RANDOM_BYTES = 8192
const SPARE_EXCHANGES = 256
const SWEEP_MS = 50
const DEFAULT_PORT = 80
