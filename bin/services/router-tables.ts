import type { Config, Pool } from '../../common/config/config.ts'
import { runtimeWeights } from '../../router/core/overrides.ts'
import type { Overrides } from '../../router/core/overrides.ts'
import { tableKey, weightedServers } from '../../router/core/slot-table.ts'
import type { TableNote } from '../../router/io/messages.ts'
import type { TableBuilder, TableFile } from '../../router/io/table-builder.ts'

/**
 * The tables that a configuration needs under the overrides, built where they are not there yet.
 * Rejects with `ShardTableError` where a shard table's file has mistakes. One of those in use
 * stands where it cannot be written anew: the workers hold it in memory.
 */
export async function buildTables(
  builder: TableBuilder,
  config: Config,
  overrides: Overrides,
  inUse: readonly TableNote[] = [],
): Promise<readonly TableNote[]> {
  const orInUse =
    (kind: TableNote['kind'], key: string) =>
    (error: unknown): TableFile => {
      const note = inUse.find((one) => one.kind === kind && one.key === key)
      if (note === undefined) throw error
      return note
    }
  const notes: TableNote[] = []
  for (const pool of poolsInUse(config)) {
    const servers = weightedServers(pool.servers, runtimeWeights(overrides, pool.name))
    const key = tableKey(servers)
    if (notes.some((note) => note.key === key)) continue
    const table = await builder.buildSlots(servers).catch(orInUse('slots', key))
    notes.push({ kind: 'slots', key, ...table })
  }
  for (const { name, pool, shards } of Object.values(config.router?.groups ?? {})) {
    if (shards.type !== 'table') continue
    const servers = config.pools[pool]?.servers.map((server) => server.name) ?? []
    const table = await builder.buildShards(shards.file, servers).catch(orInUse('shards', name))
    notes.push({ kind: 'shards', key: name, ...table })
  }
  return notes
}

/** The pools that the router's groups have caches from; each once. */
export function poolsInUse(config: Config): Pool[] {
  const names = new Set(Object.values(config.router?.groups ?? {}).map(({ pool }) => pool))
  return [...names].flatMap((name) => config.pools[name] ?? [])
}
