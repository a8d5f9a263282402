import type { NamedIds } from './named-ids.ts'
import type { Placement } from './simulate.ts'
import { SLOT_COUNT, slotOf } from './slot-hash.ts'
import { RANK_COUNT } from './slot-table.ts'

/** What `movedShare` compares: where the users are at home, whatever is up. */
export type Homes = Pick<Placement, 'servers' | 'shards' | 'table'>

/** A share, 0 to 1, of which of a group's users. */
export interface MovedShare {
  readonly share: number
  /** All of them, or those whom a shard table (the old or the new one) names, or none does. */
  readonly users: 'all' | 'named' | 'unnamed'
}

/**
 * The share of a group's users whose home has another name under the new placement. Nobody knows how
 * many users a shard table leaves to the hash, so with one the largest of these shares counts: of
 * the ids that the old table names, of those that the new one names, and of the users whom neither
 * does.
 *
 * Exact for users who are hashed and for tables of at most 50,000 ids; of more, so many are drawn,
 * evenly (by golden ratio).
 */
export function movedShare(before: Homes, after: Homes): MovedShare {
  const maps = [before, after].flatMap(({ shards }) => (shards === undefined ? [] : [shards]))
  if (maps.length === 0) return { share: movedSlots(before, after), users: 'all' }
  const tables = maps.flatMap((map) => map.named() ?? [])
  const share = (ids: Iterable<string>): number => movedIds(ids, before, after)
  const found: MovedShare[] = tables.map((ids) => ({ share: share(drawn(ids)), users: 'named' }))
  found.push(
    tables.length === maps.length
      ? { share: movedSlots(before, after), users: 'unnamed' }
      : { share: share(anyIds()), users: 'all' },
  )
  return found.reduce((most, one) => (one.share > most.share ? one : most))
}

function movedSlots(before: Homes, after: Homes): number {
  let moved = 0
  for (let at = 0; at < before.table.length; at += RANK_COUNT)
    if (before.servers[before.table[at]!]?.name !== after.servers[after.table[at]!]?.name) moved++
  return moved / SLOT_COUNT
}

function movedIds(ids: Iterable<string>, before: Homes, after: Homes): number {
  const encoder = new TextEncoder()
  let moved = 0
  let count = 0
  for (const id of ids) {
    const user = encoder.encode(id)
    if (homeName(before, user) !== homeName(after, user)) moved++
    count++
  }
  return count === 0 ? 0 : moved / count
}

const SAMPLES = 50_000
const GOLDEN = 0.618_033_988_749_895

function* drawn(ids: NamedIds): Iterable<string> {
  const { count } = ids
  const samples = Math.min(count, SAMPLES)
  for (let sample = 0; sample < samples; sample++)
    yield ids.at(count === samples ? sample : ((sample * GOLDEN) % 1) * count)
}

/** Half of them the first ones, the others of all ids of nine digits. */
function* anyIds(): Iterable<string> {
  for (let sample = 0; sample < SAMPLES; sample++)
    yield String(sample < SAMPLES / 2 ? sample : Math.floor(((sample * GOLDEN) % 1) * 1e9))
}

function homeName({ servers, shards, table }: Homes, user: Uint8Array): string {
  const explicit = shards?.homeOf(user, user.length) ?? -1
  const home = explicit >= 0 ? explicit : table[slotOf(user, user.length) * RANK_COUNT]!
  return servers[home]?.name ?? ''
}
