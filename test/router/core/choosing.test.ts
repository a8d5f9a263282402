import fc from 'fast-check'
import t from 'tap'
import { CacheChooser } from '../../../router/core/cache-chooser.ts'
import type { CacheChooserOptions } from '../../../router/core/cache-chooser.ts'
import { moduloShardMap } from '../../../router/core/shard-map.ts'
import { SLOT_COUNT } from '../../../router/core/slot-hash.ts'
import { buildSlotTable } from '../../../router/core/slot-table.ts'
import { isPlainlyWithin, plainOrder } from './plain-order.ts'

const isLong = process.env['CI'] === 'true'
const COUNT = 20
const servers = Array.from({ length: COUNT }, (_, i) => ({ name: `c${i}`, weight: 1 + (i % 3) }))
const weights = servers.map(({ weight }) => weight)
const table = buildSlotTable(servers)
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function chooserWith(
  factors: readonly number[],
  options: Partial<CacheChooserOptions> = {},
): CacheChooser {
  const chooser = new CacheChooser({ servers, fallback: 'spread', ...options })
  chooser.setWeights(weights, table)
  factors.forEach((factor, server) => {
    chooser.setFactor(server, factor)
  })
  return chooser
}
const allUp = weights.map(() => 1)
const without = (...down: number[]): number[] => allUp.map((_, i) => (down.includes(i) ? 0 : 1))

/** The choice for every slot. */
function choices(chooser: CacheChooser): Int32Array {
  return Int32Array.from({ length: SLOT_COUNT }, (_, slot) => {
    chooser.locateSlot(slot, -1)
    return chooser.first()
  })
}

const areSame = (some: Int32Array, others: Int32Array): boolean =>
  some.length === others.length && some.every((server, slot) => server === others[slot])

void t.test('any standing of the fleet gives what a walk over the sorted list gives', (t) => {
  const factor = fc.oneof(fc.constantFrom(0, 0, 1), fc.double({ min: 0, max: 1, noNaN: true }))
  const standing = fc.array(factor, { minLength: COUNT, maxLength: COUNT })
  const drained = fc.array(fc.boolean(), { minLength: COUNT, maxLength: COUNT })
  const passed = fc.uniqueArray(fc.nat(COUNT - 1))
  const slots = fc.array(fc.nat(SLOT_COUNT - 1), { minLength: 1, maxLength: isLong ? 30 : 6 })
  const home = fc.integer({ min: -1, max: COUNT - 1 })
  const chooser = chooserWith(allUp)
  fc.assert(
    fc.property(standing, drained, passed, slots, home, (factors, drained, passed, slots, home) => {
      factors.forEach((factor, server) => {
        chooser.setFactor(server, factor)
      })
      drained.forEach((is, server) => {
        chooser.setDrained(server, is && server % 5 === 0)
      })
      return slots.every((slot) => {
        chooser.locateSlot(slot, home)
        const list = plainOrder(servers, slot)
        const order = home < 0 ? list : [home, ...list.filter((server) => server !== home)]
        const up = order.filter(
          (server) => !(drained[server] === true && server % 5 === 0) && factors[server]! > 0,
        )
        const usable = up.filter((server) =>
          isPlainlyWithin(servers[server]!.name, slot, factors[server]!),
        )
        const isLeft = (server: number): boolean => !passed.includes(server)
        const next = usable.find(isLeft) ?? up.find(isLeft) ?? -1
        const first = chooser.first()
        const rank = chooser.rank
        return (
          first === (usable[0] ?? up[0] ?? -1) &&
          rank === (first < 0 ? -1 : order.indexOf(first)) &&
          chooser.home === order[0] &&
          chooser.isExplicitHome === home >= 0 &&
          chooser.next((server) => passed.includes(server)) === next &&
          chooser.order().join() === order.join()
        )
      })
    }),
  )
  t.end()
})

void t.test('one cache down moves its own users only, and its return moves them back', (t) => {
  const chooser = chooserWith(allUp)
  const before = choices(chooser)
  chooser.setFactor(7, 0)
  const after = choices(chooser)
  const isWrong = (server: number, slot: number): boolean =>
    server === 7 ? after[slot] === 7 : after[slot] !== server
  t.equal(before.findIndex(isWrong), -1)
  chooser.setFactor(7, 1)
  t.ok(areSame(choices(chooser), before))
  t.end()
})

