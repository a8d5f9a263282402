import { CacheChooser } from './cache-chooser.ts'
import type { CacheChooserOptions } from './cache-chooser.ts'
import { SLOT_COUNT } from './slot-hash.ts'

/** One group's placement as it is now. */
export interface Placement extends CacheChooserOptions {
  /** The weights in force, by index. */
  readonly weights: readonly number[]
  /** Built from those weights. */
  readonly table: Uint16Array
  /** Share of its slots that each server serves; 0 where it is down or drained. */
  readonly factors: readonly number[]
  /** Share of the users whom the explicit homes name, the others are hashed; undefined: all. */
  readonly namedShare?: number | undefined
}

/** What becomes of a group's users when servers go. Users are shares of all, 0 to 1, by index. */
export interface PlacementSimulation {
  readonly usersBefore: Float64Array
  readonly usersAfter: Float64Array
  /** Users who go from each one to another, or to none. */
  readonly leaving: Float64Array
  /** Users who come to each one from another. */
  readonly arriving: Float64Array
  /** Of the users that lost their server, the share that each one gets. */
  readonly shareOfLost: Float64Array
  /** Requests per second, if they were given. */
  readonly rateBefore: Float64Array
  readonly rateAfter: Float64Array
  /** Users whose server is another one afterwards, or none. */
  readonly moved: number
  /** Those of them whose server before has not gone. */
  readonly othersMoved: number
  /** Users for whom no server is left. */
  readonly unserved: number
  /** The survivor that gets the largest share of the lost users; -1 if nobody does. */
  readonly worstSurvivor: number
  /** Of the survivors, users by weight, the highest to the mean; 0 where nobody is left. */
  readonly maxToMean: number
}

/**
 * Users and load per server, before and after `down` go. `rates` are the requests per second of
 * each server now; users take theirs along. Walks every slot: some tens of milliseconds.
 */
export function simulate(
  placement: Placement,
  down: ReadonlySet<number>,
  rates: readonly number[] = [],
): PlacementSimulation {
  const { servers, weights, factors } = placement
  const before = chooserOf(placement, factors)
  const after = chooserOf(
    placement,
    factors.map((factor, server) => (down.has(server) ? 0 : factor)),
  )
  const count = servers.length
  const usersBefore = new Float64Array(count)
  const usersAfter = new Float64Array(count)
  const leaving = new Float64Array(count)
  const arriving = new Float64Array(count)
  const gained = new Float64Array(count)
  const rateBefore = Float64Array.from(servers, (_, server) => rates[server] ?? 0)
  const rateAfter = new Float64Array(count)
  let moved = 0
  let othersMoved = 0
  let unserved = 0

  const flows: { from: number; to: number; share: number }[] = []
  for (const { home, share } of homesOf(placement)) {
    // A home that stays, whole, keeps everybody: no need to look at its slots.
    const stays = home >= 0 && before.isWholeHome(home) && after.isWholeHome(home)
    if (stays) {
      flows.push({ from: home, to: home, share })
      continue
    }
    flows.push(...flowsOf(before, after, home, share, count))
  }
  for (const { from, share } of flows) if (from >= 0) usersBefore[from]! += share
  for (const { from, to, share } of flows) {
    if (from !== to) {
      moved += share
      if (from >= 0) leaving[from]! += share
      if (to >= 0) arriving[to]! += share
      if (from >= 0 && !down.has(from)) othersMoved += share
      if (to >= 0 && down.has(from)) gained[to]! += share
    }
    if (to < 0) unserved += share
    else {
      usersAfter[to]! += share
      if (from >= 0) rateAfter[to]! += (rateBefore[from]! * share) / usersBefore[from]!
    }
  }
  const lost = [...down].reduce((sum, server) => sum + usersBefore[server]!, 0)
  const shareOfLost = lost === 0 ? gained : gained.map((share) => share / lost)
  const most = Math.max(...shareOfLost)
  return {
    usersBefore,
    usersAfter,
    leaving,
    arriving,
    shareOfLost,
    rateBefore,
    rateAfter,
    moved,
    othersMoved,
    unserved,
    worstSurvivor: most > 0 ? shareOfLost.indexOf(most) : -1,
    maxToMean: maxToMean(
      usersAfter,
      weights,
      (server) => !down.has(server) && factors[server]! > 0,
    ),
  }
}

function chooserOf(placement: Placement, factors: readonly number[]): CacheChooser {
  const chooser = new CacheChooser(placement)
  chooser.setWeights(placement.weights, placement.table)
  factors.forEach((factor, server) => {
    chooser.setFactor(server, factor)
  })
  return chooser
}

/** Explicit homes with their share of the users; -1 stands for the users that are hashed. */
function homesOf(placement: Placement): { home: number; share: number }[] {
  const { shards, servers, namedShare = 1 } = placement
  if (shards === undefined) return [{ home: -1, share: 1 }]
  const homes = Array.from(shards.homeShares(servers.length), (share, home) => {
    return { home, share: share * namedShare }
  })
  return [{ home: -1, share: 1 - namedShare }, ...homes].filter(({ share }) => share > 0)
}

/** Where one home's users come from and go to, summed over the slots. */
function flowsOf(
  before: CacheChooser,
  after: CacheChooser,
  home: number,
  share: number,
  serverCount: number,
): { from: number; to: number; share: number }[] {
  const slots = new Map<number, number>()
  const base = serverCount + 1
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    before.locateSlot(slot, home)
    after.locateSlot(slot, home)
    const key = (before.first() + 1) * base + after.first() + 1
    slots.set(key, (slots.get(key) ?? 0) + 1)
  }
  return Array.from(slots, ([key, slotCount]) => ({
    from: Math.floor(key / base) - 1,
    to: (key % base) - 1,
    share: (share * slotCount) / SLOT_COUNT,
  }))
}

/** The heaviest server's users by weight, to the mean of those that `counts` names. */
function maxToMean(
  users: Float64Array,
  weights: readonly number[],
  counts: (server: number) => boolean,
): number {
  let most = 0
  let userSum = 0
  let weightSum = 0
  users.forEach((share, server) => {
    const weight = weights[server]!
    if (weight === 0 || !counts(server)) return
    most = Math.max(most, share / weight)
    userSum += share
    weightSum += weight
  })
  return userSum === 0 ? 0 : most / (userSum / weightSum)
}
