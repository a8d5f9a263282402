import type { Config, GroupConfig, Pool } from '../../common/config/config.ts'
import type { Verdict } from '../../common/model/health.ts'
import { CacheChooser } from './cache-chooser.ts'
import { returnShare } from './returns.ts'
import { moduloShardMap } from './shard-map.ts'
import type { ShardMap } from './shard-map.ts'

/** How a cache stands: what decides whether it may be used, beside its name and place. */
export interface Standing {
  readonly state: 'up' | 'down' | 'unknown'
  /** Share of its weight that it can carry, 0 to 1. */
  readonly factor: number
  /** For how long it has been coming back; undefined: it is not. */
  readonly returningMs: number | undefined
  readonly isDrained: boolean
  /** In use: an operator's, else the configured one. */
  readonly weight: number
  /** The verdict's, in words. */
  readonly reason: string
  /** Numbers of the workers that suspect it. */
  readonly suspectIn: readonly number[]
  /** The verdict's: kept, whatever the checks say. */
  readonly held: Verdict['held']
}

/** By pool and server. */
export type StandingOf = (pool: string, server: string) => Standing

/** Whether a check speaks HTTP with the photo port itself: only that can clear a suspicion. */
export function hasPortCheck(config: Config, pool: Pool, port: number | undefined): boolean {
  return pool.checks.some((name) => {
    const check = config.checks[name]
    if (check === undefined || check.type === 'tcp' || check.type === 'script') return false
    return (check.port ?? port) === port
  })
}

/** The explicit homes of a group, as far as its configuration tells them by itself. */
export function shardMapOf(
  group: GroupConfig,
  tables: ReadonlyMap<string, ShardMap>,
): ShardMap | undefined {
  switch (group.shards.type) {
    case 'hash':
      return undefined
    case 'modulo':
      return moduloShardMap(group.shards.modulo)
    case 'table':
      return tables.get(group.name)
  }
}

/** A chooser as the workers have it. Without a table its answers are the same, and slower. */
export function chooserOf(
  group: GroupConfig,
  pool: Pool,
  standing: StandingOf,
  parts: { readonly shards?: ShardMap | undefined; readonly table?: Uint16Array | undefined },
): CacheChooser {
  const backup = pool.servers.findIndex(({ name }) => name === group.backup)
  const chooser = new CacheChooser({
    servers: pool.servers,
    shards: parts.shards,
    fallback: group.fallback,
    ...(backup >= 0 && { backup }),
  })
  const standings = pool.servers.map(({ name }) => standing(pool.name, name))
  chooser.setWeights(
    standings.map(({ weight }) => weight),
    parts.table,
  )
  standings.forEach(({ state, factor, returningMs, isDrained }, server) => {
    chooser.setFactor(server, state === 'up' ? factor : 0)
    chooser.setShare(server, returnShare(group.rampUpMs, returningMs))
    chooser.setDrained(server, isDrained)
  })
  return chooser
}
