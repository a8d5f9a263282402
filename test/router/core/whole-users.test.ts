import fc from 'fast-check'
import t from 'tap'
import { apportion } from '../../../router/core/apportion.ts'
import { simulate } from '../../../router/core/simulate.ts'
import type { Placement, PlacementSimulation } from '../../../router/core/simulate.ts'
import { buildSlotTable } from '../../../router/core/slot-table.ts'
import { wholeUsers } from '../../../router/core/whole-users.ts'

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

void t.test('what is left over goes to the largest remainders', (t) => {
  t.strictSame(apportion(5, [1, 1, 1]), [2, 2, 1])
  t.strictSame(apportion(10, [0.26, 0.55, 0.19]), [3, 5, 2])
  t.strictSame(apportion(3, [0, 1]), [0, 3])
  t.strictSame(apportion(3, [0, 0]), [0, 0])
  t.strictSame(apportion(5, [1, 1, 1], [1, 2, 9]), [1, 2, 2])
  t.strictSame(apportion(5, [1, 1, 0], [1, 1, 9]), [1, 1, 0], 'no room')
  t.end()
})

void t.test('parts add up to the whole, each less than one from its exact share', (t) => {
  const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1 })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), shares, (total, shares) => {
      const whole = sum(shares)
      // A sum too small to divide by is no share.
      fc.pre(whole > 1e-9)
      const parts = apportion(total, shares)
      return (
        sum(parts) === total &&
        parts.every((part, i) => Math.abs(part - (total * shares[i]!) / whole) < 1 + 1e-6)
      )
    }),
  )
  t.end()
})

const WEIGHTS = [1, 2, 1, 3, 1, 1, 1]
const SERVERS = WEIGHTS.map((weight, i) => ({ name: `cache-${i}`, weight }))
const TABLE = buildSlotTable(SERVERS)

function outage(fallback: Placement['fallback'], factors: readonly number[], down: Set<number>) {
  const placement = { servers: SERVERS, weights: WEIGHTS, table: TABLE, fallback, factors }
  return simulate({ ...placement, backup: fallback === 'backup' ? 3 : undefined }, down)
}

function isSum(found: PlacementSimulation, down: Set<number>, userCount: number): boolean {
  const { before, after, moved, othersMoved, unserved } = wholeUsers(found, down, userCount)
  const ofDown = sum([...down].map((server) => before[server]!))
  const newlyUnserved = unserved - (userCount - sum(before))
  const came = after.reduce((all, count, i) => all + Math.max(0, count - before[i]!), 0)
  return (
    sum(after) + unserved === userCount &&
    newlyUnserved >= 0 &&
    moved === ofDown + othersMoved &&
    moved >= came &&
    [...before, ...after].every((count) => Number.isInteger(count) && count >= 0) &&
    [...down].every((server) => after[server] === 0) &&
    before.every((count, i) => Math.abs(count - found.usersBefore[i]! * userCount) < 1.001) &&
    after.every((count, i) => Math.abs(count - found.usersAfter[i]! * userCount) < 4)
  )
}

void t.test('few users or many: what is shown adds up, before and after', (t) => {
  const factor = fc.constantFrom(0, 0.5, 1, 1, 1)
  fc.assert(
    fc.property(
      fc.constantFrom<Placement['fallback'][]>('spread', 'scatter', 'backup'),
      fc.array(factor, { minLength: WEIGHTS.length, maxLength: WEIGHTS.length }),
      fc.uniqueArray(fc.nat(WEIGHTS.length - 1), { minLength: 1 }),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 1e9 })), {
        minLength: 20,
        maxLength: 20,
      }),
      (fallback, factors, servers, userCounts) => {
        const down = new Set(servers)
        const found = outage(fallback, factors, down)
        return userCounts.every((userCount) => isSum(found, down, userCount))
      },
    ),
    // No shrinking: each try walks all slots.
    { numRuns: 15, endOnFailure: true },
  )
  t.end()
})

void t.test('no more users leave a server than it is shown to have', (t) => {
  const found = outage(
    'spread',
    WEIGHTS.map(() => 1),
    new Set(),
  )
  const twoLeave = {
    ...found,
    usersBefore: Float64Array.of(0.3, 0.3, 0.4),
    usersAfter: Float64Array.of(0, 0, 1),
    leaving: Float64Array.of(0.3, 0.3, 0),
    arriving: Float64Array.of(0, 0, 0.6),
    moved: 0.6,
    othersMoved: 0.6,
  }
  t.strictSame(wholeUsers(twoLeave, new Set(), 1), {
    before: [0, 0, 1],
    after: [0, 0, 1],
    moved: 0,
    othersMoved: 0,
    unserved: 0,
  })
  t.end()
})

void t.test(
  'with spread only the users of the dead move, and no survivor is shown to lose',
  (t) => {
    const down = new Set([1, 4])
    const found = outage(
      'spread',
      WEIGHTS.map(() => 1),
      down,
    )
    for (let userCount = 1; userCount <= 100; userCount++) {
      const { before, after, moved, othersMoved } = wholeUsers(found, down, userCount)
      t.equal(othersMoved, 0)
      t.equal(moved, before[1]! + before[4]!)
      t.ok(after.every((count, i) => down.has(i) || count >= before[i]!))
    }
    t.end()
  },
)
