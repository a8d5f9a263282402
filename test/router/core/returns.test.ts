import fc from 'fast-check'
import t from 'tap'
import type { EdgeEvent } from '../../../common/model/edge-event.ts'
import type { Verdict } from '../../../common/model/health.ts'
import { monotonicMs } from '../../../common/net/units.ts'
import { CacheChooser } from '../../../router/core/cache-chooser.ts'
import { keptReturnsFile, readKeptReturns } from '../../../router/core/kept-returns.ts'
import { Returns, returnShare } from '../../../router/core/returns.ts'
import type { ReturnPool } from '../../../router/core/returns.ts'
import { moduloShardMap } from '../../../router/core/shard-map.ts'
import { SLOT_COUNT } from '../../../router/core/slot-hash.ts'
import { buildSlotTable } from '../../../router/core/slot-table.ts'
import { isPlainlyWithin, plainOrder } from './plain-order.ts'

const WALL_MS = 1_700_000_000_000
const RAMP_MS = 60_000
const NAMES = ['c1', 'c2', 'c3', 'c4']

const poolOf = (change: Partial<ReturnPool> = {}, drained: readonly string[] = []): ReturnPool => ({
  pool: 'caches',
  ramps: [{ group: 'photos', rampUpMs: RAMP_MS }],
  servers: NAMES.map((name) => ({ name, weight: 1, isDrained: drained.includes(name) })),
  ...change,
})

const verdictOf = (server: string, change: Partial<Verdict>): Verdict => ({
  pool: 'caches',
  server,
  state: 'up',
  factor: change.state === 'down' ? 0 : 1,
  reason: 'status 200',
  sinceMs: WALL_MS,
  clearsSuspicion: false,
  held: 'no',
  outageCount: 1,
  returned: 'no',
  boot: undefined,
  cache: undefined,
  ...change,
})

/** A router's primary in simulated time, with nothing around it. */
class Story {
  returns = new Returns({}, WALL_MS)
  readonly told: string[] = []
  nowMs = 5_000

  pool: ReturnPool

  constructor(pool = poolOf()) {
    this.pool = pool
    this.configure(pool)
    for (const name of NAMES) this.verdict(name)
  }

  moment() {
    return { now: monotonicMs(this.nowMs), wallMs: WALL_MS + this.nowMs }
  }

  configure(pool: ReturnPool): void {
    this.pool = pool
    this.#note(this.returns.configure([pool], this.moment()))
  }

  verdict(server: string, change: Partial<Verdict> = {}): void {
    const { wallMs } = this.moment()
    this.#note(
      this.returns.take([verdictOf(server, { sinceMs: wallMs, ...change })], this.moment()),
    )
  }

  /**
   * Another life, `awayMs` later, made of what was kept and of the verdicts, as a prober with kept
   * ones tells them: one by one.
   */
  restart(verdicts: Readonly<Record<string, Partial<Verdict>>>, awayMs: number): void {
    const { wallMs } = this.moment()
    const file = JSON.stringify(keptReturnsFile(this.returns.kept(), wallMs))
    this.nowMs += awayMs
    const kept = readKeptReturns(JSON.parse(file), wallMs + awayMs)
    this.returns = new Returns(kept, wallMs + awayMs)
    this.configure(this.pool)
    for (const name of NAMES) this.verdict(name, { sinceMs: wallMs, ...verdicts[name] })
  }

  down(...servers: readonly string[]): void {
    for (const server of servers)
      this.verdict(server, { state: 'down', reason: 'connect refused', outageCount: 1 })
  }

  /** Lets time pass as the driver does: from deadline to deadline. */
  pass(spanMs: number): void {
    const until = this.nowMs + spanMs
    for (let at = this.returns.nextDeadline(); at !== undefined && at <= until;) {
      this.nowMs = at
      this.#note(this.returns.tick(this.moment()))
      const next = this.returns.nextDeadline()
      if (next === at) throw new Error('a deadline that does not pass')
      at = next
    }
    this.nowMs = until
  }

  share(server: string, rampUpMs = RAMP_MS): number {
    const returning = this.returns.returning(monotonicMs(this.nowMs))
    return returnShare(rampUpMs, returning[`caches/${server}`])
  }

  /** What was told since the last call, without times. */
  take(): string[] {
    return this.told.splice(0)
  }

  #note(events: readonly EdgeEvent[]): void {
    for (const { event, subject, reason } of events)
      this.told.push(`${subject} ${event}: ${reason}`)
  }
}

