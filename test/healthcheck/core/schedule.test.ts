import fc from 'fast-check'
import t from 'tap'
import { World, poolOf, tcpCheck } from '../world.ts'

/** Start times of every server's check, over simulated time. */
function startsOf(
  count: number,
  untilMs: number,
  init: { random?: () => number; concurrency?: number },
  prepare: (world: World) => void,
  check = tcpCheck({ jitterPct: 10 }),
): Map<string, number[]> {
  const starts = new Map<string, number[]>()
  const world = new World((effect, at) => {
    if (effect.type !== 'probe') return
    const list = starts.get(effect.target.server)
    if (list === undefined) starts.set(effect.target.server, [at])
    else list.push(at)
  }, init)
  prepare(world)
  world.send({ type: 'configure', pools: { caches: poolOf(count) }, checks: { tcp: check } })
  world.runUntil(untilMs)
  return starts
}

const gapsOf = (starts: readonly number[]): number[] =>
  starts.slice(1).map((at, index) => at - (starts[index] ?? 0))

void t.test('10,000 servers, one in a hundred hanging, each keep a schedule of one second', (t) => {
  let seed = 1
  const random = (): number => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  const seconds = process.env['CI'] === 'true' ? 10 : 4
  const starts = startsOf(10_000, seconds * 1000, { random }, (world) => {
    for (let index = 100; index <= 10_000; index += 100) {
      world.behaviours.set(`c${index}`, 'timeout')
    }
  })
  t.equal(starts.size, 10_000)
  let worst = 0
  let shortest = Infinity
  let fewest = Infinity
  for (const list of starts.values()) {
    // The first gap is the staggering, the second one may follow it.
    const gaps = gapsOf(list).slice(1)
    worst = Math.max(worst, ...gaps)
    shortest = Math.min(shortest, ...gaps)
    fewest = Math.min(fewest, list.length)
  }
  t.ok(worst <= 1000.001, `no check starts late: at most ${worst} ms apart`)
  t.ok(shortest >= 899.999, `jitter takes at most a tenth: at least ${shortest} ms apart`)
  t.ok(fewest >= seconds - 1, `every server was checked every second: at least ${fewest} times`)
  t.end()
})

void t.test('second checks are spread evenly over the interval', (t) => {
  const starts = startsOf(1000, 1100, { concurrency: 1000 }, () => undefined)
  const buckets = new Array<number>(10).fill(0)
  for (const list of starts.values()) {
    const bucket = Math.min(9, Math.floor((list[1] ?? 0) / 100))
    buckets[bucket] = (buckets[bucket] ?? 0) + 1
  }
  t.ok(Math.max(...buckets) <= 110 && Math.min(...buckets) >= 90, buckets.join(' '))
  t.end()
})

/** In how many of the second's tenths that begins at `fromMs` how many checks start. */
function tenths(starts: readonly number[], fromMs: number): number[] {
  const counts = new Array<number>(10).fill(0)
  for (const at of starts) {
    const tenth = Math.floor((at - fromMs) / 100)
    if (tenth >= 0 && tenth < 10) counts[tenth] = (counts[tenth] ?? 0) + 1
  }
  return counts
}

const isEven = (counts: readonly number[]): boolean =>
  Math.max(...counts) <= 110 && Math.min(...counts) >= 90

void t.test(
  'one that is asked for without end is checked at once, then by the fast interval',
  (t) => {
    const check = tcpCheck({ fastIntervalMs: 250 })
    const checks: number[] = []
    const world = new World((effect, at) => {
      if (effect.type === 'probe') checks.push(at)
    })
    world.send({ type: 'configure', pools: { caches: poolOf(1) }, checks: { tcp: check } })
    world.runUntil(2100)
    checks.splice(0)
    // At each millisecond: before a check, while it runs, and right after it.
    for (let at = 2100; at < 3200; at++) {
      world.send({ type: 'checkNow', pool: 'caches', server: 'c1' })
      world.runUntil(at + 1)
    }
    t.same(checks, [2100, 2350, 2600, 2850, 3100])
    world.runUntil(5000)
    t.same(checks.slice(5), [3350, 4350], 'the one still asked for, then the interval again')
    world.send({ type: 'checkNow', pool: 'caches', server: 'c1' })
    t.same(checks.slice(7), [5000])
    const often = tcpCheck({ downIntervalMs: 100, fall: 1 })
    world.send({ type: 'configure', pools: { caches: poolOf(1) }, checks: { tcp: often } })
    world.behaviours.set('c1', 'refused')
    world.runUntil(10_000)
    world.send({ type: 'checkNow', pool: 'caches', server: 'c1' })
    checks.splice(0)
    world.runUntil(10_050)
    world.send({ type: 'checkNow', pool: 'caches', server: 'c1' })
    world.runUntil(10_250)
    t.equal(checks.length, 3, 'asking makes no check later than it would be')
    t.end()
  },
)

