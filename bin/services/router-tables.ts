import type { Config, Pool } from '../../common/config/config.ts'
import { runtimeWeights } from '../../router/core/overrides.ts'
import type { Overrides } from '../../router/core/overrides.ts'
import { tableKey, weightedServers } from '../../router/core/slot-table.ts'
import type { TableNote } from '../../router/io/messages.ts'
import type { TableBuilder } from '../../router/io/table-builder.ts'

/**
 * The tables that a configuration needs under the overrides, built where they are not there yet.
 * Rejects with `ShardTableError` where a shard table's file has mistakes. One of those in use stands
 * as it is, whatever has become of its file: the workers hold it in memory.
 */
export async function buildTables(
  builder: TableBuilder,
  config: Config,
  overrides: Overrides,
  inUse: readonly TableNote[] = [],
): Promise<readonly TableNote[]> {
  const usedFor = (kind: TableNote['kind'], key: string): TableNote | undefined =>
    inUse.find((one) => one.kind === kind && one.key === key)
  const notes: TableNote[] = []
  for (const pool of poolsInUse(config)) {
    const servers = weightedServers(pool.servers, runtimeWeights(overrides, pool.name))
    const key = tableKey(servers)
    if (notes.some((note) => note.key === key)) continue
    // A drain on a box whose disk hangs must not wait for it.
    const table = usedFor('slots', key) ?? (await builder.buildSlots(servers))
    notes.push({ ...table, kind: 'slots', key })
  }
  for (const { name, pool, shards } of Object.values(config.router?.groups ?? {})) {
    if (shards.type !== 'table') continue
    const servers = config.pools[pool]?.servers.map((server) => server.name) ?? []
    const table = await builder.buildShards(shards.file, servers).catch((error: unknown) => {
      const used = usedFor('shards', name)
      if (used === undefined) throw error
      return used
    })
    notes.push({ ...table, kind: 'shards', key: name })
  }
  return notes
}

/** The pools that the router's groups have caches from; each once. */
export function poolsInUse(config: Config): Pool[] {
  const names = new Set(Object.values(config.router?.groups ?? {}).map(({ pool }) => pool))
  return [...names].flatMap((name) => config.pools[name] ?? [])
}