void t.test(
  'the share grows in at most 100 equal steps, from the first moment to the last',
  (t) => {
    const ramp = fc.integer({ min: 1, max: 7 * 86_400_000 })
    fc.assert(
      fc.property(ramp, fc.double({ min: 0, max: 1, noNaN: true }), (rampUpMs, at) => {
        const share = returnShare(rampUpMs, at * rampUpMs)
        const later = returnShare(rampUpMs, at * rampUpMs + Math.max(rampUpMs / 99, 100))
        // Never far from the straight line, and never back.
        return (
          share > 0 &&
          share <= 1 &&
          later >= share &&
          (rampUpMs < 10_000 || Math.abs(share - at) <= 0.0101)
        )
      }),
    )
    t.equal(returnShare(60_000, undefined), 1)
    t.equal(returnShare(0, 0), 1)
    t.equal(returnShare(60_000, 0), 0.01)
    t.equal(returnShare(60_000, 59_999), 0.99)
    t.equal(returnShare(60_000, 60_000), 1)
    t.equal(returnShare(99, 0), 1, 'nothing to be done in steps')
    t.equal(returnShare(200, 0), 1 / 3)
    t.end()
  },
)

void t.test('a cold cache comes back in steps, and is told when it begins and ends', (t) => {
  const story = new Story()
  story.down('c2')
  story.pass(10_000)
  story.verdict('c2', { returned: 'cold' })
  t.strictSame(story.take(), [
    'caches/c2 return begun: its users come back over 60 s in photos: its checks told no identity of what it holds',
  ])
  const shares: number[] = []
  for (let step = 0; step <= 100; step++) {
    shares.push(story.share('c2'))
    story.pass(RAMP_MS / 100)
  }
  t.ok(shares.every((share, i) => i === 0 || share >= shares[i - 1]!))
  t.equal(new Set(shares).size, 100)
  t.match(story.returns.view('caches', 'c2', monotonicMs(story.nowMs)), undefined)
  t.strictSame(story.take(), ['caches/c2 return finished: all of its users are back'])
  t.equal(story.returns.nextDeadline(), undefined)
  t.strictSame(
    ['c1', 'c3', 'c4'].map((name) => story.share(name)),
    [1, 1, 1],
  )
  t.end()
})

void t.test('the first verdict of all begins nothing', (t) => {
  const story = new Story()
  t.strictSame(story.take(), [])
  t.strictSame(story.returns.returning(monotonicMs(story.nowMs)), {})
  t.end()
})

void t.test('the same cache as before returns at once', (t) => {
  const story = new Story()
  story.down('c2')
  story.verdict('c2', { returned: 'same', cache: 'k1' })
  t.equal(story.share('c2'), 1)
  t.strictSame(story.take(), [
    'caches/c2 return skipped: it is the cache that it was (k1): all of its users are back at once',
  ])
  const without = new Story(poolOf({ ramps: [] }))
  without.down('c2')
  without.verdict('c2', { returned: 'same', cache: 'k1' })
  without.down('c3')
  without.verdict('c3', { returned: 'cold' })
  t.strictSame(without.take(), [], 'nothing is skipped where nothing is configured')
  t.end()
})

void t.test('a cache that fails on its way back goes out; the same one goes on from there', (t) => {
  const story = new Story()
  story.down('c2')
  story.verdict('c2', { returned: 'cold', cache: 'k2' })
  story.pass(24_000)
  const reached = story.share('c2')
  story.down('c2')
  t.equal(story.returns.nextDeadline(), undefined)
  story.pass(5_000)
  story.verdict('c2', { returned: 'same', cache: 'k2' })
  t.equal(story.share('c2'), reached)
  t.strictSame(story.take(), [
    'caches/c2 return begun: its users come back over 60 s in photos: its cache k2 is not known to be the one of before',
    'caches/c2 return broken off: with 40 % of its users back: connect refused',
    'caches/c2 return begun: its users come back over 60 s in photos, 24 s of them over: it went down before all of its users were back',
  ])
  story.down('c2')
  story.verdict('c2', { returned: 'cold' })
  t.equal(story.share('c2'), 0.01, 'an emptied one begins anew')
  t.end()
})

