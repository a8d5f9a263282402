import { readFileSync } from 'node:fs'
import type { Outcome, RouterControl } from '../../admin/router-control.ts'
import type {
  CacheStatus,
  Changed,
  Event,
  RouterStatus,
  SimulateRequest,
  Simulation,
  WorkerStatus,
} from '../../admin/schemas.ts'
import type { Pool, PoolServer } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { Verdict } from '../../common/model/health.ts'
import { GLOBAL, SERVER } from '../../router/core/counters.ts'
import { explainUrl } from '../../router/core/explain-url.ts'
import { overrideKey, withDrained, withWeight } from '../../router/core/overrides.ts'
import type { Overrides } from '../../router/core/overrides.ts'
import type { ReturnView } from '../../router/core/returns.ts'
import type { ShardMap } from '../../router/core/shard-map.ts'
import type { Standing } from '../../router/core/standing.ts'
import { metricsText } from '../../router/io/metrics.ts'
import { cachesOf, noCaches, simulateOutage } from '../simulation.ts'
import { homesOf, slotTableOf } from './moved-users.ts'
import type { RouterService } from './router-service.ts'
import { poolsInUse } from './router-tables.ts'
import { errorCount } from './router-telemetry.ts'
import type { RouterTelemetry } from './router-telemetry.ts'

const EVENTS_IN_STATUS = 20

