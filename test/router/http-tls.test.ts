import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { SecureVersion } from 'node:tls'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { dial, layGround, logOf, raisedGauges, sleep, TRANSPORTS, until } from './edge-ground.ts'
import { bodyOf, get, pattern, whole } from './lane-fixture.ts'
import type { OriginScript } from './lane-fixture.ts'

const pair = (file: string): string =>
  JSON.stringify(fileURLToPath(new URL(`../healthcheck/io/fixtures/${file}`, import.meta.url)))
const listener = `tls: [{ certificate: ${pair('cdn.pem')}, key: ${pair('cdn.key')} }]`

/** What a TLS client got, and whether the router ended TLS before it ended the connection. */
interface Secured {
  readonly text: string
  readonly hasCloseNotify: boolean
}

/** Sends a request over TLS, and reads what comes and the records that it comes in. */
async function askSecurely(
  port: number,
  request: string,
  maxVersion: SecureVersion,
): Promise<Secured> {
  const records = new RecordReader()
  const relay = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    far.on('data', (bytes) => {
      records.take(bytes)
    })
    for (const socket of [near, far]) socket.on('error', () => undefined)
    // A reset is no end, and not passed on by itself.
    far.on('close', () => {
      near.destroySoon()
    })
    near.pipe(far).pipe(near)
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  const socket = connectTls({
    port: (relay.address() as AddressInfo).port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    maxVersion,
  })
  let text = ''
  socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')))
  socket.on('error', () => undefined)
  socket.write(request)
  await once(socket, 'close')
  relay.close()
  return { text, hasCloseNotify: records.hasCloseNotify }
}

/** Follows a TLS stream's records by their heads, which are in the clear. */
class RecordReader {
  #bytes = Buffer.alloc(0)
  /** The last record is an alert: by its type before TLS 1.3, since then by its length alone. */
  hasCloseNotify = false

  take(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes])
    while (this.#bytes.length >= HEAD_BYTES) {
      const [type] = this.#bytes
      const length = this.#bytes.readUInt16BE(3)
      if (this.#bytes.length < HEAD_BYTES + length) return
      this.hasCloseNotify = type === ALERT || (type === DATA && length === HIDDEN_ALERT_BYTES)
      this.#bytes = this.#bytes.subarray(HEAD_BYTES + length)
    }
  }
}

const HEAD_BYTES = 5
const ALERT = 21
const DATA = 23
/** Level, description, the hidden type, and the tag. */
const HIDDEN_ALERT_BYTES = 2 + 1 + 16

for (const [means, isPlain] of TRANSPORTS) {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    void t.test(`${means}: a cut body never looks whole over ${version}`, async (t) => {
      const group = 'methods: [GET, POST], bodies: allow, maxBody: 1KB'
      const options = { isPlain, listener, group }
      const ground = await layGround(t, [(s) => s.write(whole('photo'))], options)
      const { edge, origins } = ground
      const handedOver = 'POST /u/1/p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx'
      const good = await askSecurely(edge.port, get('/u/1/p'), version)
      t.equal(bodyOf(good.text), 'photo')
      t.ok(good.hasCloseNotify, 'a whole answer ends TLS too')

      origins[0]!.script = (s) => s.end('HTTP/1.1 200 OK\r\n\r\nphoto')
      const unframed = await askSecurely(edge.port, get('/u/1/p'), version)
      t.equal(bodyOf(unframed.text), 'photo')
      t.ok(unframed.hasCloseNotify, 'also where nothing else frames it')

      const cuts: readonly [string, string][] = [
        ['length', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npho'],
        ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\npho\r\n'],
        ['close', 'HTTP/1.1 200 OK\r\n\r\npho'],
      ]
      for (const [framing, head] of cuts) {
        origins[0]!.script = (s) => {
          s.write(head, () => setTimeout(() => s.resetAndDestroy(), 20))
        }
        // In TLS 1.3 a chunk's last two bytes, a record of their own there, look like an alert.
        const isTold = framing !== 'chunks' || version === 'TLSv1.2'
        const others = isTold ? [handedOver] : []
        for (const request of [get('/u/1/p'), get('/u/1/p', 'X: 1'), ...others]) {
          const cut = await askSecurely(edge.port, request, version)
          t.match(cut.text, /pho(\r\n)?$/, framing)
          t.notOk(cut.hasCloseNotify, `${framing}: the client sees that TLS was cut`)
        }
      }
      await until(() => raisedGauges(edge).length === 0)
      const lines = await logOf(ground)
      t.strictSame(new Set(lines.slice(2).map(({ end }) => end)), new Set(['cache cut']))
      t.end()
    })
  }

  void t.test(`${means}: a connection ends as it was accepted, with TLS or without`, async (t) => {
    const cut: OriginScript = (s) => {
      s.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npho', () =>
        setTimeout(() => s.resetAndDestroy(), 20),
      )
    }
    const { edge } = await layGround(t, [cut], { isPlain })
    const plain = dial(edge.port, get('/u/1/p', 'X: 1'))
    await until(() => plain.text.endsWith('pho'))
    await edge.reload({ listener })
    const secured = await askSecurely(edge.port, get('/u/1/p'), 'TLSv1.3')
    t.match(secured.text, /pho$/)
    t.notOk(secured.hasCloseNotify, 'the client sees that TLS was cut')
    await until(() => plain.how !== '')
    t.equal(plain.how, 'end', 'a length shows the cut, so nothing is reset')
    t.end()
  })

  void t.test(`${means}: photos of every size arrive whole over TLS`, async (t) => {
    const bodies = [0, 1, 16_383, 16_385, 131_073, 1_000_000].map(pattern)
    const { edge } = await layGround(
      t,
      [(s, head) => s.write(whole(bodies[Number(/^GET \/u\/1\/(\d+)/.exec(head)?.[1])]!))],
      { isPlain, listener },
    )
    for (const [place, body] of bodies.entries()) {
      const { text, hasCloseNotify } = await askSecurely(edge.port, get(`/u/1/${place}`), 'TLSv1.3')
      t.ok(bodyOf(text) === body.toString('latin1'), `${body.length} bytes`)
      t.ok(hasCloseNotify)
    }
    await sleep(0)
    t.end()
  })
}