void t.test('it is needed more than it is cold while less than half of the pool is whole', (t) => {
  const story = new Story()
  story.down('c1', 'c2', 'c3')
  story.take()
  story.verdict('c2', { returned: 'cold' })
  t.equal(story.share('c2'), 1, 'a quarter cannot stand in for it')
  story.verdict('c3', { returned: 'cold' })
  t.equal(story.share('c3'), 0.01, 'a half can')
  story.down('c4')
  t.equal(story.share('c3'), 1, 'now it is needed, too')
  t.strictSame(
    story.take().map((line) => line.split(': ')[0]),
    ['caches/c2 return skipped', 'caches/c3 return begun', 'caches/c3 return finished'],
  )
  t.end()
})

void t.test('of two on their way back no more are hurried than are needed', (t) => {
  const story = new Story()
  story.down('c3', 'c4')
  story.verdict('c4', { returned: 'cold' })
  story.pass(1_000)
  story.verdict('c3', { returned: 'cold' })
  story.down('c1')
  t.equal(story.share('c4'), 1, 'the one that has come further')
  t.equal(story.share('c3'), 0.01, 'with it half of the pool is whole')
  t.end()
})

void t.test('a pool all of which is loaded is not short, nor is one that is half drained', (t) => {
  for (const drained of [[], ['c3', 'c4']]) {
    const story = new Story(poolOf({}, drained))
    const factor = drained.length === 0 ? 0.4 : 1
    for (const name of NAMES) story.verdict(name, { factor })
    story.down('c2')
    story.pass(9_000)
    story.verdict('c2', { returned: 'cold', factor })
    t.equal(story.share('c2'), 0.01)
  }
  t.end()
})

void t.test('a reload with other times takes no user away again, and brings none at once', (t) => {
  for (const rampUpMs of [3 * RAMP_MS, RAMP_MS / 3]) {
    const story = new Story()
    story.down('c2')
    story.verdict('c2', { returned: 'cold' })
    story.pass(0.6 * RAMP_MS)
    const before = story.share('c2')
    story.configure(poolOf({ ramps: [{ group: 'photos', rampUpMs }] }))
    t.ok(Math.abs(story.share('c2', rampUpMs) - before) < 0.011, `of ${rampUpMs} ms`)
    story.pass(0.39 * rampUpMs)
    t.ok(story.share('c2', rampUpMs) < 1)
    story.restart({ c2: { returned: 'cold' } }, 0)
    t.ok(story.share('c2', rampUpMs) < 1, 'over a restart, too')
    story.pass(0.02 * rampUpMs)
    t.equal(story.share('c2', rampUpMs), 1)
  }
  t.end()
})

void t.test('of two groups, neither loses what it had back', (t) => {
  const ramps = (photosMs: number, avatarsMs: number) => [
    { group: 'photos', rampUpMs: photosMs },
    { group: 'avatars', rampUpMs: avatarsMs },
  ]
  const story = new Story(poolOf({ ramps: ramps(RAMP_MS, RAMP_MS / 2) }))
  story.down('c2')
  story.verdict('c2', { returned: 'cold' })
  story.pass(0.4 * RAMP_MS)
  const [photos, avatars] = [story.share('c2'), story.share('c2', RAMP_MS / 2)]
  story.configure(poolOf({ ramps: ramps(RAMP_MS, RAMP_MS) }))
  t.ok(story.share('c2') >= Math.max(photos, avatars) - 0.011)
  t.end()
})

void t.test('when a whole pool comes back, half of it does so at once', (t) => {
  const story = new Story()
  story.down(...NAMES)
  for (const name of NAMES) story.verdict(name, { returned: 'cold' })
  t.strictSame(
    NAMES.map((name) => story.share(name)),
    [1, 1, 0.01, 0.01],
  )
  t.end()
})

void t.test('an undrained cache is whole at once, but for a return that it owes', (t) => {
  const story = new Story()
  story.configure(poolOf({}, ['c2']))
  story.configure(poolOf())
  t.equal(story.share('c2'), 1, 'it kept what it held')

  story.configure(poolOf({}, ['c2']))
  story.down('c2')
  story.verdict('c2', { returned: 'cold' })
  story.pass(3_600_000)
  story.configure(poolOf())
  t.equal(story.share('c2'), 0.01, 'it was emptied while it was drained')
  story.pass(30_000)
  story.configure(poolOf({}, ['c2']))
  story.pass(3_600_000)
  story.configure(poolOf())
  t.equal(story.share('c2'), 0.01, 'nobody filled it meanwhile')
  t.strictSame(
    story.take().map((line) => line.split(': ')[0]),
    ['begun', 'broken off', 'begun'].map((what) => `caches/c2 return ${what}`),
  )
  t.end()
})