void t.test('a factor of 7/8 moves an eighth of its users, within 1/N, and no others', (t) => {
  const before = choices(chooserWith(allUp))
  const after = choices(chooserWith(allUp.map((_, i) => (i === 7 ? 7 / 8 : 1))))
  let own = 0
  let moved = 0
  let wrong = 0
  before.forEach((server, slot) => {
    if (server === 7) own++
    if (server === after[slot]) return
    moved++
    if (server !== 7) wrong++
  })
  t.equal(wrong, 0)
  t.ok(Math.abs(moved / own - 1 / 8) < 1 / COUNT, `${moved} of ${own}`)
  const dumb = (slot: number): number | undefined =>
    plainOrder(servers, slot).find((s) => s !== 7 || isPlainlyWithin('c7', slot, 7 / 8))
  for (let slot = 0; slot < SLOT_COUNT; slot += isLong ? 1 : 101)
    if (after[slot] !== dumb(slot)) t.fail(`slot ${slot} went to ${after[slot]}`)
  t.end()
})

void t.test('where no cache that is up has room for a user, the first of them serves', (t) => {
  for (const [fallback, factors] of [
    ['spread', allUp.map(() => 0.05)],
    ['scatter', allUp.map(() => 0.05)],
    ['backup', allUp.map((_, server) => (server === 3 || server === 7 ? 0.05 : 0))],
  ] as const) {
    const chooser = chooserWith(factors, { fallback, backup: 3 })
    const whole = chooserWith(factors.map(Math.ceil), { fallback, backup: 3 })
    let beyond = 0
    for (let slot = 0; slot < 20_000; slot++) {
      for (const each of [chooser, whole]) each.locateSlot(slot, -1)
      const server = chooser.first()
      if (server >= 0 && chooser.isUsableHere(server)) continue
      beyond++
      if (server !== whole.first()) t.fail(`slot ${slot} of ${fallback} went to ${server}`)
    }
    t.ok(beyond > 5000, `${beyond} slots of ${fallback}`)
  }
  t.end()
})

void t.test('a drained cache gets no new requests, whatever its checks say', (t) => {
  const chooser = chooserWith(allUp)
  chooser.setDrained(3, true)
  t.ok(areSame(choices(chooser), choices(chooserWith(without(3)))))
  chooser.setFactor(3, 0.5)
  t.notOk(choices(chooser).includes(3))
  chooser.setDrained(3, false)
  t.ok(choices(chooser).includes(3))
  t.end()
})

void t.test('nothing is up before its first verdict', (t) => {
  const chooser = new CacheChooser({ servers, fallback: 'spread' })
  chooser.locate(encode('1'), 1)
  t.equal(chooser.first(), -1)
  chooser.setWeights(weights, table)
  t.equal(chooser.first(), -1)
  t.equal(chooser.rank, -1)
  t.end()
})

void t.test('an explicit home is used while it stands, and follows its weight by share', (t) => {
  const shards = moduloShardMap(COUNT)
  const chooser = chooserWith(allUp, { shards })
  const id = encode('4007')
  chooser.locate(id, id.length)
  t.equal(chooser.home, 7)
  t.equal(chooser.first(), 7)
  t.equal(chooser.rank, 0)
  chooser.locate(encode('anna'), 4)
  t.notOk(chooser.isExplicitHome)
  t.equal(chooser.first(), chooser.order()[0])

  const kept = (weight: number): number => {
    const changed = weights.map((w, i) => (i === 7 ? weight : w))
    chooser.setWeights(changed, undefined)
    let count = 0
    let wrong = 0
    for (let slot = 0; slot < 2000; slot++) {
      chooser.locateSlot(slot, 7)
      const isUsable = chooser.isUsableHere(7)
      if (isUsable !== (chooser.next(() => false) === 7)) wrong++
      const alone = chooser.next((server) => server !== 7)
      if (alone !== (weight > 0 ? 7 : -1)) wrong++
      if (isUsable) count++
    }
    t.equal(wrong, 0)
    return count / 2000
  }
  t.equal(kept(weights[7]!), 1)
  t.equal(kept(2 * weights[7]!), 1)
  t.equal(kept(0), 0)
  t.ok(Math.abs(kept(weights[7]! / 2) - 0.5) < 0.05)
  t.notOk(chooser.isWholeHome(7))
  t.ok(chooser.isWholeHome(8))
  chooser.setShards(undefined)
  chooser.locate(id, id.length)
  t.notOk(chooser.isExplicitHome)
  t.end()
})

