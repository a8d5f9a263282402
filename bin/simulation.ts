import type { SimulateRequest, Simulation } from '../admin/schemas.ts'
import type { Outcome } from '../admin/router-control.ts'
import type { Config } from '../common/config/config.ts'
import { nearest } from '../common/config/nearest.ts'
import { overrideKey } from '../router/core/overrides.ts'
import type { WeightedServer } from '../router/core/rendezvous.ts'
import type { ShardMap } from '../router/core/shard-map.ts'
import { simulateGroup } from '../router/core/simulate-group.ts'
import { shardMapOf } from '../router/core/standing.ts'
import type { StandingOf } from '../router/core/standing.ts'
import { poolsInUse } from './services/router-tables.ts'

/** Where a simulation takes what it needs: a running router, or a configuration alone. */
export interface SimulationSource {
  readonly config: Config
  readonly standing: StandingOf
  readonly shardTables: ReadonlyMap<string, ShardMap>
  /** The slots' table of these servers with these weights; undefined: not built yet. */
  readonly slotTable: (servers: readonly WeightedServer[]) => Promise<Uint16Array | undefined>
  /** Requests per second as measured; undefined: there are none. */
  readonly measured: ((pool: string, server: string) => number) | undefined
}

const DEFAULT_USERS = 1_000_000

/** What an outage would do to every group that has one of the caches; 404 for a name unknown. */
export async function simulateOutage(
  source: SimulationSource,
  request: SimulateRequest,
): Promise<Outcome<Simulation>> {
  const { config, measured } = source
  const unknown = request.down.filter((name) => cachesOf(config, name).length === 0)
  if (unknown.length > 0) return noCaches(config, unknown)
  const down = new Set(request.down.flatMap((name) => cachesOf(config, name)))
  const userCount = request.userCount ?? DEFAULT_USERS
  const given = request.requestsPerSecond
  const groups: Simulation['groups'] = []
  for (const group of Object.values(config.router?.groups ?? {})) {
    const pool = config.pools[group.pool]
    if (pool?.servers.some(({ name }) => down.has(overrideKey(pool.name, name))) !== true) continue
    const table = await source.slotTable(
      pool.servers.map(({ name }) => ({ name, weight: source.standing(pool.name, name).weight })),
    )
    if (table === undefined) continue
    groups.push(
      simulateGroup({
        group,
        pool,
        standing: source.standing,
        shards: shardMapOf(group, source.shardTables),
        table,
        isGoingDown: (name) => down.has(overrideKey(pool.name, name)),
        userCount,
        hashedCount: request.hashedCount,
        rate: given ?? (measured === undefined ? 0 : (name) => measured(pool.name, name)),
      }),
    )
  }
  const rate = given !== undefined ? 'given' : measured === undefined ? 'none' : 'measured'
  return { ok: true, value: { down: [...down].sort(), rate, userCount, groups } }
}

/** `pool/name` of the caches that a name means: a bare name means it in every pool that is used. */
export function cachesOf(config: Config, name: string): string[] {
  return poolsInUse(config).flatMap((pool) =>
    pool.servers
      .map((server) => overrideKey(pool.name, server.name))
      .filter((key) => key === name || key === overrideKey(pool.name, name)),
  )
}

/** The refusal for caches that are not there. */
export function noCaches(config: Config, unknown: readonly string[]): Outcome<never> {
  const known = poolsInUse(config).flatMap(({ servers }) => servers.map(({ name }) => name))
  const others = known.slice(0, 8).join(', ') + (known.length > 8 ? ', ...' : '')
  const problems = unknown.map((name) => {
    const near = nearest(name, known)
    const meant = near === undefined ? `: there are ${others}` : `, did you mean ${near}?`
    return `There is no cache "${name.slice(0, 80)}"${meant}`
  })
  return { ok: false, status: 404, problems }
}