void t.test('a return that was drained in its middle, and ended, is owed no more', (t) => {
  const story = new Story()
  story.down('c2')
  story.verdict('c2', { returned: 'cold', cache: 'k2' })
  story.pass(15_000)
  story.configure(poolOf({}, ['c2']))
  story.pass(1_000)
  story.configure(poolOf())
  t.equal(story.share('c2'), 0.01)
  story.pass(RAMP_MS)
  t.equal(story.share('c2'), 1)
  story.down('c2')
  story.verdict('c2', { returned: 'same', cache: 'k2' })
  t.equal(story.share('c2'), 1, 'all that it held is there')
  t.match(story.take().at(-1), /return skipped: it is the cache that it was/)
  t.end()
})

void t.test('a restart goes on by the wall clock, and begins nothing anew', (t) => {
  const resumed = (awayMs: number): Story => {
    const story = new Story()
    story.down('c2')
    story.verdict('c2', { returned: 'cold' })
    story.take()
    // Kept verdicts are told one by one, the returning one not last.
    story.restart({ c2: { returned: 'cold' } }, awayMs)
    return story
  }
  const story = resumed(24_000)
  t.ok(Math.abs(story.share('c2') - 0.4) <= 0.01)
  t.match(story.take(), [/return begun: its users .* 60 s in photos, 24 s of them over: /])
  story.pass(36_001)
  t.strictSame(story.take(), ['caches/c2 return finished: all of its users are back'])
  t.strictSame(resumed(60_000).take(), [])
  const back = new Story()
  const future = { 'caches/c2': { state: 'underWay', begunMs: WALL_MS + 9e9 } as const }
  back.returns = new Returns(future, WALL_MS)
  back.configure(back.pool)
  for (const name of NAMES) back.verdict(name, { ...(name === 'c2' && { returned: 'cold' }) })
  t.equal(back.share('c2'), 0.01, 'the clock was set back: from the beginning')
  t.end()
})

void t.test('a return that is over, skipped or ended early begins no more after a restart', (t) => {
  const story = new Story()
  story.down('c1', 'c2', 'c3')
  story.verdict('c2', { returned: 'cold' })
  story.verdict('c1', { returned: 'same', cache: 'k1' })
  story.verdict('c3', { returned: 'same', cache: 'k3' })
  t.match(story.take().join('\n'), /c2 return skipped: the caches that are wholly up carry less/)
  t.equal(story.share('c2'), 1)
  const cold = { c2: { returned: 'cold', sinceMs: WALL_MS + story.nowMs } } as const
  story.restart(cold, 4_000)
  t.equal(story.share('c2'), 1, 'skipped')

  story.down('c2')
  story.verdict('c2', { returned: 'cold' })
  t.equal(story.share('c2'), 0.01)
  story.down('c1', 'c3', 'c4')
  t.equal(story.share('c2'), 1)
  for (const name of ['c1', 'c3', 'c4']) story.verdict(name, { returned: 'same', cache: name })
  story.restart(cold, 4_000)
  t.equal(story.share('c2'), 1, 'ended early')

  story.down('c2')
  story.verdict('c2', { returned: 'cold' })
  story.pass(RAMP_MS)
  story.configure(poolOf({ ramps: [{ group: 'photos', rampUpMs: 10 * RAMP_MS }] }))
  story.restart({ c2: { returned: 'cold', sinceMs: WALL_MS + story.nowMs - RAMP_MS } }, 600)
  t.equal(story.share('c2', 10 * RAMP_MS), 1, 'over, though it would take longer by now')
  t.end()
})

void t.test('a return that was resumed goes on over a restart', (t) => {
  const story = new Story()
  story.down('c2')
  story.verdict('c2', { returned: 'cold', cache: 'k2' })
  story.pass(6_000)
  story.down('c2')
  story.pass(40_000)
  story.verdict('c2', { returned: 'same', cache: 'k2' })
  story.pass(6_000)
  story.take()
  story.restart({ c2: { returned: 'same', cache: 'k2' } }, 600)
  t.equal(story.share('c2'), returnShare(RAMP_MS, 12_600))
  t.strictSame(story.take(), [
    'caches/c2 return begun: its users come back over 60 s in photos, 13 s of them over: it went down before all of its users were back',
  ])
  story.pass(RAMP_MS)
  story.restart({ c2: { returned: 'same', cache: 'k2' } }, 600)
  t.equal(story.share('c2'), 1, 'once it is over, nothing is kept')
  t.strictSame(story.returns.kept(), {})
  t.end()
})

