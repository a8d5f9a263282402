import type { Config } from '../../common/config/config.ts'
import { movedShare } from '../../router/core/moved-share.ts'
import type { Homes, MovedShare } from '../../router/core/moved-share.ts'
import { runtimeWeights } from '../../router/core/overrides.ts'
import type { Overrides } from '../../router/core/overrides.ts'
import type { WeightedServer } from '../../router/core/rendezvous.ts'
import { moduloShardMap } from '../../router/core/shard-map.ts'
import type { ShardMap } from '../../router/core/shard-map.ts'
import { tableShardMap } from '../../router/core/shard-table.ts'
import { tableKey, weightedServers } from '../../router/core/slot-table.ts'
import type { TableNote } from '../../router/io/messages.ts'
import { loadShardTable, loadSlotTable } from '../../router/io/table-file.ts'

/** Where the users are: a configuration, what overrides it, and the tables built for both. */
export interface Placing {
  readonly config: Config
  readonly overrides: Overrides
  readonly tables: readonly TableNote[]
}

/** How many would have another home, and of whom. */
export interface Moved {
  readonly pct: number
  /** `the users`, or in more words those of them that are meant. */
  readonly of: string
}

/**
 * The users who would have another home: of the group where most would move. A group that is new, or
 * gone, moves nobody.
 */
export async function measureMoved(before: Placing, after: Placing): Promise<Moved> {
  let worst: Moved = { pct: 0, of: 'the users' }
  for (const name of Object.keys(after.config.router?.groups ?? {})) {
    if (homesKey(before, name) === homesKey(after, name)) continue
    const [was, will] = [await homesOf(before, name), await homesOf(after, name)]
    if (was === undefined || will === undefined) continue
    const { share, users } = movedShare(was, will)
    if (100 * share > worst.pct) worst = { pct: 100 * share, of: usersWords(users, name) }
  }
  return worst
}

function usersWords(users: MovedShare['users'], group: string): string {
  switch (users) {
    case 'all':
      return 'the users'
    case 'named':
      return `the users whom a shard table of ${group} names`
    case 'unnamed':
      return `the users whom no shard table of ${group} names`
  }
}

/** Equal where nobody can have moved. */
function homesKey(placing: Placing, name: string): string {
  const group = placing.config.router?.groups[name]
  const shards = placing.tables.find(({ kind, key }) => kind === 'shards' && key === name)
  return JSON.stringify([tableKey(serversOf(placing, name)), group?.shards, shards?.digest])
}

/** What a group's homes follow from; undefined where there is no such group. */
export async function homesOf(placing: Placing, name: string): Promise<Homes | undefined> {
  const group = placing.config.router?.groups[name]
  if (group === undefined) return undefined
  const servers = serversOf(placing, name)
  const table = await slotTableOf(placing.tables, servers)
  return table && { servers, shards: await shardsOf(placing, name), table }
}

/** The slots' table of these servers with these weights; undefined where none was built. */
export async function slotTableOf(
  tables: readonly TableNote[],
  servers: readonly WeightedServer[],
): Promise<Uint16Array | undefined> {
  const key = tableKey(servers)
  const note = tables.find((one) => one.kind === 'slots' && one.key === key)
  return note && loadSlotTable(note)
}

async function shardsOf(placing: Placing, name: string): Promise<ShardMap | undefined> {
  const shards = placing.config.router?.groups[name]?.shards
  switch (shards?.type) {
    case 'modulo':
      return moduloShardMap(shards.modulo)
    case 'table': {
      const note = placing.tables.find(({ kind, key }) => kind === 'shards' && key === name)
      return note && tableShardMap(await loadShardTable(note))
    }
    case 'hash':
    case undefined:
      return undefined
  }
}

function serversOf({ config, overrides }: Placing, name: string) {
  const pool = config.router?.groups[name]?.pool ?? ''
  return weightedServers(config.pools[pool]?.servers ?? [], runtimeWeights(overrides, pool))
}
