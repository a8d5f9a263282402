import type { WeightedServer } from '../../../router/core/rendezvous.ts'
import { murmur3 } from '../../../router/core/slot-hash.ts'

/**
 * The dumb oracle: a slot's servers as docs/routing.md describes their order, by one plain sort of
 * all scores, each computed from the name's and slot's bytes in a row.
 */
export function plainOrder(servers: readonly WeightedServer[], slot: number): number[] {
  return servers
    .map(({ name, weight }, index) => ({
      index,
      name,
      weight,
      score: plainScore(name, weight, slot),
    }))
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1))
    .map(({ index }) => index)
}

function hashRow(name: string, slot: number, seed: number): number {
  const utf8 = [...new TextEncoder().encode(name)]
  while (utf8.length % 4 !== 0) utf8.push(0)
  utf8.push(slot & 255, (slot >> 8) & 255, (slot >> 16) & 255, slot >>> 24)
  return murmur3(Uint8Array.from(utf8), utf8.length, seed)
}

function plainScore(name: string, weight: number, slot: number): number {
  const high = BigInt(hashRow(name, slot, 1))
  const low = BigInt(hashRow(name, slot, 2))
  const u = Number((high << 21n) + ((low >> 12n) << 1n) + 1n) / 2 ** 53
  return -weight / Math.log(u)
}

/** True if this server serves this slot at this factor. */
export const isPlainlyWithin = (name: string, slot: number, factor: number): boolean =>
  hashRow(name, slot, 3) / 2 ** 32 < factor
