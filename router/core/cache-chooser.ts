import { LRUCache } from 'lru-cache'
import { NO_SERVER, Rendezvous } from './rendezvous.ts'
import type { WeightedServer } from './rendezvous.ts'
import type { ShardMap } from './shard-map.ts'
import { hashName, isWithinFactor, SLOT_COUNT, slotOf } from './slot-hash.ts'
import type { NameHash } from './slot-hash.ts'
import { RANK_COUNT } from './slot-table.ts'

/** What a chooser is made for: one group's servers and what becomes of a down one's users. */
export interface CacheChooserOptions {
  /** The pool's servers as listed, with their configured weights. */
  readonly servers: readonly WeightedServer[]
  /** Explicit homes; undefined: everybody is hashed. */
  readonly shards?: ShardMap | undefined
  readonly fallback: 'spread' | 'scatter' | 'backup'
  /** Index of the one server that takes over, with `fallback: backup`. */
  readonly backup?: number | undefined
}

/** Slots whose answer is derived together, at the first request for one of them. */
const BLOCK_SLOTS = 256
const BLOCK_SHIFT = 8

/** Memory for remembered whole orders. */
const ORDERS_BYTES = 8 * 2 ** 20

/** How a server stands: down, up for all slots, or up for a share of them. */
const STATE = { down: 0, full: 1, partial: 2 } as const

const nobody = (): boolean => false

/**
 * Which cache a user's request goes to. Per request: `locate`, `first`, and `next` for each server
 * that was tried, is full or is suspect. The answers depend on names, weights, factors and the user
 * alone: every worker and router that saw the same verdicts gives the same ones (`scatter` takes
 * turns, so there only the home is the same).
 *
 * A change of a server's standing costs nothing when it is set: slot -> server is derived anew by
 * blocks of 256 slots, each when its first request comes (a few microseconds).
 */
export class CacheChooser {
  readonly #servers: readonly WeightedServer[]
  readonly #names: readonly NameHash[]
  /** What becomes of the users whose home is out. */
  readonly fallback: 'spread' | 'scatter' | 'backup'
  readonly #backup: number

  /** What the checks say that each carries, and what of it a returning one has back. */
  readonly #checked: Float64Array
  readonly #shares: Float64Array
  /** The product of both. */
  readonly #factors: Float64Array
  readonly #isDrained: Uint8Array
  readonly #homeFactors: Float64Array
  readonly #states: Uint8Array
  readonly #turns: Float64Array
  #weights: Float64Array
  #shards: ShardMap | undefined

  #table: Uint16Array | undefined
  #rendezvous: Rendezvous | undefined
  readonly #orders: LRUCache<number, Uint16Array>

  readonly #now = new Uint16Array(SLOT_COUNT)
  readonly #blockGenerations = new Int32Array(SLOT_COUNT / BLOCK_SLOTS)
  #generation = 1

  /** The located user's slot. */
  slot = 0
  #explicitHome = -1
  #server = -1

