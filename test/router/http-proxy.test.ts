import t from 'tap'
import { GLOBAL } from '../../router/core/counters.ts'
import { dial, layGround, logOf, raisedGauges, sleep, TRANSPORTS, until } from './edge-ground.ts'
import { ask, bodyOf, get, whole } from './lane-fixture.ts'

const answers = [(s: { write(bytes: Buffer): unknown }) => s.write(whole('photo'))]

const ADDRESSES = [192, 0, 2, 7, 198, 51, 100, 1]
const PORTS = [4711 >> 8, 4711 & 255, 0, 80]
const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n'
const bytes = (...values: readonly number[]): string => String.fromCharCode(...values)

const V1 = 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n'
const V2 = SIGNATURE + bytes(0x21, 0x11, 0, 12, ...ADDRESSES, ...PORTS)
const V2_LOCAL = SIGNATURE + bytes(0x20, 0, 0, 0)

for (const [means, isPlain] of TRANSPORTS) {
  for (const [version, header] of [
    ['v1', V1],
    ['v2', V2],
  ] as const) {
    const listener = `proxyProtocol: ${version}, trust: [127.0.0.0/8]`

    void t.test(
      `${means}: who a trusted PROXY header names is the client, ${version}`,
      async (t) => {
        const ground = await layGround(t, answers, { isPlain, listener })
        const { edge, origins } = ground
        const { text } = await ask(edge.port, header + get('/u/1/a', 'X: 1') + get('/u/1/b'))
        t.equal(text.match(/photo/g)?.length, 2, 'the header is one for the whole connection')
        for (const head of origins[0]!.heads) {
          t.match(head, /\r\nX-Forwarded-For: 192\.0\.2\.7\r\nX-Real-IP: 192\.0\.2\.7\r\n/)
          t.notMatch(head, /PROXY|QUIT/)
        }
        const drip = dial(edge.port)
        for (const letter of header + get('/u/1/c')) {
          drip.socket.write(letter, 'latin1')
          await new Promise((resolve) => setImmediate(resolve))
        }
        await until(() => drip.how !== '')
        t.equal(bodyOf(drip.text), 'photo', 'byte by byte')
        await until(() => raisedGauges(edge).every((gauge) => gauge.startsWith('server')))
        t.match(await logOf(ground), [
          { client: '192.0.2.7', port: 4711 },
          { client: '192.0.2.7', port: 4711 },
          { client: '192.0.2.7', port: 4711 },
        ])
        t.end()
      },
    )

    void t.test(`${means}: without its PROXY header nobody is served, ${version}`, async (t) => {
      const { edge, origins } = await layGround(t, answers, {
        isPlain,
        listener: `${listener}, timeouts: { head: 150ms }`,
      })
      for (const start of [get('/u/1/p'), header.slice(0, -1), header.slice(0, 20), '']) {
        const { text } = await ask(edge.port, start)
        t.equal(text, '')
      }
      t.equal(edge.counters.global[GLOBAL.proxyHeadersRefused], 4)
      const gone = dial(edge.port, header.slice(0, 20))
      await until(() => gone.socket.readyState === 'open')
      gone.socket.resetAndDestroy()
      await until(() => edge.counters.global[GLOBAL.proxyHeadersRefused] === 5)
      t.strictSame(origins[0]!.heads, [])
      t.strictSame(raisedGauges(edge), [])
      t.end()
    })

    void t.test(`${means}: a stranger's PROXY header is not believed, ${version}`, async (t) => {
      const { edge, origins } = await layGround(t, answers, {
        isPlain,
        listener: `proxyProtocol: ${version}, trust: [192.0.2.0/24]`,
      })
      for (const request of [header + get('/u/1/p'), get('/u/1/p')])
        t.equal((await ask(edge.port, request)).text, '')
      t.equal(edge.counters.global[GLOBAL.proxyHeadersRefused], 2)
      t.strictSame(origins[0]!.heads, [])
      t.end()
    })
  }

  void t.test(`${means}: a PROXY header that names nobody leaves the peer`, async (t) => {
    for (const [version, header] of [
      ['v1', 'PROXY UNKNOWN\r\n'],
      ['v2', V2_LOCAL],
    ] as const) {
      const { edge, origins } = await layGround(t, answers, {
        isPlain,
        listener: `proxyProtocol: ${version}, trust: [127.0.0.0/8]`,
      })
      t.equal(bodyOf((await ask(edge.port, header + get('/u/1/p'))).text), 'photo')
      t.match(origins[0]!.heads[0], /\r\nX-Real-IP: 127\.0\.0\.1\r\n/)
    }
    t.end()
  })

  void t.test(`${means}: where no PROXY header is asked for, it is a bad request`, async (t) => {
    const { edge } = await layGround(t, answers, { isPlain, listener: 'trust: [127.0.0.0/8]' })
    for (const header of [V1, V2])
      t.match((await ask(edge.port, header + get('/u/1/p'))).text, /^HTTP\/1.1 (400|501) /)
    t.end()
  })

  void t.test(`${means}: a client that ends behind its PROXY header leaves nothing`, async (t) => {
    const { edge, origins } = await layGround(t, [() => undefined], {
      isPlain,
      listener: 'proxyProtocol: v1, trust: [127.0.0.0/8]',
    })
    for (const rest of ['', 'GET /u/', get('/u/1/p')]) {
      const { socket } = dial(edge.port, V1 + rest)
      socket.end()
    }
    await until(() => edge.counters.global[GLOBAL.connectionsAccepted] === 3)
    await until(() => raisedGauges(edge).length === 0)
    await sleep(0)
    t.ok(origins[0]!.heads.length <= 1)
    t.end()
  })
}
