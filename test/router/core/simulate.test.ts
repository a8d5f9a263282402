import t from 'tap'
import type { Test } from 'tap'
import { CacheChooser } from '../../../router/core/cache-chooser.ts'
import { moduloShardMap } from '../../../router/core/shard-map.ts'
import { parseShardTable, tableShardMap } from '../../../router/core/shard-table.ts'
import { movedShare } from '../../../router/core/moved-share.ts'
import type { WeightedServer } from '../../../router/core/rendezvous.ts'
import { simulate } from '../../../router/core/simulate.ts'
import type { Placement } from '../../../router/core/simulate.ts'
import { SLOT_COUNT } from '../../../router/core/slot-hash.ts'
import { buildSlotTable } from '../../../router/core/slot-table.ts'

const named = (weights: readonly number[]): { name: string; weight: number }[] =>
  weights.map((weight, i) => ({ name: `cache-${i}`, weight }))

const built = new Map<string, Uint16Array>()

/** The table of these servers, built once. */
function tableOf(servers: readonly WeightedServer[]): Uint16Array {
  const key = JSON.stringify(servers)
  const table = built.get(key) ?? buildSlotTable(servers)
  built.set(key, table)
  return table
}

function placementOf(weights: readonly number[], more: Partial<Placement> = {}): Placement {
  const servers = named(weights)
  const table = tableOf(servers)
  return { servers, weights, table, fallback: 'spread', factors: weights.map(() => 1), ...more }
}

const withTable = (placement: Placement, text: string): Placement => {
  const parsed = parseShardTable(
    text,
    placement.servers.map(({ name }) => name),
  )
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return { ...placement, shards: tableShardMap(parsed.table) }
}

const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0)
const near = (t: Test, value: number, wanted: number, by: number): void => {
  t.ok(Math.abs(value - wanted) <= by, `${value} is within ${by} of ${wanted}`)
}

void t.test('with spread a dead cache gives its users to all others, by weight', (t) => {
  const weights = [1, 1, 2, 1, 1, 1]
  const result = simulate(placementOf(weights), new Set([0]), [700, 700, 1400, 700, 700, 700])
  near(t, sum(result.usersBefore), 1, 1e-9)
  near(t, sum(result.usersAfter), 1, 1e-9)
  near(t, result.moved, result.usersBefore[0]!, 1e-9)
  t.equal(result.othersMoved, 0)
  t.equal(result.unserved, 0)
  t.equal(result.usersAfter[0], 0)
  t.equal(result.worstSurvivor, 2)
  near(t, result.shareOfLost[2]!, 2 / 6, 0.01)
  near(t, result.shareOfLost[1]!, 1 / 6, 0.01)
  near(t, sum(result.rateAfter), 4900, 1e-6)
  near(t, result.rateAfter[2]!, 1400 + 700 / 3, 10)
  near(t, result.maxToMean, 1, 0.02)
  t.end()
})

void t.test('what it says is what the chooser does, slot by slot', (t) => {
  const placement = placementOf([1, 2, 3, 1, 1], { factors: [1, 0.5, 1, 0, 1] })
  const down = new Set([2])
  const result = simulate(placement, down)
  const chooser = new CacheChooser(placement)
  chooser.setWeights(placement.weights, placement.table)
  placement.factors.forEach((factor, i) => {
    chooser.setFactor(i, down.has(i) ? 0 : factor)
  })
  const counts = new Float64Array(5)
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    chooser.locateSlot(slot, -1)
    counts[chooser.first()]! += 1 / SLOT_COUNT
  }
  counts.forEach((share, i) => {
    near(t, result.usersAfter[i]!, share, 1e-9)
  })
  t.end()
})

void t.test('numbered homes lose their users to all others too', (t) => {
  const placement = placementOf([1, 1, 1, 1], { shards: moduloShardMap(4) })
  const result = simulate(placement, new Set([3]), [10, 10, 10, 10])
  t.strictSame([...result.usersBefore], [0.25, 0.25, 0.25, 0.25])
  for (const i of [0, 1, 2]) near(t, result.shareOfLost[i]!, 1 / 3, 0.01)
  near(t, result.rateAfter[0]!, 10 + 10 / 3, 0.1)
  t.equal(result.othersMoved, 0)
  t.end()
})

void t.test('a single backup takes all, and its own users have nobody', (t) => {
  const placement = placementOf([1, 1, 1], {
    fallback: 'backup',
    backup: 2,
    shards: moduloShardMap(3),
  })
  const one = simulate(placement, new Set([0]))
  t.equal(one.shareOfLost[2], 1)
  t.equal(one.worstSurvivor, 2)
  near(t, one.maxToMean, 2 / 3 / 0.5, 1e-9)
  const both = simulate(placement, new Set([0, 2]))
  near(t, both.unserved, 2 / 3, 1e-9)
  t.equal(both.worstSurvivor, -1)
  t.end()
})

void t.test('users whom the explicit homes do not name are hashed', (t) => {
  const placement = { ...withTable(placementOf([1, 1, 1, 1]), '1-10 cache-0'), namedShare: 0.2 }
  const { usersBefore, shareOfLost, moved } = simulate(placement, new Set([0]))
  near(t, usersBefore[0]!, 0.4, 0.01)
  near(t, usersBefore[1]!, 0.2, 0.01)
  near(t, moved, 0.4, 0.01)
  near(t, shareOfLost[1]!, 1 / 3, 0.01)
  t.end()
})

