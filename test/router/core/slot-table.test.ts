import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { NO_SERVER, Rendezvous } from '../../../router/core/rendezvous.ts'
import type { WeightedServer } from '../../../router/core/rendezvous.ts'
import { SLOT_COUNT } from '../../../router/core/slot-hash.ts'
import {
  buildSlotTable,
  RANK_COUNT,
  SLOT_TABLE_BYTES,
  tableKey,
  weightedServers,
} from '../../../router/core/slot-table.ts'
import { plainOrder } from './plain-order.ts'

const SAMPLE = 997
const slots = Array.from({ length: Math.ceil(SLOT_COUNT / SAMPLE) }, (_, i) => i * SAMPLE)

const row = (table: Uint16Array, slot: number): number[] =>
  [...table.subarray(slot * RANK_COUNT, (slot + 1) * RANK_COUNT)].filter((s) => s !== NO_SERVER)

const names = (servers: readonly WeightedServer[], order: readonly number[]): string[] =>
  order.map((index) => servers[index]!.name)

const fleet = (count: number, weight: (index: number) => number = () => 1): WeightedServer[] =>
  Array.from({ length: count }, (_, i) => ({ name: `cache-${i + 1}`, weight: weight(i) }))

const weight = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.double({ min: 1e-3, max: 1000, noNaN: true }),
)
const servers = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 24 })
  .chain((list) =>
    fc
      .array(weight, { minLength: list.length, maxLength: list.length })
      .map((weights) => list.map((name, i) => ({ name, weight: weights[i]! }))),
  )

void t.test('the table is the head of a full sort by score', (t) => {
  fc.assert(
    fc.property(servers, (servers) => {
      const table = buildSlotTable(servers)
      return slots.every((slot) => {
        const wanted = plainOrder(servers, slot).slice(0, RANK_COUNT)
        return JSON.stringify(row(table, slot)) === JSON.stringify(wanted)
      })
    }),
    { numRuns: process.env['CI'] === 'true' ? 8 : 3 },
  )
  t.end()
})

void t.test('the whole order is a full sort by score', (t) => {
  fc.assert(
    fc.property(servers, fc.nat(SLOT_COUNT - 1), (servers, slot) => {
      const order = [...new Rendezvous(servers).order(slot)]
      return JSON.stringify(order) === JSON.stringify(plainOrder(servers, slot))
    }),
  )
  t.end()
})

void t.test('equal scores go by name, and every server keeps its place', (t) => {
  // Weights this small underflow to one and the same score.
  const tiny = ['d', 'b', 'a', 'c'].map((name) => ({ name, weight: 5e-324 }))
  for (const slot of slots.slice(0, 50)) {
    const order = [...new Rendezvous(tiny).order(slot)]
    t.strictSame(order, plainOrder(tiny, slot))
    t.equal(new Set(order).size, 4)
  }
  t.end()
})

/** A built table is shared by the tests that only read it. */
const ten = fleet(10, (index) => 1 + (index % 3))
const tableOfTen = buildSlotTable(ten)

void t.test('neither the order of the list nor anything but names and weights matters', (t) => {
  const turned = ten.toReversed()
  const table = buildSlotTable(turned)
  for (const slot of slots)
    t.strictSame(names(ten, row(tableOfTen, slot)), names(turned, row(table, slot)))
  t.end()
})

void t.test('few servers, one, and none leave the ranks behind them empty', (t) => {
  for (const count of [0, 1, 3, 8]) {
    const table = buildSlotTable(fleet(count))
    t.equal(table.byteLength, SLOT_TABLE_BYTES)
    t.ok(slots.every((slot) => row(table, slot).length === count))
    const tail = table.subarray(count, RANK_COUNT)
    t.ok(tail.every((server) => server === NO_SERVER))
  }
  t.end()
})

void t.test('a server with weight 0 is in no list', (t) => {
  const quiesced = ten.map((s, i) => (i === 4 ? { ...s, weight: 0 } : s))
  t.notOk(buildSlotTable(quiesced).includes(4))
  t.notOk(new Rendezvous(quiesced).order(5).includes(4))
  t.equal(new Rendezvous(quiesced).order(5).length, 9)
  t.end()
})

void t.test('users follow the weights', (t) => {
  const homes = new Float64Array(10)
  for (let at = 0; at < tableOfTen.length; at += RANK_COUNT)
    homes[tableOfTen[at]!]! += 1 / SLOT_COUNT
  homes.forEach((share, i) => {
    t.ok(Math.abs(share / ((1 + (i % 3)) / 19) - 1) < 0.02, `${share} at weight ${1 + (i % 3)}`)
  })
  t.end()
})

void t.test('a changed weight moves only users to or from that server', (t) => {
  for (const changed of [0, 1.5, 5]) {
    const after = buildSlotTable(ten.map((s, i) => (i === 8 ? { ...s, weight: changed } : s)))
    let moved = 0
    let wrong = 0
    for (let at = 0; at < after.length; at += RANK_COUNT) {
      if (tableOfTen[at] === after[at]) continue
      const [lost, won] = changed > 3 ? [tableOfTen[at], after[at]] : [after[at], tableOfTen[at]]
      if (won !== 8 || lost === 8) wrong++
      moved++
    }
    t.equal(wrong, 0)
    t.ok(moved > 0)
  }
  t.end()
})

void t.test('an added server takes its share and moves nobody else', (t) => {
  const after = buildSlotTable([...ten, { name: 'cache-11', weight: 1 }])
  let moved = 0
  let wrong = 0
  for (let at = 0; at < after.length; at += RANK_COUNT) {
    if (tableOfTen[at] === after[at]) continue
    if (after[at] !== 10) wrong++
    moved++
  }
  t.equal(wrong, 0)
  t.ok(Math.abs(moved / SLOT_COUNT - 1 / 20) < 0.002, `${moved} moved`)
  t.end()
})

void t.test('the table of a hundred caches is the one it has always been', (t) => {
  const digest = (list: readonly WeightedServer[]): string =>
    createHash('sha256')
      .update(new Uint8Array(buildSlotTable(list).buffer))
      .digest('hex')
  // Never to be updated: another digest moves users from their caches. See docs/routing.md.
  t.equal(digest(fleet(100)), '24dc1378c004d6d691e5453a1b1fa6aa9d053088013e725813bd93bd8062edc4')
  t.equal(
    digest(fleet(100, (i) => [1, 2, 0.5, 0][i % 4]!)),
    '739bebac3dbd4334e4a1755e6569b0bf83b1c03113f6d67fce16492f473820a1',
  )
  t.end()
})

void t.test('a key names what the table is made of', (t) => {
  const key = tableKey(fleet(3))
  t.match(key, /^[0-9a-f]{32}$/)
  t.equal(tableKey(fleet(3)), key)
  t.not(tableKey(fleet(3).toReversed()), key, 'indices are by position')
  t.not(tableKey(fleet(3, () => 2)), key)
  t.end()
})

void t.test('weights set at run time take the place of the configured ones', (t) => {
  t.strictSame(weightedServers(fleet(2), new Map([['cache-2', 0]])), [
    { name: 'cache-1', weight: 1 },
    { name: 'cache-2', weight: 0 },
  ])
  t.end()
})
