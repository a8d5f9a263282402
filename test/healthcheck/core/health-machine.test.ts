import fc from 'fast-check'
import t from 'tap'
import { monotonicMs } from '../../../common/net/units.ts'
import type { HealthChange } from '../../../common/model/health.ts'
import { history, locatedVerdicts, verdicts } from '../../../healthcheck/core/health-machine.ts'
import { decodeVerdicts, encodeVerdicts } from '../../../healthcheck/core/saved-verdicts.ts'
import { WALL_MS, World, httpCheck, outcomeOf, poolOf, tcpCheck } from '../world.ts'
import type { Behaviour } from '../world.ts'

const keyOf = (world: World): string => [...world.machine.probes.keys()][0] ?? ''

const behaviour = fc.constantFrom<Behaviour>('pass', 'refused', '500', '503')

void t.test('rise and fall agree with a plain count of the last results', (t) => {
  fc.assert(
    fc.property(
      fc.array(behaviour, { maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (behaviours, fall, rise) => {
        const world = new World(() => undefined)
        const checks = { tcp: tcpCheck({ fall, rise }) }
        world.send({ type: 'configure', pools: { caches: poolOf(1) }, checks })
        const seen: Behaviour[] = []
        let state = 'unknown'
        let run = 1
        for (const next of behaviours) {
          seen.push(next)
          const outcome = outcomeOf(next, 0, 500)
          world.send({ type: 'result', key: keyOf(world), run, outcome })
          state = oracle(state, seen, fall, rise)
          const got = world.machine.probes.get(keyOf(world))?.health.state
          if (got !== state) return false
          world.nowMs += 1000
          world.send({ type: 'deadline' })
          run += 1
        }
        return true
      },
    ),
    { numRuns: 200 },
  )
  t.end()
})

function oracle(state: string, seen: readonly Behaviour[], fall: number, rise: number): string {
  const isGood = (at: number): boolean => seen.at(at) === 'pass'
  if (isGood(-1)) {
    const lastOnes = Array.from({ length: rise }, (_, index) => isGood(-1 - index))
    return state === 'up' || lastOnes.every(Boolean) ? 'up' : state
  }
  if (state !== 'up' || seen.at(-1) === '503') return 'down'
  const lastOnes = Array.from({ length: fall }, (_, index) => !isGood(-1 - index))
  return seen.length >= fall && lastOnes.every(Boolean) ? 'down' : 'up'
}

const anyBehaviour = fc.constantFrom<Behaviour>(
  'pass',
  'refused',
  '500',
  '503',
  'timeout',
  'unreachable',
  'slow',
  'own-fault',
  { factor: 0.25 },
)

void t.test('whatever servers do, what is told holds together', (t) => {
  const happening = fc.tuple(fc.integer({ min: 1, max: 6 }), anyBehaviour, fc.nat(8000))
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 40 }), (happenings) => {
      const told = new Map<string, HealthChange>()
      let isSound = true
      const hasPassed = new Set<string>()
      const world = new World((effect) => {
        if (effect.type !== 'change') return
        const { verdict } = effect.change
        const before = told.get(verdict.server)?.verdict.state ?? 'unknown'
        // Each change continues the one before; only what is up carries weight.
        if (effect.change.before !== before) isSound = false
        if (verdict.state !== 'up' && verdict.factor !== 0) isSound = false
        if (verdict.state === 'up' && !hasPassed.has(verdict.server)) isSound = false
        told.set(verdict.server, effect.change)
      })
      for (const { name } of poolOf(6).servers) hasPassed.add(name)
      const pools = { caches: poolOf(6, { panicForMs: 10_000 }) }
      world.send({ type: 'configure', pools, checks: { tcp: tcpCheck() } })
      for (const [index, behaviour, waitMs] of happenings) {
        world.behaviours.set(`c${index}`, behaviour)
        world.runUntil(world.nowMs + waitMs)
      }
      // Long after: what fails is down, panic or not; what passes is up, damping or not.
      world.runUntil(world.nowMs + 700_000)
      for (const verdict of verdicts(world.machine)) {
        const last = world.behaviours.get(verdict.server) ?? 'pass'
        const passes = last === 'pass' || typeof last === 'object'
        if (verdict.state !== (passes ? 'up' : 'down')) isSound = false
        if (verdict.held !== 'no') isSound = false
      }
      return isSound
    }),
    { numRuns: 30 },
  )
  t.end()
})

void t.test('the last ten results are kept, of all checks of a server together', (t) => {
  const world = new World(() => undefined)
  const pool = poolOf(1, { checks: ['tcp', 'http'] })
  const checks = { tcp: tcpCheck(), http: httpCheck() }
  world.send({ type: 'configure', pools: { caches: pool }, checks })
  world.runUntil(20_000)
  const results = history(world.machine, 'caches', 'c1')
  t.equal(results.length, 10)
  t.same(new Set(results.map((result) => result.check)), new Set(['tcp', 'http']))
  t.match(results.at(-1), { result: 'passed', latencyMs: 2, reason: 'status 200' })
  t.same(history(world.machine, 'caches', 'nobody'), [])
  t.end()
})

