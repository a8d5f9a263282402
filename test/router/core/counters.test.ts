import t from 'tap'
import {
  Counters,
  DURATION_BOUNDS_US,
  FIRST_BYTE_BOUNDS_US,
  GLOBAL,
  GLOBAL_GAUGES,
  GLOBAL_SIZE,
  SERVER,
  SERVER_GAUGES,
  SERVER_STRIDE,
} from '../../../router/core/counters.ts'
import { END_WORDS, FALLBACK_WORDS, RETRY_WORDS } from '../../../router/core/access-record.ts'

void t.test('no two counters share a place, words included', (t) => {
  const taken = new Map<number, string>()
  const spans: Partial<Record<keyof typeof GLOBAL, number>> = {
    retries: RETRY_WORDS.length,
    fallbacks: FALLBACK_WORDS.length,
    ends: END_WORDS.length,
  }
  for (const [name, place] of Object.entries(GLOBAL)) {
    const span = spans[name as keyof typeof GLOBAL] ?? 1
    for (let i = place; i < place + span; i++) {
      t.equal(taken.get(i), undefined, `${name} at ${i}`)
      t.ok(i < GLOBAL_SIZE)
      taken.set(i, name)
    }
  }
  const places = Object.values(SERVER)
  t.equal(new Set(places).size, places.length)
  t.equal(Math.max(...places), SERVER.firstByte, 'the histogram is last')
  t.end()
})

void t.test('gauges are the places that say so', (t) => {
  t.strictSame(GLOBAL_GAUGES, [
    GLOBAL.connectionsActive,
    GLOBAL.connectionsIdle,
    GLOBAL.requestsActive,
  ])
  t.strictSame(SERVER_GAUGES, [SERVER.active, SERVER.connections, SERVER.suspect])
  t.end()
})

void t.test('a status counts in its class, and an odd one nowhere', (t) => {
  const counters = new Counters()
  for (const status of [100, 200, 206, 304, 404, 499, 500, 599, 0, 99, 600, 700]) {
    counters.countStatus(status)
  }
  const { global } = counters.snapshot()
  t.strictSame([...global.slice(GLOBAL.responses1xx, GLOBAL.responses5xx + 1)], [1, 2, 1, 2, 2])
  t.equal(
    global.reduce((sum, value) => sum + value, 0),
    8,
  )
  t.end()
})

void t.test('a time counts in the bucket whose bound it does not exceed', (t) => {
  const counters = new Counters()
  const size = DURATION_BOUNDS_US.length
  counters.countDuration(0)
  counters.countDuration(500)
  counters.countDuration(501)
  counters.countDuration(60_000_001)
  const { durations } = counters.snapshot()
  t.equal(durations[0], 2)
  t.equal(durations[1], 1)
  t.equal(durations[size], 1, 'beyond the last bound')
  t.equal(durations[size + 1], 60_001_002, 'the sum')
  t.end()
})

void t.test("servers' rows stay where they are while others come", (t) => {
  const counters = new Counters()
  const first = counters.serverRow('caches', 'a')
  counters.addServer(first + SERVER.requests, 3)
  const second = counters.serverRow('caches', 'b')
  counters.countFirstByte(second, 750)
  t.equal(counters.serverRow('caches', 'a'), first)
  t.not(second, first)
  const snapshot = counters.snapshot()
  t.strictSame(snapshot.serverKeys, ['caches/a', 'caches/b'])
  t.equal(snapshot.servers.length, 2 * SERVER_STRIDE)
  t.equal(snapshot.servers[SERVER.requests], 3)
  t.equal(snapshot.servers[SERVER_STRIDE + SERVER.firstByte + 1], 1)
  t.equal(snapshot.servers[SERVER_STRIDE + SERVER.firstByte + FIRST_BYTE_BOUNDS_US.length + 1], 750)
  t.end()
})

void t.test('a snapshot is a copy that a message can carry', (t) => {
  const counters = new Counters()
  counters.countRefusal('bad-host')
  counters.countRefusal('bad-host')
  const snapshot = structuredClone(counters.snapshot())
  counters.add(GLOBAL.requests, 1)
  counters.countRefusal('bad-host')
  t.equal(snapshot.global[GLOBAL.requests], 0)
  t.strictSame(snapshot.refusals, { 'bad-host': 2 })
  t.end()
})