void t.test('a return that was broken off goes on from there, over a restart too', (t) => {
  const story = new Story()
  story.down('c2')
  story.verdict('c2', { returned: 'cold', cache: 'k2' })
  story.pass(12_300)
  story.down('c2')
  story.pass(40_000)
  story.restart({ c2: { state: 'down' } }, 600)
  story.pass(5_000)
  story.verdict('c2', { returned: 'same', cache: 'k2' })
  t.equal(story.share('c2'), returnShare(RAMP_MS, 12_300))

  story.down('c2')
  story.restart({ c2: { state: 'down' } }, 600)
  story.verdict('c2', { returned: 'cold' })
  t.equal(story.share('c2'), 0.01, 'an emptied one begins anew')

  story.down('c2')
  story.restart({ c2: { state: 'unknown' } }, 600)
  story.verdict('c2')
  t.equal(story.share('c2'), 1, 'so does nobody of whom nothing else was kept')
  t.end()
})

void t.test('what a drained cache owes it owes after a restart, and from the undrain on', (t) => {
  for (const returned of ['cold', 'same'] as const) {
    const story = new Story()
    story.down('c2')
    story.verdict('c2', { returned: 'cold', cache: 'k2' })
    story.pass(20_000)
    if (returned === 'same') {
      story.down('c2')
      story.verdict('c2', { returned, cache: 'k2' })
    }
    story.configure(poolOf({}, ['c2']))
    story.pass(50_000)
    const verdicts = { c2: { returned, cache: 'k2', sinceMs: WALL_MS + 5_000 } }
    story.restart(verdicts, 600)
    story.pass(30_000)
    story.restart(verdicts, 600)
    story.configure(poolOf())
    t.equal(story.share('c2'), 0.01, returned)
    story.pass(15_000)
    story.restart(verdicts, 0)
    t.equal(story.share('c2'), returnShare(RAMP_MS, 15_000), 'and counts from there')
  }
  t.end()
})

void t.test('what is kept is the same while a return goes on', (t) => {
  const story = new Story()
  story.down('c2')
  story.verdict('c2', { returned: 'cold' })
  const kept = story.returns.kept()
  t.strictSame(kept, {
    'caches/c2': { state: 'underWay', begunMs: WALL_MS + story.nowMs },
  })
  story.pass(RAMP_MS / 2)
  t.strictSame(story.returns.kept(), kept)
  t.end()
})

void t.test('of what was kept nothing is believed that is damaged, old or of the future', (t) => {
  const good = { 'caches/c1': { state: 'brokenOff', reachedMs: 5 } as const }
  const file = keptReturnsFile(good, WALL_MS)
  t.strictSame(readKeptReturns(file, WALL_MS + 1), good)
  t.strictSame(readKeptReturns(file, WALL_MS - 1), {})
  t.strictSame(readKeptReturns(file, WALL_MS + 31 * 86_400_000), {})
  const others = {
    a: { state: 'underWay', reachedMs: 5 },
    b: { state: 'owed', reachedMs: -1 },
    c: { state: 'over', reachedMs: 1 },
    d: null,
    e: [],
  }
  const some = { version: 1, savedAtMs: WALL_MS, returns: { ...others, ...good } }
  t.strictSame(readKeptReturns(some, WALL_MS), good)
  t.strictSame(readKeptReturns({ ...some, version: 2 }, WALL_MS), {})
  fc.assert(
    fc.property(fc.anything(), fc.anything(), (value, returns) => {
      readKeptReturns(value, WALL_MS)
      readKeptReturns({ ...some, returns }, WALL_MS)
      return true
    }),
  )
  t.end()
})

