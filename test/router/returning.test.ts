import t from 'tap'
import { SERVER } from '../../router/core/counters.ts'
import { homeOf, layGround, logOf, raisedGauges, TRANSPORTS, until } from './edge-ground.ts'
import type { Ground } from './edge-ground.ts'
import { ask, bodyOf, get, whole } from './lane-fixture.ts'
import type { Origin, OriginScript } from './lane-fixture.ts'

const RAMP_MS = 60_000
/** What a client asks by, and what is repeated: the latter wants its connection's end. */
const ASKED = 'Connection: keep-alive'
const isRepeated = (head: string): boolean => /^connection: close\r$/im.test(head)

/** A cache that answers with its name; it closes where it is asked to. */
const named =
  (name: string): OriginScript =>
  (socket, head) => {
    const answer = whole(name)
    if (isRepeated(head)) socket.end(answer)
    else socket.write(answer)
  }

const repeatedAt = (origin: Origin): string[] => origin.heads.filter(isRepeated)

/** One request on a connection that both sides would keep. */
const fetchPhoto = async ({ edge }: Ground, path: string): Promise<string> => {
  const { text } = await ask(edge.port, get(path, ASKED), (sofar) =>
    /\r\n\r\n(c\d|.*\n)$/s.test(sofar),
  )
  return bodyOf(text)
}

const counted = ({ edge }: Ground, place: number): number =>
  edge.counters.servers[edge.counters.serverRow('caches', 'c0') + place] ?? 0

for (const [means, isPlain] of TRANSPORTS) {
  void t.test(
    `${means}: users of a returning cache come back by shares, and the log says why not`,
    async (t) => {
      const ground = await layGround(t, ['c0', 'c1', 'c2'].map(named), {
        isPlain,
        group: 'rampUp: 60s',
      })
      const { edge } = ground
      const users: string[] = []
      for (let user = 0; users.length < 30; user++)
        if ((await fetchPhoto(ground, `/u/${user}/p`)) === 'c0') users.push(String(user))

      const back = async (elapsedMs: number): Promise<string[]> => {
        edge.setVerdict('c0', {}, { 'caches/c0': elapsedMs })
        const found = []
        for (const user of users)
          if ((await fetchPhoto(ground, `/u/${user}/p`)) === 'c0') found.push(user)
        return found
      }
      const shares = [0, 0.3, 0.6, 0.9].map((share) => share * RAMP_MS)
      let before: string[] = []
      for (const elapsedMs of shares) {
        const now = await back(elapsedMs)
        t.ok(
          before.every((user) => now.includes(user)),
          'who is back stays',
        )
        t.ok(now.length < users.length, `${now.length} of ${users.length}`)
        before = now
      }
      t.ok(before.length > users.length / 2)
      t.strictSame(await back(RAMP_MS), users, 'all are back when the time is over')
      edge.setVerdict('c0', {}, {})
      t.strictSame(
        repeatedAt(ground.origins[0]!),
        [],
        'nothing is repeated where it is not asked for',
      )

      const away = (await logOf(ground)).filter(({ fallback }) => fallback === 'returning')
      t.ok(away.length > 30)
      t.ok(away.every(({ cache, rank }) => cache !== 'c0' && rank === 1))
      t.strictSame(edge.suspects, [])
    },
  )
}

void t.test('a reload in the midst of a return keeps its share, by the new time', async (t) => {
  const ground = await layGround(t, ['c0', 'c1'].map(named), { group: 'rampUp: 60s' })
  const user = await homeOf(ground, 0)
  ground.edge.setVerdict('c0', {}, { 'caches/c0': 0 })
  const path = `/u/${user}/p`
  t.equal(await fetchPhoto(ground, path), 'c1')
  ground.edge.reconfigure({ group: 'rampUp: 120s' })
  t.equal(await fetchPhoto(ground, path), 'c1')
  ground.edge.reconfigure({ group: '' })
  t.equal(await fetchPhoto(ground, path), 'c0')
})

void t.test('where nobody else has the photo, a returning cache gives it', async (t) => {
  const ground = await layGround(t, ['c0', 'c1'].map(named), { group: 'rampUp: 60s' })
  const { edge, origins } = ground
  const path = `/u/${await homeOf(ground, 0)}/p`
  edge.setVerdict('c0', {}, { 'caches/c0': 0 })
  t.equal(await fetchPhoto(ground, path), 'c1')
  origins[1]!.script = (socket) => socket.resetAndDestroy()
  t.equal(await fetchPhoto(ground, path), 'c0', 'the fallback fails before its first byte')
  edge.setVerdict('c1', { state: 'down', factor: 0 }, { 'caches/c0': 0 })
  t.equal(await fetchPhoto(ground, path), 'c0', 'the fallback is down')
})

void t.test(
  'what users away from a returning cache get is repeated to it, and seen by nobody',
  async (t) => {
    const ground = await layGround(t, ['c0', 'c1'].map(named), {
      group: 'rampUp: 60s, warm: on, requestHeaders: { set: { X-Token: secret } }',
    })
    const { edge, origins } = ground
    const user = await homeOf(ground, 0)
    edge.setVerdict('c0', {}, { 'caches/c0': 0 })
    const before = origins[0]!.heads.length
    for (let photo = 0; repeatedAt(origins[0]!).length < 3; photo++)
      t.equal(await fetchPhoto(ground, `/u/${user}/${photo}?size=l`), 'c1')
    t.equal(origins[0]!.heads.length - before, repeatedAt(origins[0]!).length)
    const [head = ''] = repeatedAt(origins[0]!)
    t.match(head, /^GET \/u\/\d+\/\d+\?size=l HTTP\/1\.1\r\nHost: photos\.example\r\n/)
    t.match(head, /\r\nX-Token: secret\r\n/)
    await until(() => counted(ground, SERVER.warmRequests) >= 3)
    t.equal(counted(ground, SERVER.warmFailures), 0)
    t.equal(counted(ground, SERVER.active), 0)
    const requests = edge.counters.global
    const lines = await logOf(ground)
    t.equal(lines.length, requests[7], 'a line for each request of a client')
    t.notOk(lines.some(({ cache, fallback }) => fallback === 'returning' && cache === 'c0'))
    t.strictSame(raisedGauges(edge), [])
  },
)