  /** All servers are down until `setFactor` says otherwise; the configured weights hold. */
  constructor({ servers, shards, fallback, backup }: CacheChooserOptions) {
    this.#servers = servers
    this.#names = servers.map(({ name }) => hashName(name))
    this.#shards = shards
    this.fallback = fallback
    this.#backup = backup ?? -1
    this.#checked = new Float64Array(servers.length)
    this.#shares = new Float64Array(servers.length).fill(1)
    this.#factors = new Float64Array(servers.length)
    this.#isDrained = new Uint8Array(servers.length)
    this.#homeFactors = new Float64Array(servers.length)
    this.#states = new Uint8Array(servers.length)
    this.#turns = new Float64Array(servers.length)
    const orderBytes = 2 * servers.length + 64
    this.#orders = new LRUCache({
      // A `max` of entries would take its room at once.
      maxSize: Math.max(16 * orderBytes, ORDERS_BYTES),
      sizeCalculation: () => orderBytes,
    })
    this.#weights = new Float64Array(servers.length)
    this.setWeights(
      servers.map(({ weight }) => weight),
      undefined,
    )
  }

  /**
   * Takes new weights (by index) and the table that was built from them, both at once. Without a
   * table the answers are the same, but each slot's order is computed when it is asked for.
   */
  setWeights(weights: readonly number[], table: Uint16Array | undefined): void {
    this.#weights = Float64Array.from(weights)
    this.#servers.forEach(({ weight: configured }, server) => {
      const weight = weights[server]!
      // A home that was configured to take nobody takes everybody once it is given any weight.
      this.#homeFactors[server] = weight === 0 ? 0 : Math.min(1, weight / configured)
    })
    this.#rendezvous = undefined
    this.#orders.clear()
    this.#table = table
    this.#generation++
  }

  /** Takes other explicit homes: a shard table's file was changed. */
  setShards(shards: ShardMap | undefined): void {
    this.#shards = shards
  }

  /** The share of its slots that a server serves: 1 all, 0 down. */
  setFactor(server: number, factor: number): void {
    if (this.#checked[server] === factor) return
    this.#checked[server] = factor
    this.#refresh(server)
  }

  /**
   * The share of those slots, above 0, that a returning server has back: 1 all. While it is less,
   * the server stands in for the others only where nobody else would.
   */
  setShare(server: number, share: number): void {
    if (this.#shares[server] === share) return
    this.#shares[server] = share
    this.#refresh(server)
  }

  /** A drained server gets no new request, whatever its factor. */
  setDrained(server: number, isDrained: boolean): void {
    if ((this.#isDrained[server] === 1) === isDrained) return
    this.#isDrained[server] = isDrained ? 1 : 0
    this.#refresh(server)
  }

  #refresh(server: number): void {
    const factor = this.#checked[server]! * this.#shares[server]!
    this.#factors[server] = factor
    const isOut = this.#isDrained[server] === 1 || factor <= 0
    this.#states[server] = isOut ? STATE.down : factor >= 1 ? STATE.full : STATE.partial
    this.#generation++
  }

  /** Finds the slot and home of user[0, length). */
  locate(user: Uint8Array, length: number): void {
    this.slot = slotOf(user, length)
    this.#explicitHome = this.#shards === undefined ? -1 : this.#shards.homeOf(user, length)
    this.#server = -1
  }

  /** As `locate`, for all users of a slot, or those of them with this explicit home (-1: none). */
  locateSlot(slot: number, explicitHome: number): void {
    this.slot = slot
    this.#explicitHome = explicitHome
    this.#server = -1
  }

  /** The located user's rank 0, whatever its state; -1 if no server has a weight. */
  get home(): number {
    if (this.#explicitHome >= 0) return this.#explicitHome
    return this.#ranked(0)
  }

  /** True where the shard map named the home. */
  get isExplicitHome(): boolean {
    return this.#explicitHome >= 0
  }

  /**
   * The rank, in the located user's list, of the server chosen last: 0 is home. With `scatter` and
   * `backup` whoever stands in is 1. -1 if none was chosen.
   */
  get rank(): number {
    const server = this.#server
    if (server < 0) return -1
    if (server === this.home) return 0
    if (this.fallback !== 'spread') return 1
    return this.order().indexOf(server)
  }

  /** True if this server takes requests for the located slot, at ranks other than explicit home. */
  isUsable(server: number): boolean {
    const state = this.#states[server]
    if (state !== STATE.partial) return state === STATE.full
    return isWithinFactor(this.#names[server]!, this.slot, this.#factors[server]!)
  }

  /** True if the located user is kept from this server by nothing but its return in steps. */
  isNotBackYet(server: number): boolean {
    if (this.#shares[server] === 1 || this.#states[server] === STATE.down) return false
    if (this.isUsableHere(server)) return false
    const weighed = server === this.#explicitHome ? this.#homeFactors[server]! : 1
    return isWithinFactor(this.#names[server]!, this.slot, this.#checked[server]! * weighed)
  }

  /** True if this explicit home serves all its users. */
  isWholeHome(server: number): boolean {
    return this.#states[server] === STATE.full && this.#homeFactors[server] === 1
  }

  /** As `isUsable`, for the located user: an explicit home's weight counts too. */
  isUsableHere(server: number): boolean {
    return server === this.#explicitHome ? this.#isHomeUsable(server) : this.isUsable(server)
  }

  /** The server for the located user now, or -1 if there is none. Call it once per request. */
  first(): number {
    if (this.#explicitHome >= 0 || this.fallback !== 'spread' || this.#table === undefined)
      return this.next(nobody)
    const slot = this.slot
    if (this.#blockGenerations[slot >>> BLOCK_SHIFT] !== this.#generation)
      this.#derive(slot >>> BLOCK_SHIFT)
    const server = this.#now[slot]!
    if (server === NO_SERVER) return this.next(nobody)
    this.#server = server
    return server
  }

  /**
   * The best-ranked usable server that is not passed by; else, as a part of a weight is to cost
   * nobody his photo, the best-ranked one of those that are up: first one that is not back yet, then
   * one that takes a part of its slots only; or -1.
   */
  next(isPassedBy: (server: number) => boolean): number {
    const server = this.#nextUsable(isPassedBy)
    return server >= 0 ? server : (this.#server = this.#nextUp(isPassedBy))
  }

  /** Of those that `#nextUsable` has not asked about: nobody is asked about twice. */
  #nextUp(isPassedBy: (server: number) => boolean): number {
    const others = this.fallback === 'backup' ? [this.home, this.#backup] : this.order()
    let up = -1
    for (const server of others) {
      if (server < 0 || !this.#isUp(server) || this.isUsableHere(server)) continue
      if (isPassedBy(server)) continue
      if (this.isNotBackYet(server)) return server
      if (up < 0) up = server
    }
    return up
  }

  /** Whether it may serve at all: one that is quiesced, by a weight of 0, may not. */
  #isUp(server: number): boolean {
    return this.#states[server] !== STATE.down && this.#weights[server]! > 0
  }

  #nextUsable(isPassedBy: (server: number) => boolean): number {
    const home = this.#explicitHome
    if (home >= 0 && this.#isHomeUsable(home) && !isPassedBy(home)) return (this.#server = home)
    if (this.fallback === 'spread') return (this.#server = this.#nextSpread(isPassedBy))
    if (home < 0) {
      const hashed = this.#ranked(0)
      if (hashed >= 0 && this.isUsable(hashed) && !isPassedBy(hashed))
        return (this.#server = hashed)
    }
    if (this.fallback === 'scatter') return (this.#server = this.#nextTurn(isPassedBy))
    const backup = this.#backup
    const isReady = backup !== this.home && this.#isUp(backup) && this.isUsable(backup)
    return (this.#server = isReady && !isPassedBy(backup) ? backup : -1)
  }

  /** The located user's whole list, best first: the home, then each fallback. */
  order(): number[] {
    const order = Array.from(this.#orderOf(this.slot))
    const home = this.#explicitHome
    return home < 0 ? order : [home, ...order.filter((server) => server !== home)]
  }

  #isHomeUsable(home: number): boolean {
    const state = this.#states[home]
    if (state === STATE.down) return false
    const factor = this.#factors[home]! * this.#homeFactors[home]!
    return isWithinFactor(this.#names[home]!, this.slot, factor)
  }

  #nextSpread(isPassedBy: (server: number) => boolean): number {
    const home = this.#explicitHome
    const table = this.#table
    let rank = 0
    if (table !== undefined) {
      const base = this.slot * RANK_COUNT
      for (; rank < RANK_COUNT; rank++) {
        const server = table[base + rank]!
        if (server === NO_SERVER) return -1
        if (server !== home && this.isUsable(server) && !isPassedBy(server)) return server
      }
    }
    const order = this.#orderOf(this.slot)
    for (; rank < order.length; rank++) {
      const server = order[rank]!
      if (server !== home && this.isUsable(server) && !isPassedBy(server)) return server
    }
    return -1
  }

  /** Smooth weighted round robin, as nginx has it, over the usable others. */
  #nextTurn(isPassedBy: (server: number) => boolean): number {
    const home = this.home
    const turns = this.#turns
    let best = -1
    let total = 0
    for (let server = 0; server < turns.length; server++) {
      const weight = this.#weights[server]!
      if (server === home || weight === 0 || !this.isUsable(server) || isPassedBy(server)) continue
      const turn = turns[server]! + weight
      turns[server] = turn
      total += weight
      if (best < 0 || turn > turns[best]!) best = server
    }
    if (best >= 0) turns[best] = turns[best]! - total
    return best
  }

  #ranked(rank: number): number {
    const server =
      this.#table === undefined
        ? (this.#orderOf(this.slot)[rank] ?? NO_SERVER)
        : this.#table[this.slot * RANK_COUNT + rank]!
    return server === NO_SERVER ? -1 : server
  }

  #orderOf(slot: number): Uint16Array {
    let order = this.#orders.get(slot)
    if (order === undefined) {
      this.#rendezvous ??= new Rendezvous(
        this.#servers.map(({ name }, server) => ({ name, weight: this.#weights[server]! })),
      )
      order = this.#rendezvous.order(slot)
      this.#orders.set(slot, order)
    }
    return order
  }

  #derive(block: number): void {
    const table = this.#table!
    const states = this.#states
    const now = this.#now
    const end = (block + 1) * BLOCK_SLOTS
    for (let slot = block * BLOCK_SLOTS; slot < end; slot++) {
      let chosen = NO_SERVER
      for (let at = slot * RANK_COUNT; at < (slot + 1) * RANK_COUNT; at++) {
        const server = table[at]!
        if (server === NO_SERVER) break
        const state = states[server]
        if (state === STATE.down) continue
        if (state === STATE.partial) {
          const factor = this.#factors[server]!
          if (!isWithinFactor(this.#names[server]!, slot, factor)) continue
        }
        chosen = server
        break
      }
      now[slot] = chosen
    }
    this.#blockGenerations[block] = this.#generation
  }
}
