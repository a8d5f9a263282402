import koffi from 'koffi'
import t from 'tap'
import { GLOBAL, SERVER } from '../../router/core/counters.ts'
import {
  dial,
  homeOf,
  layGround,
  logOf,
  raisedGauges,
  statuses,
  TRANSPORTS,
  until,
} from './edge-ground.ts'
import type { Tap } from './edge-ground.ts'
import { bodyOf, get, whole } from './lane-fixture.ts'
import type { OriginScript } from './lane-fixture.ts'

// This process's own limit of open files is what runs out: one test at a time.
const libc = koffi.load('libc.so.6')
const getrlimit = libc.func('int getrlimit(int resource, _Out_ uint64_t *limits)')
const setrlimit = libc.func('int setrlimit(int resource, const uint64_t *limits)')
const RLIMIT_NOFILE = 7

/** No descriptor can be made until the returned function is called; those that are open stay. */
function openNoMoreFiles(t: Pick<Tap, 'teardown'>): () => void {
  const before = [0n, 0n]
  if (getrlimit(RLIMIT_NOFILE, before) !== 0) throw new Error('getrlimit failed')
  if (setrlimit(RLIMIT_NOFILE, [3n, before[1]!]) !== 0) throw new Error('setrlimit failed')
  const relent = (): void => {
    if (setrlimit(RLIMIT_NOFILE, before) !== 0) throw new Error('setrlimit failed')
  }
  t.teardown(relent)
  return relent
}

/** Its connection ends with each answer: the next request needs a new one. */
const once: OriginScript = (socket) => socket.end(whole('photo', 'Connection: close'))

const KEPT = 'Connection: keep-alive'
const POST = 'POST /u/7/p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx'
/** Of each cache: everything that is said against it. */
const MARKS = [
  ...[SERVER.connectRefused, SERVER.connectUnreachable, SERVER.connectTimeouts],
  ...[SERVER.connectFailed, SERVER.resets, SERVER.firstByteTimeouts, SERVER.badHeads],
  ...[SERVER.suspicions, SERVER.suspect, SERVER.fallbackIn, SERVER.fallbackOut],
]

for (const [means, isPlain] of TRANSPORTS) {
  void t.test(`${means}: no cache is blamed for descriptors that lack here`, async (t) => {
    const ground = await layGround(t, [once, once], {
      isPlain,
      group: 'methods: [GET, HEAD, POST], bodies: allow',
    })
    const { edge, origins } = ground
    const { counters } = edge
    // The general lane is loaded when it is first needed.
    const loaded = dial(edge.port, POST)
    await until(() => loaded.how !== '')
    const clients = Array.from({ length: 5 }, () => dial(edge.port, get('/u/7/p', KEPT)))
    await until(() => clients.every(({ text }) => bodyOf(text) === 'photo'))
    await until(() => counters.servers[SERVER.connections] === 0)
    const asked = origins.reduce((sum, { heads }) => sum + heads.length, 0)

    const relent = openNoMoreFiles(t)
    // More in a row than make a cache suspect.
    for (const [i, client] of clients.entries()) {
      client.text = ''
      client.socket.write(i === 4 ? POST : get('/u/7/p', KEPT))
      await until(() => client.how !== '')
    }
    relent()
    for (const { text, how } of clients) {
      t.strictSame(statuses(text), [503])
      t.match(text, /\r\nRetry-After: 1\r\n/i)
      t.match(text, /\r\nConnection: close\r\n/i, "the client's descriptor is given back")
      t.equal(bodyOf(text), '503 Service Unavailable\nThis router can make no more connections\n')
      t.equal(how, 'end')
    }
    for (const name of ['c0', 'c1'])
      for (const mark of MARKS)
        t.equal(counters.servers[counters.serverRow('caches', name) + mark], 0, `${name} ${mark}`)
    t.strictSame(edge.suspects, [])
    t.equal(counters.global[GLOBAL.suspicions], 0)
    t.equal(counters.global[GLOBAL.shortages], 5)
    t.strictSame(
      edge.events.map(({ event }) => event),
      ['out of resources'],
      'told once',
    )
    t.match(edge.events[0]?.reason, /^No more file descriptors \(EMFILE\) .* caches\/c\d/)
    t.match(edge.events[0]?.reason, /may have \d+ files open/)

    const after = dial(edge.port, get('/u/7/p'))
    await until(() => after.how !== '')
    t.equal(bodyOf(after.text), 'photo', 'all is well again')
    t.equal(origins.reduce((sum, { heads }) => sum + heads.length, 0) - asked, 1)
    await until(() => raisedGauges(edge).length === 0)
    const short = (await logOf(ground)).filter(({ status }) => status === 503)
    t.strictSame(
      short.map(({ end, attempts, lane }) => [end, attempts, lane]),
      [...Array.from({ length: 4 }, () => ['busy', 1, 'fast']), ['busy', 1, 'general']],
    )
  })
}

void t.test('a warming request that could not be made is no failure of the cache', async (t) => {
  const named = (name: string): OriginScript => {
    return (socket) => socket.write(whole(name))
  }
  const group = 'rampUp: 60s, warm: on'
  const ground = await layGround(t, [named('c0'), named('c1')], { group })
  const { edge } = ground
  const { counters } = edge
  const user = await homeOf(ground, 0)
  edge.setVerdict('c0', {}, { 'caches/c0': 0 })
  const client = dial(edge.port)
  const fetchPhoto = async (photo: number): Promise<void> => {
    client.text = ''
    client.socket.write(get(`/u/${user}/${photo}`, KEPT))
    await until(() => bodyOf(client.text) === 'c1')
  }
  // From here on there is a kept connection to the one that serves.
  await fetchPhoto(0)
  const before = counters.servers[SERVER.warmRequests] ?? 0
  const relent = openNoMoreFiles(t)
  // More than may be under way at a time: none of them stays behind.
  for (let photo = 1; counters.global[GLOBAL.shortages]! < 6; photo++) await fetchPhoto(photo)
  relent()
  t.equal(counters.servers[SERVER.warmRequests], before + 6)
  t.equal(counters.servers[SERVER.warmFailures], 0)
  t.strictSame(
    edge.events.map(({ event }) => event),
    ['out of resources'],
  )
  client.socket.destroy()
})