void t.test('scatter takes turns', (t) => {
  const result = simulate(placementOf([1, 1, 1], { fallback: 'scatter' }), new Set([0]))
  near(t, result.shareOfLost[1]!, 0.5, 1e-4)
  t.end()
})

void t.test('all down: nobody is served', (t) => {
  const result = simulate(placementOf([1, 1]), new Set([0, 1]))
  near(t, result.unserved, 1, 1e-9)
  t.equal(result.maxToMean, 0)
  const already = simulate(placementOf([1, 1], { factors: [0, 0] }), new Set([0]), [5, 5])
  near(t, already.unserved, 1, 1e-9)
  t.equal(already.moved, 0)
  t.end()
})

void t.test(
  'a configuration that changes nothing moves nobody, one that renames all moves all',
  (t) => {
    const before = placementOf([1, 1, 1])
    t.strictSame(movedShare(before, before), { share: 0, users: 'all' })
    const servers = before.servers.map(({ name, weight }) => ({ name: `new-${name}`, weight }))
    t.equal(movedShare(before, { servers, shards: undefined, table: tableOf(servers) }).share, 1)
    t.end()
  },
)

void t.test('a fourth cache moves a quarter of the users', (t) => {
  near(t, movedShare(placementOf([1, 1, 1]), placementOf([1, 1, 1, 1])).share, 0.25, 0.01)
  t.end()
})

void t.test('listed in another order the same caches move nobody', (t) => {
  const servers = named([1, 2, 3])
  const turned = servers.toReversed()
  const before = { servers, shards: undefined, table: tableOf(servers) }
  t.equal(movedShare(before, { ...before, servers: turned, table: tableOf(turned) }).share, 0)
  t.end()
})

void t.test('another modulo moves what it moves', (t) => {
  const shards = (modulo: number): Placement =>
    placementOf(new Array<number>(modulo).fill(1), { shards: moduloShardMap(modulo) })
  t.equal(movedShare(shards(4), shards(4)).share, 0)
  // Ids that agree modulo 4 and modulo 5: 4 of 20.
  t.equal(movedShare(shards(4), shards(5)).users, 'all')
  near(t, movedShare(shards(4), shards(5)).share, 0.8, 0.005)
  t.end()
})

void t.test('a table file in place of the hash moves the users it names', (t) => {
  const before = placementOf([1, 1])
  const after = withTable(before, '0-499999999 cache-0')
  for (const [was, is] of [
    [before, after],
    [after, before],
  ] as const) {
    const { share, users } = movedShare(was, is)
    near(t, share, 0.5, 0.01)
    t.equal(users, 'named')
  }
  t.end()
})

const lines = (cacheOf: (line: number) => string, idOf = (line: number) => `${line}`): string =>
  Array.from({ length: 10 }, (_, i) => {
    return `${idOf(i + 10)}000000-${idOf(i + 10)}999999 ${cacheOf(i)}`
  }).join('\n')

void t.test(
  'where a table is changed, the users it names are looked at, whatever their ids',
  (t) => {
    const base = placementOf([1, 1, 1])
    const moved = (before: string, after: string): number => {
      const { share, users } = movedShare(withTable(base, before), withTable(base, after))
      if (share > 0) t.equal(users, 'named')
      return share
    }
    const far = (line: number): string => `77700011122233344455${line}`
    for (const idOf of [undefined, far]) {
      const was = lines((i) => `cache-${i % 3}`, idOf)
      t.equal(moved(was, was), 0)
      t.equal(
        moved(
          was,
          lines((i) => `cache-${(i + 1) % 3}`, idOf),
        ),
        1,
      )
      const three = lines((i) => `cache-${(i < 3 ? i + 1 : i) % 3}`, idOf)
      near(t, moved(was, three), 0.3, 0.01)
    }
    t.equal(moved('1-10 cache-0', '1-5 cache-0\n6-10 cache-1'), 0.5)
    near(
      t,
      moved(
        '1-10 cache-0',
        lines(() => 'cache-0'),
      ),
      2 / 3,
      0.01,
    )
    near(
      t,
      moved(
        lines(() => 'cache-0'),
        '1-10 cache-0',
      ),
      2 / 3,
      0.01,
    )
    t.end()
  },
)

void t.test('a table does not hide that those beyond it move', (t) => {
  const before = withTable(placementOf([1, 1, 1, 1]), '1-10 cache-0')
  const after = withTable(placementOf([1, 1, 1, 1, 1]), '1-10 cache-0')
  const { share, users } = movedShare(before, after)
  near(t, share, 0.2, 0.01)
  t.equal(users, 'unnamed')
  const numbered = { ...placementOf([1, 1, 1, 1]), shards: moduloShardMap(4) }
  const agreeing = withTable(placementOf([1, 1, 1, 1]), '4 cache-0')
  t.equal(movedShare(numbered, agreeing).users, 'all')
  near(t, movedShare(numbered, agreeing).share, 0.75, 0.01)
  t.end()
})
