import { hashName, hashSlot, slotKey, unitOf } from './slot-hash.ts'
import type { NameHash } from './slot-hash.ts'

/** What placement knows of a server: its name and its weight, never its address or position. */
export interface WeightedServer {
  readonly name: string
  /** 0 or more; 0 is quiesced: it is in no slot's list. */
  readonly weight: number
}

/** Most servers a pool can have: an index is a Uint16, and 65,535 says "none". */
export const MAX_SERVERS = 65_535

/** In a table of indices: no server. */
export const NO_SERVER = 0xffff

/** -w / ln u, the score of weighted rendezvous hashing; the highest is first. */
export function score(name: NameHash, weight: number, slot: number): number {
  const key = slotKey(slot)
  const high = hashSlot(name.scoreHigh, key, name.byteCount)
  const low = hashSlot(name.scoreLow, key, name.byteCount)
  return -weight / Math.log(unitOf(high, low))
}

/** Indices of the servers that have a weight, by name: the order in which ties are won. */
export function byName(servers: readonly WeightedServer[]): number[] {
  return servers
    .map((_, index) => index)
    .filter((index) => servers[index]!.weight > 0)
    .sort((a, b) => (servers[a]!.name < servers[b]!.name ? -1 : 1))
}

/** The whole order of a slot's servers, for what the table of eight ranks does not hold. */
export class Rendezvous {
  readonly #byName: readonly number[]
  readonly #names: readonly NameHash[]
  readonly #weights: readonly number[]
  readonly #scores: Float64Array
  readonly #sorted: Float64Array

  constructor(servers: readonly WeightedServer[]) {
    this.#byName = byName(servers)
    this.#names = this.#byName.map((index) => hashName(servers[index]!.name))
    this.#weights = this.#byName.map((index) => servers[index]!.weight)
    this.#scores = new Float64Array(this.#byName.length)
    this.#sorted = new Float64Array(this.#byName.length)
  }

  /** Indices of all servers with a weight, best first; a fresh array. */
  order(slot: number): Uint16Array {
    const scores = this.#scores
    const count = scores.length
    for (let i = 0; i < count; i++) scores[i] = -score(this.#names[i]!, this.#weights[i]!, slot)
    const sorted = this.#sorted
    sorted.set(scores)
    sorted.sort()
    const order = new Uint16Array(count).fill(NO_SERVER)
    for (let i = 0; i < count; i++) {
      let place = lowerBound(sorted, scores[i]!)
      // Equal scores: the first by name came first.
      while (order[place] !== NO_SERVER) place++
      order[place] = this.#byName[i]!
    }
    return order
  }
}

function lowerBound(sorted: Float64Array, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}