void t.test('checks are spread as evenly where only several results make a verdict', (t) => {
  const check = tcpCheck({ rise: 3, fastIntervalMs: 250 })
  const starts = startsOf(1000, 9999, { concurrency: 1000 }, () => undefined, check)
  const counts = tenths([...starts.values()].flat(), 9000)
  t.ok(isEven(counts), counts.join(' '))
  t.end()
})

void t.test(
  'so they are where all speak against what was known, and where all are changed',
  (t) => {
    let starts: number[] = []
    const world = new World(
      (effect, at) => {
        if (effect.type === 'probe') starts.push(at)
      },
      { concurrency: 1000 },
    )
    const pools = { caches: poolOf(1000, { panicForMs: 0 }) }
    world.send({ type: 'configure', pools, checks: { tcp: tcpCheck() } })
    world.runUntil(2000)
    world.restart(0)
    for (const { name } of pools.caches.servers) world.behaviours.set(name, '500')
    world.send({ type: 'configure', pools, checks: { tcp: tcpCheck() } })
    world.runUntil(7999)
    let counts = tenths(starts, 6999)
    t.ok(isEven(counts), counts.join(' '))

    starts = []
    world.send({ type: 'configure', pools, checks: { tcp: tcpCheck({ rise: 2 }) } })
    world.runUntil(9999)
    counts = tenths(starts, 8999)
    t.ok(isEven(counts), counts.join(' '))
    t.end()
  },
)

void t.test(
  'a reload that shortens an interval checks at once, one that changes nothing never',
  (t) => {
    const checks: number[] = []
    const world = new World((effect, at) => {
      if (effect.type === 'probe') checks.push(at)
    })
    const reload = (intervalMs: number) => {
      const timing = { intervalMs, fastIntervalMs: intervalMs, downIntervalMs: intervalMs }
      world.send({
        type: 'configure',
        pools: { caches: poolOf(1) },
        checks: { tcp: tcpCheck(timing) },
      })
    }
    reload(3_600_000)
    for (let at = 1000; at < 60_000; at += 1000) {
      world.runUntil(at)
      reload(3_600_000)
    }
    t.same(checks, [0])
    reload(10_000)
    world.runUntil(69_000)
    t.same(checks, [0, 59_000, 69_000])
    t.end()
  },
)

void t.test('first checks come at once, so many at a time', (t) => {
  const starts = startsOf(200, 7, { concurrency: 64 }, () => undefined)
  const at = (ms: number): number => [...starts.values()].filter((list) => list[0] === ms).length
  t.same([at(0), at(2), at(4), at(6)], [64, 64, 64, 8])
  t.end()
})

void t.test('hanging servers delay no one but the first checks', (t) => {
  const starts = startsOf(200, 20_000, { concurrency: 64 }, (world) => {
    for (let index = 1; index <= 150; index += 1) world.behaviours.set(`c${index}`, 'timeout')
  })
  const gaps = gapsOf(starts.get('c200') ?? []).slice(1)
  t.ok(gaps.every((gap) => gap <= 1000))
  t.ok((starts.get('c200')?.[0] ?? Infinity) <= 1002, 'two rounds of 64 hanging ones first')
  t.end()
})

void t.test(
  'a check still running delays the next one to its own end, and none is doubled',
  (t) => {
    const check = tcpCheck({
      intervalMs: 100,
      fastIntervalMs: 100,
      downIntervalMs: 100,
      timeoutMs: 350,
    })
    const starts = startsOf(1, 2000, {}, (world) => world.behaviours.set('c1', 'timeout'), check)
    t.same(gapsOf(starts.get('c1') ?? []), [350, 350, 350, 350, 350])
    t.end()
  },
)

void t.test('whatever the jitter, it only shortens', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 100 }),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      (jitterPct, dice) => {
        const check = tcpCheck({ jitterPct })
        const starts = startsOf(3, 5000, { random: () => dice }, () => undefined, check)
        const expected = Math.max(2, 1000 * (1 - (jitterPct / 100) * dice))
        return [...starts.values()].every((list) =>
          gapsOf(list)
            .slice(1)
            .every((gap) => Math.abs(gap - expected) < 0.001),
        )
      },
    ),
    { numRuns: 50 },
  )
  t.end()
})
