import type { Placement } from './simulate.ts'
import { SLOT_COUNT, slotOf } from './slot-hash.ts'
import { RANK_COUNT } from './slot-table.ts'

/** What `movedShare` compares: where the users are at home, whatever is up. */
export type Homes = Pick<Placement, 'servers' | 'shards' | 'table'>

/**
 * The share, 0 to 1, of a group's users whose home has another name under the new placement. Exact
 * where users are hashed; with explicit homes, of 100,000 decimal ids: half of them the first
 * ones, the others drawn evenly (by golden ratio) from all ids of nine digits.
 */
export function movedShare(before: Homes, after: Homes): number {
  let moved = 0
  if (before.shards === undefined && after.shards === undefined) {
    for (let at = 0; at < before.table.length; at += RANK_COUNT)
      if (before.servers[before.table[at]!]?.name !== after.servers[after.table[at]!]?.name) moved++
    return moved / SLOT_COUNT
  }
  const user = new Uint8Array(9)
  for (let sample = 0; sample < SAMPLES; sample++) {
    const id = sample < SAMPLES / 2 ? sample : Math.floor(((sample * GOLDEN) % 1) * 1e9)
    const length = writeId(id, user)
    if (homeName(before, user, length) !== homeName(after, user, length)) moved++
  }
  return moved / SAMPLES
}

const SAMPLES = 100_000
const GOLDEN = 0.618_033_988_749_895

function homeName({ servers, shards, table }: Homes, user: Uint8Array, length: number): string {
  const explicit = shards?.homeOf(user, length) ?? -1
  const home = explicit >= 0 ? explicit : table[slotOf(user, length) * RANK_COUNT]!
  return servers[home]?.name ?? ''
}

function writeId(id: number, user: Uint8Array): number {
  const digits = String(id)
  for (let i = 0; i < digits.length; i++) user[i] = digits.charCodeAt(i)
  return digits.length
}