void t.test('a reload changes the times of what is under way, each group has its own', (t) => {
  const story = new Story()
  story.down('c2')
  story.verdict('c2', { returned: 'cold' })
  story.pass(30_000)
  const ramps = [
    { group: 'photos', rampUpMs: 120_000 },
    { group: 'avatars', rampUpMs: 40_000 },
  ]
  story.configure(poolOf({ ramps }))
  t.ok(Math.abs(story.share('c2', 120_000) - 0.5) <= 0.01)
  t.equal(story.share('c2', 40_000), 1, 'a group that had all of its users back keeps them')
  t.match(story.returns.view('caches', 'c2', monotonicMs(story.nowMs)), { leftMs: 60_000 })
  story.pass(12_000)
  t.ok(Math.abs(story.share('c2', 120_000) - 0.6) <= 0.01)
  story.take()
  story.configure(poolOf({ ramps: [] }))
  t.strictSame(story.take(), ['caches/c2 return finished: all of its users are back'])
  t.end()
})

const COUNT = 12
const servers = Array.from({ length: COUNT }, (_, i) => ({ name: `c${i}`, weight: 1 + (i % 3) }))
const table = buildSlotTable(servers)
const someSlots = Array.from({ length: SLOT_COUNT / 64 }, (_, i) => i * 64)

function chooserAt(share: number, factor = 1, shards = false): CacheChooser {
  const chooser = new CacheChooser({
    servers,
    fallback: 'spread',
    ...(shards && { shards: moduloShardMap(COUNT) }),
  })
  chooser.setWeights(
    servers.map(({ weight }) => weight),
    table,
  )
  servers.forEach((_, server) => {
    chooser.setFactor(server, server === 7 ? factor : 1)
  })
  chooser.setShare(7, share)
  return chooser
}

void t.test(
  'at each step slots return to that cache and no other slot moves, as the oracle says',
  (t) => {
    const share = fc.integer({ min: 1, max: 100 }).map((step) => step / 100)
    const home = fc.constantFrom(-1, 7, 3)
    fc.assert(
      fc.property(share, share, fc.constantFrom(1, 0.875), home, (a, b, factor, home) => {
        const [less, more] = a < b ? [a, b] : [b, a]
        const before = chooserAt(less, factor)
        const after = chooserAt(more, factor)
        return someSlots.every((slot) => {
          for (const chooser of [before, after]) chooser.locateSlot(slot, home)
          const [was, is] = [before.first(), after.first()]
          const list = plainOrder(servers, slot)
          const order = home < 0 ? list : [home, ...list.filter((server) => server !== home)]
          const dumb = order.find((s) => s !== 7 || isPlainlyWithin('c7', slot, factor * more))
          return is === dumb && (was === is || is === 7)
        })
      }),
      { numRuns: 30 },
    )
    t.end()
  },
)

void t.test('of a cache at 40 % two fifths of its users are back, whoever named its home', (t) => {
  for (const home of [-1, 7]) {
    const whole = chooserAt(1)
    const returning = chooserAt(0.4)
    let own = 0
    let back = 0
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      whole.locateSlot(slot, home)
      if (whole.first() !== 7) continue
      own++
      returning.locateSlot(slot, home)
      if (returning.first() === 7) back++
      else if (!returning.isNotBackYet(7)) t.fail(`slot ${slot} is away for another reason`)
    }
    t.ok(Math.abs(back / own - 0.4) < 0.01, `${back} of ${own}`)
  }
  t.end()
})

void t.test('a return costs nobody his photo: where no other is left, it serves', (t) => {
  for (const [fallback, home] of [
    ['spread', -1],
    ['spread', 7],
    ['backup', -1],
    ['scatter', -1],
  ] as const) {
    const chooser = new CacheChooser({ servers, fallback, backup: 3 })
    chooser.setWeights(
      servers.map(({ weight }) => weight),
      table,
    )
    chooser.setFactor(7, 1)
    chooser.setShare(7, 0.01)
    let slot = 0
    while (table[slot * 8] !== 7 || isPlainlyWithin('c7', slot, 0.01)) slot++
    chooser.locateSlot(slot, home)
    t.equal(chooser.first(), 7, fallback)
    t.equal(chooser.rank, 0)
    t.equal(
      chooser.next((server) => server === 7),
      -1,
    )
    chooser.setFactor(3, 1)
    t.equal(chooser.first(), 3, 'another one stands in while there is one')
    t.equal(
      chooser.next((server) => server === 3),
      7,
      'and fails',
    )
    chooser.setDrained(7, true)
    t.equal(
      chooser.next((server) => server === 3),
      -1,
      'a drained one stays out',
    )
    chooser.setDrained(7, false)
    chooser.setFactor(7, 0)
    t.equal(
      chooser.next((server) => server === 3),
      -1,
      'so does one that is down',
    )
  }
  t.end()
})