/** What the admin API, and so the commands, see and change of a running router. */
export class ServiceControl implements RouterControl {
  readonly #service: RouterService
  readonly #telemetry: RouterTelemetry
  readonly #version = readVersion()
  #shards: { readonly generation: number; readonly maps: ReadonlyMap<string, ShardMap> } = {
    generation: 0,
    maps: new Map(),
  }

  constructor(service: RouterService, telemetry: RouterTelemetry) {
    this.#service = service
    this.#telemetry = telemetry
  }

  /** Once at the start and after each reload: whose rates are kept, which homes are explicit. */
  async follow(): Promise<void> {
    const { config, generation } = this.#service
    this.#telemetry.watch(
      poolsInUse(config).flatMap(({ name, servers }) =>
        servers.map((server) => [name, server.name] as const),
      ),
    )
    const maps = new Map<string, ShardMap>()
    for (const { name, shards } of Object.values(config.router.groups)) {
      if (shards.type !== 'table') continue
      const homes = await homesOf(this.#placing(), name)
      if (homes?.shards !== undefined) maps.set(name, homes.shards)
    }
    this.#shards = { generation, maps }
  }

  isReady(): boolean {
    return this.#service.primary.isReady
  }

  events(): readonly Event[] {
    return this.#service.events.latest().map(eventOf)
  }

  status(): RouterStatus {
    const { config, box, primary, file, generation, reloadedAtMs, isDraining } = this.#service
    const { global } = this.#telemetry.totals.total()
    return {
      edge: config.edge,
      box,
      part: 'router',
      version: this.#version,
      state: isDraining ? 'draining' : primary.isReady ? 'running' : 'starting',
      pid: process.pid,
      sinceMs: this.#service.startedAtMs,
      configFile: file,
      generation,
      ...(reloadedAtMs !== undefined && { reloadedAtMs }),
      requestsPerSecond: this.#telemetry.requestsPerSecond(),
      requestCount: global[GLOBAL.requests] ?? 0,
      errorPct: this.#telemetry.errorPct(),
      connections: global[GLOBAL.connectionsActive] ?? 0,
      workerRestarts: primary.restartCount,
      caches: this.#caches(),
      workerCount: config.router.workers,
      workers: this.#workers(),
      listeners: config.router.listeners.map(({ name, tls, proxyProtocol }) => ({
        name,
        tls: tls.length > 0,
        proxyProtocol,
      })),
      events: this.events().slice(0, EVENTS_IN_STATUS),
    }
  }

  metrics(): Promise<string> {
    const { config, box, primary, prober, generation, reloads } = this.#service
    const { user, system } = process.cpuUsage()
    const standing = this.#standings()
    return metricsText({
      edge: config.edge,
      box,
      version: this.#version,
      startedAtMs: this.#service.startedAtMs,
      generation,
      isDraining: this.#service.isDraining,
      workerRestarts: primary.restartCount,
      reloads,
      sums: this.#telemetry.totals.total(),
      servers: poolsInUse(config).flatMap((pool) =>
        pool.servers.map((server) => {
          const { suspectIn, returning, ...stands } = standing(pool.name, server.name)
          const returnShare = returning?.share ?? 1
          return {
            pool: pool.name,
            server: server.name,
            ...stands,
            factor: stands.factor * returnShare,
            returnShare,
            configuredWeight: server.weight,
            suspectCount: suspectIn.length,
          }
        }),
      ),
      workers: primary.workers(),
      events: this.#service.eventCounts,
      primary: {
        residentBytes: process.memoryUsage.rss(),
        cpuSeconds: (user + system) / 1e6,
      },
      proberLateMs: prober.lateness().worstMs,
    })
  }

  explain({ url, header }: { readonly url: string; readonly header?: string }) {
    const { config, primary } = this.#service
    const views = primary.workers().filter(({ state }) => state === 'ready')
    const workers = { ready: views.map(({ worker }) => worker), count: config.router.workers }
    const state = {
      config,
      standing: this.#standings(),
      shardTables: this.#shards.maps,
      workers,
    }
    return { ok: true, value: explainUrl(state, url, header) } as const
  }

  simulate(request: SimulateRequest): Promise<Outcome<Simulation>> {
    const { config } = this.#service
    return simulateOutage(
      {
        config,
        standing: this.#standings(),
        shardTables: this.#shards.maps,
        slotTable: async (servers) => slotTableOf(await this.#service.restoredTables(), servers),
        measured:
          this.#telemetry.requestsPerSecond() > 0
            ? (pool, server) => this.#telemetry.server(pool, server).requestsPerSecond
            : undefined,
      },
      request,
    )
  }

  drain({ cache }: { readonly cache: string }): Promise<Outcome<Changed>> {
    return this.#override(cache, 'drained', (overrides, key) => withDrained(overrides, key, true))
  }

  undrain({ cache }: { readonly cache: string }): Promise<Outcome<Changed>> {
    return this.#override(cache, 'undrained', (overrides, key) =>
      withDrained(overrides, key, false),
    )
  }

  weight({ cache, weight }: { readonly cache: string; readonly weight: number | null }) {
    return this.#override(cache, `weight ${weight ?? 'as configured'}`, (overrides, key) =>
      withWeight(overrides, key, weight ?? undefined),
    )
  }

  async reload({ force = false }: { readonly force?: boolean }) {
    const result = await this.#service.reload({ isForced: force })
    if (!result.ok) return { ok: false, status: 422, problems: result.problems } as const
    await this.follow()
    const { generation, warnings, moved } = result
    const value = {
      generation,
      configFile: this.#service.file,
      warnings: [...warnings],
      movedPct: moved.pct,
      movedOf: moved.of,
    }
    return { ok: true, value } as const
  }

  async #override(
    name: string,
    to: string,
    change: (overrides: Overrides, key: string) => Overrides,
  ): Promise<Outcome<Changed>> {
    const found = cachesOf(this.#service.config, name)
    if (found.length === 0) return noCaches(this.#service.config, [name])
    const notKept = await this.#service.override((overrides) => found.reduce(change, overrides))
    for (const key of found)
      this.#service.report({
        atMs: Date.now(),
        event: 'cache overridden',
        subject: key,
        from: undefined,
        to,
        reason: 'an operator asked for it',
      })
    const keys = new Set(found)
    const all = this.#caches()
    const caches = all.filter(({ pool, name: cache }) => keys.has(overrideKey(pool, cache)))
    const serving = all.filter(({ state, drained, weight }) => state === 'up' && !drained && weight)
    const unserved = [...new Set(caches.map(({ pool }) => pool))].filter(
      (pool) => !serving.some((cache) => cache.pool === pool),
    )
    return { ok: true, value: { caches, ...(notKept !== undefined && { notKept }), unserved } }
  }

  #caches(): CacheStatus[] {
    const sums = this.#telemetry.totals.total()
    const standing = this.#standings()
    return poolsInUse(this.#service.config).flatMap((pool) => {
      const rates = pool.servers.map(({ name }) => this.#telemetry.server(pool.name, name))
      const poolRate = rates.reduce((sum, { requestsPerSecond }) => sum + requestsPerSecond, 0)
      return pool.servers.map((server, index): CacheStatus => {
        const row = sums.server(pool.name, server.name)
        const { requestsPerSecond = 0, errorsPerSecond = 0 } = rates[index] ?? {}
        const stands = standing(pool.name, server.name)
        const { state, reason, sinceMs, weight, held, outageCount, returning } = stands
        return {
          pool: pool.name,
          name: server.name,
          address: addressOf(server),
          state,
          reason,
          sinceMs,
          weight,
          held,
          outageCount,
          factor: stands.factor * (returning?.share ?? 1),
          ...(returning && { returning: returningOf(returning) }),
          drained: stands.isDrained,
          suspectIn: [...stands.suspectIn],
          configuredWeight: server.weight,
          requestsPerSecond,
          sharePct: poolRate === 0 ? 0 : (100 * requestsPerSecond) / poolRate,
          errorsPerSecond,
          errorCount: errorCount(row),
          activeRequests: row[SERVER.active] ?? 0,
          connections: row[SERVER.connections] ?? 0,
          ...this.#history(pool, server),
        }
      })
    })
  }

  #history(pool: Pool, { name }: PoolServer): { results: string } {
    const results = this.#service.prober.history(pool.name, name)
    return { results: results.map(({ result }) => RESULT_LETTERS[result]).join('') }
  }

  #workers(): WorkerStatus[] {
    return this.#service.primary
      .workers()
      .map(({ worker, pid, state, sinceMs, generation, lateMs, snapshot }) => ({
        worker,
        pid,
        state,
        sinceMs,
        generation,
        requestsPerSecond: this.#telemetry.workerRequestsPerSecond(pid),
        connections: snapshot?.global[GLOBAL.connectionsActive] ?? 0,
        lateMs,
      }))
  }

  /** How each cache stands at this moment. */
  #standings(): (pool: string, server: string) => CacheStanding {
    const { prober, primary, overrides, config, startedAtMs } = this.#service
    const verdicts = new Map<string, Verdict>(
      prober.verdicts().map((verdict) => [overrideKey(verdict.pool, verdict.server), verdict]),
    )
    const drained = new Set(overrides.drained)
    return (pool, server) => {
      const key = overrideKey(pool, server)
      const verdict = verdicts.get(key)
      const returning = primary.returnOf(pool, server)
      const configured = config.pools[pool]?.servers.find(({ name }) => name === server)?.weight
      return {
        state: verdict?.state ?? 'unknown',
        factor: verdict?.factor ?? 0,
        returning,
        returningMs: returning?.elapsedMs,
        reason: verdict?.reason ?? 'not checked yet',
        sinceMs: verdict?.sinceMs ?? startedAtMs,
        held: verdict?.held ?? 'no',
        outageCount: verdict?.outageCount ?? 0,
        isDrained: drained.has(key),
        weight: overrides.weights[key] ?? configured ?? 0,
        suspectIn: this.#telemetry.totals.suspectIn(pool, server),
      }
    }
  }

  #placing() {
    const { config, overrides, tableNotes: tables } = this.#service
    return { config, overrides, tables }
  }
}

const RESULT_LETTERS = { passed: '+', slow: 's', failed: '-', void: '?' } as const

type CacheStanding = Standing &
  Pick<Verdict, 'sinceMs' | 'outageCount'> & { readonly returning: ReturnView | undefined }

const returningOf = ({ share, leftMs, reason }: ReturnView) => ({
  sharePct: Math.floor(100 * share),
  untilMs: Math.round(Date.now() + leftMs),
  reason,
})

const addressOf = ({ address, port }: PoolServer): string => {
  const host = address.includes(':') ? `[${address}]` : address
  return port === undefined ? host : `${host}:${port}`
}

const eventOf = ({ atMs, event, subject, from, to, reason }: EdgeEvent): Event => ({
  atMs,
  event,
  subject,
  ...(from !== undefined && { from }),
  ...(to !== undefined && { to }),
  reason,
})

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
