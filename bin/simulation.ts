import type { SimulateRequest, Simulation } from '../admin/schemas.ts'
import type { Outcome } from '../admin/router-control.ts'
import type { Config } from '../common/config/config.ts'
import { nearest } from '../common/config/nearest.ts'
import type { WeightedServer } from '../router/core/rendezvous.ts'
import type { ShardMap } from '../router/core/shard-map.ts'
import { simulateGroup } from '../router/core/simulate-group.ts'
import { shardMapOf } from '../router/core/standing.ts'
import type { StandingOf } from '../router/core/standing.ts'

/** Where a simulation takes what it needs: a running router, or a configuration alone. */
export interface SimulationSource {
  readonly config: Config
  readonly standing: StandingOf
  readonly shardTables: ReadonlyMap<string, ShardMap>
  /** The slots' table of these servers with these weights. */
  readonly slotTable: (servers: readonly WeightedServer[]) => Promise<Uint16Array>
  /** Requests per second as measured; undefined: there is nothing to measure. */
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
  if (unknown.length > 0)
    return { ok: false, status: 404, problems: unknown.map((name) => noCache(config, name)) }
  const down = new Set(request.down.flatMap((name) => cachesOf(config, name)))
  const userCount = request.userCount ?? DEFAULT_USERS
  const given = request.requestsPerSecond
  const groups: Simulation['groups'] = []
  for (const group of Object.values(config.router?.groups ?? {})) {
    const pool = config.pools[group.pool]
    if (pool?.servers.some(({ name }) => down.has(`${group.pool}/${name}`)) !== true) continue
    const weighted = pool.servers.map(({ name }) => ({
      name,
      weight: source.standing(pool.name, name).weight,
    }))
    groups.push(
      simulateGroup({
        group,
        pool,
        standing: source.standing,
        shards: shardMapOf(group, source.shardTables),
        table: await source.slotTable(weighted),
        isGoingDown: (name) => down.has(`${pool.name}/${name}`),
        userCount,
        rate: given ?? (measured === undefined ? 0 : (name) => measured(pool.name, name)),
      }),
    )
  }
  const rate = given !== undefined ? 'given' : measured === undefined ? 'none' : 'measured'
  return { ok: true, value: { down: [...down], rate, userCount, groups } }
}

/** `pool/name` of the caches that a name means: a bare name means it in every pool that is used. */
export function cachesOf(config: Config, name: string): string[] {
  const pools = new Set(Object.values(config.router?.groups ?? {}).map(({ pool }) => pool))
  return [...pools].flatMap((pool) =>
    (config.pools[pool]?.servers ?? [])
      .map((server) => `${pool}/${server.name}`)
      .filter((key) => key === name || key === `${pool}/${name}`),
  )
}

/** The sentence for a cache that is not there. */
export function noCache(config: Config, name: string): string {
  const pools = new Set(Object.values(config.router?.groups ?? {}).map(({ pool }) => pool))
  const names = [...pools].flatMap((pool) => config.pools[pool]?.servers.map((s) => s.name) ?? [])
  const near = nearest(name, names)
  const meant =
    near === undefined ? `: there are ${names.slice(0, 8).join(', ')}` : `, did you mean ${near}?`
  return `There is no cache "${name.slice(0, 80)}"${meant}`
}
