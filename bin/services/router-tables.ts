import type { Config, Pool } from '../../common/config/config.ts'
import { runtimeWeights } from '../../router/core/overrides.ts'
import type { Overrides } from '../../router/core/overrides.ts'
import { tableKey, weightedServers } from '../../router/core/slot-table.ts'
import type { TableNote } from '../../router/io/messages.ts'
import type { TableBuilder } from '../../router/io/table-builder.ts'

/**
 * The tables that a configuration needs under the overrides, built where they are not there yet.
 * Rejects with `ShardTableError` where a shard table's file has mistakes.
 */
export async function buildTables(
  builder: TableBuilder,
  config: Config,
  overrides: Overrides,
): Promise<readonly TableNote[]> {
  const notes: TableNote[] = []
  for (const pool of poolsInUse(config)) {
    const servers = weightedServers(pool.servers, runtimeWeights(overrides, pool.name))
    const key = tableKey(servers)
    if (notes.some((note) => note.key === key)) continue
    notes.push({ kind: 'slots', key, ...(await builder.buildSlots(servers)) })
  }
  for (const { name, pool, shards } of Object.values(config.router?.groups ?? {})) {
    if (shards.type !== 'table') continue
    const servers = config.pools[pool]?.servers.map((server) => server.name) ?? []
    notes.push({ kind: 'shards', key: name, ...(await builder.buildShards(shards.file, servers)) })
  }
  return notes
}

/** The pools that the router's groups have caches from; each once. */
export function poolsInUse(config: Config): Pool[] {
  const names = new Set(Object.values(config.router?.groups ?? {}).map(({ pool }) => pool))
  return [...names].flatMap((name) => config.pools[name] ?? [])
}