void t.test('a server that moved to another address is unknown again, and that is told', (t) => {
  const changes: string[] = []
  const world = new World((effect) => {
    if (effect.type !== 'change') return
    changes.push(`${effect.change.before} to ${effect.change.verdict.state}`)
  })
  const checks = { tcp: tcpCheck() }
  world.send({ type: 'configure', pools: { caches: poolOf(1) }, checks })
  world.runUntil(10)
  const moved = poolOf(1)
  const servers = moved.servers.map((server) => ({ ...server, address: '10.9.9.9' }))
  world.send({ type: 'configure', pools: { caches: { ...moved, servers } }, checks })
  t.same(changes, ['unknown to up', 'up to unknown'])
  world.runUntil(20)
  t.same(changes, ['unknown to up', 'up to unknown', 'unknown to up'])
  t.end()
})

void t.test(
  'what is removed while it is being checked is cancelled, its late result ignored',
  (t) => {
    const cancelled: number[] = []
    const world = new World((effect) => {
      if (effect.type === 'cancel') cancelled.push(effect.run)
    })
    world.send({ type: 'configure', pools: { caches: poolOf(2) }, checks: { tcp: tcpCheck() } })
    world.send({ type: 'configure', pools: { caches: poolOf(1) }, checks: { tcp: tcpCheck() } })
    t.same(cancelled, [2])
    world.send({ type: 'result', key: 'tcp 10.0.0.1 80', run: 2, outcome: outcomeOf('pass', 1, 1) })
    t.equal(verdicts(world.machine).length, 1)
    t.end()
  },
)

void t.test('verdicts of before a restart stand until the checks say otherwise', (t) => {
  const before = new World(() => undefined)
  before.behaviours.set('c2', 'refused')
  before.behaviours.set('c1', { factor: 0.5, boot: 'b', cache: 'k' })
  const checks = { tcp: tcpCheck() }
  before.send({ type: 'configure', pools: { caches: poolOf(3) }, checks })
  before.runUntil(5000)
  const moment = { now: monotonicMs(5000), wallMs: WALL_MS }
  const saved = decodeVerdicts(
    encodeVerdicts(locatedVerdicts(before.machine, moment), WALL_MS),
    WALL_MS + 60_000,
  )
  const changes: string[] = []
  const world = new World(
    (effect) => {
      if (effect.type !== 'change') return
      const { verdict } = effect.change
      changes.push(
        `${verdict.server} ${effect.change.before} to ${verdict.state} ${verdict.factor}`,
      )
    },
    { saved },
  )
  for (const name of ['c1', 'c2', 'c3']) world.behaviours.set(name, 'timeout')
  const moved = poolOf(3)
  const servers = moved.servers.map((s) => (s.name === 'c3' ? { ...s, port: 81 } : s))
  world.send({ type: 'configure', pools: { caches: { ...moved, servers } }, checks })
  t.same(changes, ['c1 unknown to up 0.5', 'c2 unknown to down 0'])
  t.match(verdicts(world.machine)[0], { boot: 'b', cache: 'k', state: 'up' })
  world.runUntil(1600)
  t.equal(verdicts(world.machine)[0]?.state, 'up', 'two failures are not three')
  world.runUntil(2600)
  t.equal(verdicts(world.machine)[0]?.state, 'down')
  t.end()
})

void t.test('over a restart, too, a cache that went down is known again by what it told', (t) => {
  const checks = { tcp: tcpCheck() }
  const before = new World(() => undefined)
  before.behaviours.set('c1', { boot: 'b', cache: 'k1' }).set('c2', { boot: 'b', cache: 'k2' })
  before.send({ type: 'configure', pools: { caches: poolOf(2) }, checks })
  before.runUntil(3000)
  before.behaviours.set('c1', 'refused').set('c2', 'refused')
  before.runUntil(9000)
  t.ok(verdicts(before.machine).every(({ state }) => state === 'down'))

  before.restart(1000)
  before.behaviours.set('c1', { boot: 'b2', cache: 'k1' }).set('c2', { boot: 'b', cache: 'k9' })
  before.send({ type: 'configure', pools: { caches: poolOf(2) }, checks })
  before.runUntil(13_000)
  t.strictSame(
    verdicts(before.machine).map(({ state, returned }) => [state, returned]),
    [
      ['up', 'same'],
      ['up', 'cold'],
    ],
  )
  t.end()
})

void t.test('a pool that flaps as a whole is never kept below half of its weight', (t) => {
  const events: string[] = []
  const world = new World((effect) => {
    if (effect.type === 'tell') events.push(effect.event.event)
  })
  const checks = { tcp: tcpCheck({ fall: 1 }) }
  const pool = poolOf(8)
  // Half of the pool's weight in one server.
  const servers = pool.servers.map((server) => ({
    ...server,
    weight: server.name === 'c8' ? 7 : 1,
  }))
  world.send({ type: 'configure', pools: { caches: { ...pool, servers } }, checks })
  for (let outage = 0; outage < 3; outage++) {
    for (const { name } of servers) world.behaviours.set(name, '503')
    world.runUntil(world.nowMs + 2500)
    t.ok(verdicts(world.machine).every(({ state }) => state === 'down'))
    for (const { name } of servers) world.behaviours.set(name, 'pass')
    world.runUntil(world.nowMs + 2500)
  }
  const up = verdicts(world.machine).filter(({ state }) => state === 'up')
  const weightOf = (name: string) => servers.find((server) => server.name === name)?.weight ?? 0
  t.ok(up.reduce((sum, { server }) => sum + weightOf(server), 0) >= 7)
  t.ok(events.includes('server let up early'))
  t.match(up.at(-1)?.reason, /it flaps, and is up as less than half of the pool/)
  world.runUntil(world.nowMs + 12_000)
  t.ok(
    verdicts(world.machine).every(
      ({ state, reason }) => state === 'up' && !reason.includes('flap'),
    ),
  )
  t.end()
})