void t.test('a home that was configured with weight 0 takes its users once it has any', (t) => {
  const quiet = [
    { name: 'a', weight: 0 },
    { name: 'b', weight: 1 },
  ]
  const chooser = new CacheChooser({ servers: quiet, fallback: 'spread' })
  chooser.setFactor(0, 1)
  chooser.setFactor(1, 1)
  chooser.locateSlot(5, 0)
  t.equal(chooser.first(), 1)
  chooser.setWeights([1, 1], undefined)
  t.equal(chooser.first(), 0)
  t.end()
})

void t.test('backup: the home, then the one, then nobody', (t) => {
  const up = chooserWith(allUp, { fallback: 'backup', backup: 19 })
  const down = chooserWith(without(4), { fallback: 'backup', backup: 19 })
  const both = chooserWith(without(4, 19), { fallback: 'backup', backup: 19 })
  for (const home of [4, -1]) {
    let slot = 0
    while (table[slot * 8] !== 4) slot++
    for (const chooser of [up, down, both]) chooser.locateSlot(slot, home)
    t.equal(up.first(), 4)
    t.equal(
      up.next((server) => server === 4),
      19,
    )
    t.equal(up.rank, 1)
    t.equal(down.first(), 19)
    t.equal(
      down.next((server) => server === 19),
      -1,
    )
    t.equal(both.first(), -1)
  }
  up.locateSlot(0, 19)
  t.equal(
    up.next((server) => server === 19),
    -1,
    'the backup is nobody else to its own users',
  )
  down.setWeights(
    weights.map((weight, server) => (server === 19 ? 0 : weight)),
    undefined,
  )
  down.locateSlot(0, 4)
  t.equal(down.first(), -1, 'quiesced')
  t.end()
})

void t.test('scatter: all others in turn, by weight, smoothly', (t) => {
  const three = [5, 1, 1, 9].map((weight, i) => ({ name: `s${i}`, weight }))
  const chooser = new CacheChooser({ servers: three, fallback: 'scatter' })
  three.forEach((_, server) => {
    chooser.setFactor(server, server === 3 ? 0 : 1)
  })
  chooser.locateSlot(0, 3)
  // The example in nginx's own description of its smooth weighted round robin.
  t.strictSame(
    Array.from({ length: 7 }, () => chooser.first()),
    [0, 0, 1, 0, 2, 0, 0],
  )
  t.equal(chooser.rank, 1)
  t.not(
    chooser.next((server) => server === 0),
    0,
  )
  t.equal(
    chooser.next(() => true),
    -1,
  )
  chooser.setFactor(3, 1)
  t.equal(chooser.first(), 3)
  t.end()
})

void t.test('a pool without weights has nobody', (t) => {
  for (const fallback of ['spread', 'scatter', 'backup'] as const) {
    const chooser = new CacheChooser({ servers: [{ name: 'a', weight: 0 }], fallback })
    chooser.setFactor(0, 1)
    for (const loaded of [undefined, buildSlotTable([{ name: 'a', weight: 0 }])]) {
      chooser.setWeights([0], loaded)
      chooser.locateSlot(1, -1)
      t.equal(chooser.first(), -1)
      t.equal(chooser.home, -1)
    }
  }
  t.end()
})

void t.test('a whole order is remembered, and forgotten with its weights', (t) => {
  const chooser = chooserWith(without(...allUp.keys()))
  chooser.setFactor(11, 1)
  for (let slot = 0; slot < SLOT_COUNT; slot += 4001) {
    chooser.locateSlot(slot, -1)
    t.equal(chooser.first(), 11)
    t.equal(chooser.first(), 11)
  }
  const changed = weights.map((weight, i) => (i === 11 ? 0 : weight))
  chooser.setWeights(
    changed,
    buildSlotTable(servers.map((s, i) => ({ ...s, weight: changed[i]! }))),
  )
  t.equal(chooser.first(), -1)
  t.end()
})
