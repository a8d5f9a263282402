import t from 'tap'
import { GLOBAL, SERVER, SERVER_STRIDE } from '../../router/core/counters.ts'
import { homeOf, layGround, logOf, raisedGauges, TRANSPORTS, until } from './edge-ground.ts'
import { ask, bodyOf, get, whole } from './lane-fixture.ts'
import type { OriginScript } from './lane-fixture.ts'

const answers = (body: string): OriginScript => {
  return (socket) => socket.write(whole(body))
}
const unframed = (body: string): OriginScript => {
  return (socket) => socket.end(`HTTP/1.1 200 OK\r\n\r\n${body}`)
}

for (const [means, isPlain] of TRANSPORTS) {
  void t.test(
    `${means}: a cache that is up for no slot serves where nobody else is up`,
    async (t) => {
      const ground = await layGround(t, [answers('a'), answers('b')], { isPlain })
      const { edge } = ground
      const path = `/u/${await homeOf(ground, 0)}/p`
      const fetchPhoto = async () => bodyOf((await ask(edge.port, get(path))).text)
      edge.setVerdict('c0', { factor: 1e-9 })
      t.equal(await fetchPhoto(), 'b')
      edge.setVerdict('c1', { state: 'down', factor: 0 })
      t.equal(await fetchPhoto(), 'a')
      const lines = await logOf(ground)
      t.match(lines.slice(-2), [
        { cache: 'c1', rank: 1, fallback: 'weight' },
        { cache: 'c0', rank: 0, attempts: 1, status: 200 },
      ])
    },
  )

  void t.test(`${means}: a pool that requires framing passes unframed answers over`, async (t) => {
    const group = 'methods: [GET, HEAD, POST], bodies: allow'
    const ground = await layGround(t, [answers('a'), answers('b')], {
      isPlain,
      group,
      pool: 'framing: required',
    })
    const { edge, origins } = ground
    const user = await homeOf(ground, 0)
    origins[0]!.script = unframed('half a pho')
    t.equal(bodyOf((await ask(edge.port, get(`/u/${user}/p`))).text), 'b', 'the next rank')
    t.equal(edge.counters.servers[SERVER.badHeads], 1)
    origins[0]!.script = (s) => s.end('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
    t.match((await ask(edge.port, get(`/u/${user}/p`))).text, /^HTTP\/1.1 304 /, 'has no body')
    origins[0]!.script = unframed('half a pho')
    origins[1]!.script = unframed('to')
    t.match((await ask(edge.port, get(`/u/${user}/p`))).text, /^HTTP\/1.1 502 /)
    const post = `POST /u/${user}/p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx`
    t.match((await ask(edge.port, post)).text, /^HTTP\/1.1 502 /, 'in the general lane too')
    t.equal(edge.counters.global[GLOBAL.unframed], 0)
    await until(() => raisedGauges(edge).length === 0)
    t.end()
  })

  void t.test(
    `${means}: a retry goes to a suspect cache where nobody better is left`,
    async (t) => {
      // No trial is let through: a check of the photo port is there.
      const ground = await layGround(t, [answers('a'), answers('b')], {
        isPlain,
        check: 'type: http, path: /',
      })
      const { edge, origins } = ground
      const users = [await homeOf(ground, 0), await homeOf(ground, 1)]
      const reset = (s: { resetAndDestroy(): unknown }) => s.resetAndDestroy()
      origins[1]!.script = reset
      for (let i = 0; i < 3; i++) await ask(edge.port, get(`/u/${users[1]}/p`))
      t.strictSame(edge.suspects, ['caches/c1'])
      origins[1]!.script = answers('b')
      origins[0]!.script = reset
      t.equal(bodyOf((await ask(edge.port, get(`/u/${users[0]}/p`))).text), 'b')
      t.match((await logOf(ground)).at(-1), {
        status: 200,
        rank: 1,
        attempts: 2,
        fallback: 'retry',
      })
      t.end()
    },
  )

  void t.test(`${means}: where every cache is suspect, none is`, async (t) => {
    // A check of the photo port is there: nothing but its verdict clears, and no trial is let through.
    const ground = await layGround(t, [answers('a'), answers('b')], {
      isPlain,
      check: 'type: http, path: /',
    })
    const { edge, origins } = ground
    const user = await homeOf(ground, 0)
    for (const origin of origins) origin.script = (s) => s.resetAndDestroy()
    for (let i = 0; i < 3; i++) await ask(edge.port, get(`/u/${user}/p`))
    t.strictSame(edge.suspects, ['caches/c0', 'caches/c1'])
    const rows = [SERVER.suspect, SERVER_STRIDE + SERVER.suspect]
    t.strictSame(
      rows.map((row) => edge.counters.servers[row]),
      [1, 1],
    )

    origins[0]!.script = answers('a')
    origins[1]!.script = answers('b')
    t.equal(bodyOf((await ask(edge.port, get(`/u/${user}/p`))).text), 'a', 'home is asked again')
    t.strictSame(
      rows.map((row) => edge.counters.servers[row]),
      [1, 1],
      'and the suspicion stands',
    )
    // One that can be trusted again is enough for the other to be passed by.
    edge.setVerdict('c1', { clearsSuspicion: true })
    t.equal(bodyOf((await ask(edge.port, get(`/u/${user}/p`))).text), 'b')
    t.equal(edge.counters.global[GLOBAL.trials], 0)
    const lines = await logOf(ground)
    t.match(lines.slice(-2), [
      { rank: 0, attempts: 1 },
      { rank: 1, attempts: 1, fallback: 'suspect' },
    ])
    t.end()
  })
}
