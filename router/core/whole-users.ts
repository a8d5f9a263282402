import { apportion } from './apportion.ts'
import type { PlacementSimulation } from './simulate.ts'

/** A simulation in whole users, by index. */
export interface WholeUsers {
  /** Together all users, but for those whom nobody serves. */
  readonly before: readonly number[]
  /** With `unserved` together all users; what has come and gone since `before` is `moved`. */
  readonly after: readonly number[]
  readonly moved: number
  readonly othersMoved: number
  readonly unserved: number
}

/**
 * `userCount` users as the simulation has them, in numbers that add up: whoever leaves one server
 * arrives at another, or has none. Rounded one by one they would not.
 */
export function wholeUsers(
  found: PlacementSimulation,
  down: ReadonlySet<number>,
  userCount: number,
): WholeUsers {
  const { usersBefore, leaving, arriving } = found
  const unservedBefore = rest(1, usersBefore)
  const before = apportion(userCount, [...usersBefore, unservedBefore])
  const nobodys = before.pop() ?? 0
  const others = leaving.map((share, server) => (down.has(server) ? 0 : share))
  const left = apportion(Math.round(found.othersMoved * userCount), others, before)
  const othersMoved = sumOf(left)
  // Nobody stays with a server that goes.
  for (const server of down) left[server] = before[server]!
  const moved = sumOf(left)
  const arrived = apportion(moved, [...arriving, rest(found.moved, arriving)])
  const unserved = nobodys + (arrived.pop() ?? 0)
  const after = before.map((count, server) => count - left[server]! + arrived[server]!)
  return { before, after, moved, othersMoved, unserved }
}

/** What is missing to `whole`; sums of shares are off by their last bits. */
function rest(whole: number, shares: Float64Array): number {
  const missing = whole - sumOf(shares)
  return missing < 1e-9 ? 0 : missing
}

const sumOf = (numbers: Iterable<number>): number => {
  let sum = 0
  for (const number of numbers) sum += number
  return sum
}
