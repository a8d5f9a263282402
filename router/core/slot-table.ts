import { byName, NO_SERVER } from './rendezvous.ts'
import type { WeightedServer } from './rendezvous.ts'
import { hashName, hashSlot, murmur3, SLOT_COUNT, slotKey, unitOf } from './slot-hash.ts'

/** Ranks that the table holds of each slot's order: home and seven fallbacks. */
export const RANK_COUNT = 8

/** Size of a table in bytes: slots x ranks x Uint16. */
export const SLOT_TABLE_BYTES = SLOT_COUNT * RANK_COUNT * 2

/**
 * Builds the table: entry [slot * 8 + rank] is the index, in `servers` as given, of the slot's
 * rank-th server by weighted rendezvous hashing, or `NO_SERVER`. By name, the table does not
 * depend on the order of `servers`. Takes about a second for 1,000 servers: not for an event loop.
 */
export function buildSlotTable(servers: readonly WeightedServer[]): Uint16Array {
  const indices = Uint16Array.from(byName(servers))
  const count = indices.length
  const names = Array.from(indices, (index) => hashName(servers[index]!.name))
  const weights = Float64Array.from(indices, (index) => servers[index]!.weight)
  const highs = Int32Array.from(names, (name) => name.scoreHigh)
  const lows = Int32Array.from(names, (name) => name.scoreLow)
  const byteCounts = Int32Array.from(names, (name) => name.byteCount)
  const table = new Uint16Array(SLOT_COUNT * RANK_COUNT).fill(NO_SERVER)
  const best = new Float64Array(RANK_COUNT)
  const kept = Math.min(count, RANK_COUNT)

  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const key = slotKey(slot)
    const base = slot * RANK_COUNT
    best.fill(-1)
    let worst = -1
    for (let i = 0; i < count; i++) {
      const byteCount = byteCounts[i]!
      const high = hashSlot(highs[i]!, key, byteCount)
      const weight = weights[i]!
      // -ln u > 1 - u, so a score is below w / (1 - u), and u is below (high + 1) / 2^32.
      if (weight <= worst * (1 - (high + 1) / 2 ** 32)) continue
      const low = hashSlot(lows[i]!, key, byteCount)
      const score = -weight / Math.log(unitOf(high, low))
      if (score <= worst) continue
      let rank = kept - 1
      while (rank > 0 && score > best[rank - 1]!) {
        best[rank] = best[rank - 1]!
        table[base + rank] = table[base + rank - 1]!
        rank--
      }
      best[rank] = score
      table[base + rank] = indices[i]!
      worst = best[kept - 1]!
    }
  }
  return table
}

/**
 * A short name for what a table is made from: equal for equal servers and weights in the same
 * order, so that the groups of a pool share one table, and a worker knows which one it was sent.
 */
export function tableKey(servers: readonly WeightedServer[]): string {
  const text = servers.map((server) => `${server.name} ${server.weight}\n`).join('')
  const bytes = new TextEncoder().encode(text)
  return [11, 12, 13, 14]
    .map((seed) => murmur3(bytes, bytes.length, seed).toString(16).padStart(8, '0'))
    .join('')
}

/** A pool's servers with the weights set at run time (by name) in place of the configured ones. */
export function weightedServers(
  servers: readonly WeightedServer[],
  runtimeWeights: ReadonlyMap<string, number>,
): WeightedServer[] {
  return servers.map(({ name, weight }) => ({ name, weight: runtimeWeights.get(name) ?? weight }))
}