void t.test('only whole photos that a client got are repeated, each once', async (t) => {
  const ground = await layGround(
    t,
    [
      named('c0'),
      (socket, head) => {
        if (head.includes('/none'))
          socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
        else if (head.startsWith('HEAD'))
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n')
        else socket.write(whole('c1'))
      },
    ],
    { group: 'rampUp: 60s, warm: on' },
  )
  const { edge, origins } = ground
  const user = await homeOf(ground, 0)
  edge.setVerdict('c0', {}, { 'caches/c0': 0 })
  const isHeadWhole = (text: string): boolean => text.endsWith('\r\n\r\n')
  for (let photo = 0; photo < 12; photo++) {
    await ask(edge.port, get(`/u/${user}/none${photo}`, ASKED), isHeadWhole)
    const head = get(`/u/${user}/h${photo}`, ASKED).replace('GET', 'HEAD')
    await ask(edge.port, head, isHeadWhole)
  }
  t.strictSame(repeatedAt(origins[0]!), [])
  while (repeatedAt(origins[0]!).length === 0) await fetchPhoto(ground, `/u/${user}/popular`)
  for (let i = 0; i < 40; i++) await fetchPhoto(ground, `/u/${user}/popular`)
  t.equal(repeatedAt(origins[0]!).length, 1, 'the same photo is not repeated again')
  while (repeatedAt(origins[0]!).length === 1) await fetchPhoto(ground, `/u/${user}/other`)

  edge.setVerdict('c0', { state: 'down', factor: 0 })
  edge.setVerdict('c0', {}, { 'caches/c0': 0 })
  while (repeatedAt(origins[0]!).length === 2) await fetchPhoto(ground, `/u/${user}/popular`)
  t.match(repeatedAt(origins[0]!)[2], /\/popular /, 'after another outage it may be gone')
})

void t.test(
  'what is repeated fails without harm: counted, no suspicion, no retry, four at a time',
  async (t) => {
    const ground = await layGround(t, ['c0', 'c1'].map(named), { group: 'rampUp: 60s, warm: on' })
    const { edge, origins } = ground
    const user = await homeOf(ground, 0)
    edge.setVerdict('c0', {}, { 'caches/c0': 0 })
    origins[0]!.script = (socket, head) => {
      if (head.includes('/reset')) socket.resetAndDestroy()
      else if (head.includes('/busy'))
        socket.end('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      // Else it hangs.
    }
    let photo = 0
    for (const [name, failures] of [
      ['reset', 4],
      ['busy', 8],
    ] as const)
      while (counted(ground, SERVER.warmFailures) < failures)
        t.equal(await fetchPhoto(ground, `/u/${user}/${name}${photo++}`), 'c1')
    const begun = counted(ground, SERVER.warmRequests)
    while (counted(ground, SERVER.warmRequests) < begun + 4)
      await fetchPhoto(ground, `/u/${user}/hang${photo++}`)
    const asked = photo
    const since = performance.now()
    while (photo < asked + 40 || performance.now() - since < 150)
      await fetchPhoto(ground, `/u/${user}/hang${photo++}`)
    t.equal(counted(ground, SERVER.warmRequests), begun + 4, 'four hang, and no fifth is begun')
    // A cache that goes down takes them along, so that a flapping one never gathers more.
    const downAt = performance.now()
    edge.setVerdict('c0', { state: 'down', factor: 0 })
    await until(() => counted(ground, SERVER.warmFailures) === begun + 4)
    t.ok(performance.now() - downAt < 2_000, 'long before their own 10 s are over')
    edge.setVerdict('c0', {}, { 'caches/c0': 0 })
    while (counted(ground, SERVER.warmRequests) < begun + 5)
      await fetchPhoto(ground, `/u/${user}/hang${photo++}`)
    t.strictSame(edge.suspects, [])
    const lines = await logOf(ground)
    t.notOk(lines.some(({ retries }) => retries !== undefined))
    t.ok(lines.every(({ end }) => end === 'complete'))
    t.strictSame(raisedGauges(edge), [])
    // A worker that ends waits for none of them.
    await until(() => counted(ground, SERVER.warmFailures) === counted(ground, SERVER.warmRequests))
  },
)

void t.test('a port that refuses costs nothing either', async (t) => {
  const ground = await layGround(t, [named('c0'), named('c1')], { group: 'rampUp: 60s, warm: on' })
  const { edge, origins } = ground
  const user = await homeOf(ground, 0)
  edge.setVerdict('c0', {}, { 'caches/c0': 0 })
  await origins[0]!.close()
  let photo = 0
  while (counted(ground, SERVER.warmFailures) < 3)
    t.equal(await fetchPhoto(ground, `/u/${user}/${photo++}`), 'c1')
  t.strictSame(edge.suspects, [])
})
