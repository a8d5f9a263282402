import { Buffer } from 'node:buffer'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import tls from 'node:tls'
import type { TLSSocket } from 'node:tls'
import t from 'tap'
import type { Test } from 'tap'
import { BufferPool } from '../../../../router/io/buffer-pool.ts'
import { createNodeTlsListener } from '../../../../router/io/tls/node-listener.ts'
import { createOpenSslListener } from '../../../../router/io/tls/openssl-listener.ts'
import { openSsl } from '../../../../router/io/tls/openssl.ts'
import type { Peer } from '../../../../router/io/photo-serving.ts'
import type { SecureListenerInit } from '../../../../router/io/tls/listener.ts'
import { setOption } from '../../../../router/io/socket-calls.ts'
import { openSocket } from '../../../../router/io/socket-transport.ts'
import { openStreamWrap } from '../../../../router/io/stream-wrap-transport.ts'
import { WRITE } from '../../../../router/io/transport.ts'
import type { TlsFacts, Transport, TransportOwner } from '../../../../router/io/transport.ts'
import { descriptorOf } from '../../descriptor.ts'
import { until } from '../../edge-ground.ts'
import { Dice } from '../../fuzz/dice.ts'
import { CLIENT_HELLO, connectForged, HANDSHAKE } from './forged-client.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../healthcheck/io/fixtures/${name}`, import.meta.url), 'utf8')
const CDN = { names: ['cdn.test'], certificate: fixture('cdn.pem'), key: fixture('cdn.key') }
const ISSUED = {
  names: ['*.photos.test'],
  certificate: fixture('issued.pem'),
  key: fixture('issued.key'),
}

/** The router's end of a client's connection, and what was heard of it. */
interface End extends TransportOwner {
  readonly transport: Transport
  readonly tls: TlsFacts | undefined
  readonly peer: Peer | undefined
  text: string
  readonly heard: string[]
}

interface Side {
  readonly port: number
  readonly ends: End[]
  readonly failures: string[]
  /** What is done with bytes, besides keeping them. */
  onBytes: (end: End) => void
}

type Options = Partial<Pick<SecureListenerInit, 'pairs' | 'ticketKeys'>> & {
  readonly minTls?: '1.2' | '1.3'
  readonly headMs?: number
  readonly landingBytes?: number
  /** Called before each session is given bytes. */
  readonly onWire?: () => void
}

/** The ways that TLS is served: over each transport by OpenSSL, and by Node. */
const WAYS = ['OpenSSL over stream_wrap', 'OpenSSL over net.Socket', 'node:tls'] as const
type Way = (typeof WAYS)[number]

const pool = new BufferPool()
const landings = new Map<number, Buffer>()

/** A listener and its clients' ends; all of it goes with the test. */
async function listen(t: Test, way: Way, options: Options = {}): Promise<Side> {
  const { landingBytes = 65_536, minTls = '1.2', headMs = 10_000 } = options
  const landing = landings.get(landingBytes) ?? Buffer.allocUnsafeSlow(landingBytes)
  landings.set(landingBytes, landing)
  const sockets: Socket[] = []
  const side: Side = { port: 0, ends: [], failures: [], onBytes: () => undefined }
  const init: SecureListenerInit = {
    listener: { minTls, timeouts: { headMs } },
    pairs: options.pairs ?? [CDN],
    ticketKeys: options.ticketKeys,
    openTransport: (socket, owner, into) => {
      const told: TransportOwner = {
        onBytes: (length) => {
          options.onWire?.()
          return owner.onBytes(length)
        },
        onEnd: () => {
          owner.onEnd()
        },
        onDrained: () => {
          owner.onDrained()
        },
        onGone: (code) => {
          owner.onGone(code)
        },
      }
      return way === 'OpenSSL over stream_wrap'
        ? openStreamWrap(socket, told, into, pool)
        : openSocket(socket, told, into)
    },
    onSecure: (arrival, peer) => {
      const heard: string[] = []
      const owner = {
        tls: arrival.tls,
        peer,
        text: '',
        heard,
        onBytes: (length: number) => {
          end.text += landing.toString('latin1', 0, length)
          side.onBytes(end)
          return undefined
        },
        onEnd: () => void heard.push('end'),
        onDrained: () => void heard.push('drained'),
        onGone: (code: string) => void heard.push(code === '' ? 'gone' : `gone ${code}`),
      }
      const end: End = Object.assign(owner, { transport: arrival.open(owner, landing) })
      side.ends.push(end)
    },
    onFailure: (code) => side.failures.push(code),
  }
  const listener =
    way === 'node:tls' ? createNodeTlsListener(init) : createOpenSslListener(openSsl!, init)
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.push(socket)
    listener.accept(socket, { address: '192.0.2.7', port: socket.remotePort ?? 0 })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return Object.assign(side, { port: (server.address() as AddressInfo).port })
}

/** The router's end of a connection without TLS, to which three bytes have come that nobody reads. */
async function listenPlain(t: Test): Promise<Transport> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = (await once(server, 'connection')) as [Socket]
  t.teardown(() => {
    client.destroy()
    socket.destroy()
    server.close()
  })
  const owner = { onBytes: () => undefined, onEnd: noop, onDrained: noop, onGone: noop }
  const transport = openStreamWrap(socket, owner, Buffer.allocUnsafeSlow(100), pool)
  transport.pause()
  client.write('abc')
  return transport
}

const noop = (): void => undefined

async function connect(
  { port }: { readonly port: number },
  options: tls.ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

/** The end of a client's connection, once TLS is established there too. */
async function endOf(side: Side, { localPort }: TLSSocket): Promise<End> {
  const find = () => side.ends.find(({ peer }) => peer?.port === localPort)
  await until(() => find() !== undefined)
  return find()!
}

/** An error may come first: it is no news. */
async function closed(socket: Socket): Promise<void> {
  while (!socket.closed) await turn()
}

const servedTo = (socket: TLSSocket): string | undefined =>
  socket.getPeerX509Certificate()?.fingerprint256
const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256

t.ok(openSsl, 'this Node has the calls of OpenSSL')

for (const way of WAYS) {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    void t.test(`${way}: ${version}, its facts, and bytes both ways`, async (t) => {
      const side = await listen(t, way)
      side.onBytes = ({ transport, text }) => transport.write(Buffer.from(text), 0, text.length)
      const client = await connect(side, { minVersion: version, maxVersion: version })
      const echo = once(client, 'data') as Promise<[Buffer]>
      client.write('photo')
      t.equal((await echo)[0].toString(), 'photo')
      const [end] = side.ends
      t.strictSame(end?.tls, {
        protocol: version,
        cipher:
          version === 'TLSv1.2'
            ? 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'
            : 'TLS_AES_128_GCM_SHA256',
        isResumed: false,
      })
      t.strictSame(end?.peer, { address: '192.0.2.7', port: client.localPort })
      client.end()
      await until(() => end?.heard.includes('end') === true)
      end?.transport.end()
      await closed(client)
      end?.transport.destroy()
      await until(() => end?.heard.at(-1) === 'gone')
      t.strictSame(
        end?.heard.filter((word) => word !== 'drained'),
        ['end', 'gone'],
        'each once',
      )
      t.strictSame(side.failures, [])
    })
  }

  void t.test(`${way}: the certificate of the name that the client asks for`, async (t) => {
    const side = await listen(t, way, { pairs: [CDN, ISSUED] })
    const cases: readonly [string, string][] = [
      ['cdn.test', CDN.certificate],
      ['a.photos.test', ISSUED.certificate],
      ['A.PHOTOS.test', ISSUED.certificate],
      ['a.b.photos.test', CDN.certificate],
      ['', CDN.certificate],
    ]
    for (const [servername, expected] of cases) {
      const client = await connect(side, { servername })
      t.equal(servedTo(client), fingerprint(expected), servername)
      client.destroy()
    }
  })

  void t.test(
    `${way}: HTTP/1.1 is agreed on, or nothing; another protocol is refused`,
    async (t) => {
      const side = await listen(t, way)
      for (const [offered, agreed] of [
        [['h2', 'http/1.0', 'http/1.1'], 'http/1.1'],
        [['http/1.0'], 'http/1.0'],
        [undefined, false],
      ] as const) {
        const client = await connect(side, offered && { ALPNProtocols: [...offered] })
        t.equal(client.alpnProtocol, agreed)
        await endOf(side, client)
        client.destroy()
      }
      const refused = tls.connect({
        port: side.port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ALPNProtocols: ['h2', 'http/1'],
      })
      const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
      t.equal(error.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL')
      await until(() => side.failures.length > 0)
      t.match(side.failures, [/^ERR_SSL_NO_APPLICATION_PROTOCOL$|^ECONNRESET$/])
    },
  )

  void t.test(`${way}: a ticket resumes wherever its key is, under any certificate`, async (t) => {
    const keys = Buffer.alloc(48, 'a')
    const first = await listen(t, way, { ticketKeys: keys })
    const sides: readonly [Side, boolean][] = [
      [first, true],
      [await listen(t, way, { ticketKeys: keys, pairs: [ISSUED, CDN] }), true],
      [await listen(t, way, { ticketKeys: Buffer.alloc(48, 'b') }), false],
    ]
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = await connect(first, { maxVersion })
      let session: Buffer | undefined = client.getSession()
      client.on('session', (ticket: Buffer) => (session = ticket))
      const data = once(client, 'data')
      ;(await endOf(first, client)).transport.write(Buffer.from('x'), 0, 1)
      await data
      client.destroy()
      for (const [side, isSame] of sides) {
        const again = await connect(side, { maxVersion, ...(session && { session }) })
        t.equal(again.isSessionReused(), isSame, maxVersion)
        t.equal((await endOf(side, again)).tls?.isResumed, isSame)
        again.destroy()
      }
    }
  })

  void t.test(`${way}: an older TLS than is allowed is refused`, async (t) => {
    const side = await listen(t, way, { minTls: '1.3' })
    const client = tls.connect({ port: side.port, host: '127.0.0.1', maxVersion: 'TLSv1.2' })
    client.on('error', () => undefined)
    await closed(client)
    await until(() => side.failures.length > 0)
    t.strictSame(side.failures, ['ERR_SSL_UNSUPPORTED_PROTOCOL'])
  })

  void t.test(`${way}: what is no handshake fails, once, and is closed`, async (t) => {
    const side = await listen(t, way, { headMs: 50 })
    const cases: readonly [string, (socket: Socket) => unknown, RegExp][] = [
      ['HTTP', (socket) => socket.write('GET / HTTP/1.1\r\n\r\n'), /^ERR_SSL_/],
      ['noise', (socket) => socket.write(Buffer.alloc(100, 0xff)), /^ERR_SSL_/],
      ['nothing', () => undefined, /^ERR_TLS_HANDSHAKE_TIMEOUT$/],
      ['part of one', (socket) => socket.write('\x16\x03\x01\x00\x80\x01', 'latin1'), /TIMEOUT$/],
      ['an end', (socket) => socket.end(), /^ECONNRESET$/],
      ['a reset', (socket) => socket.resetAndDestroy(), /^ECONNRESET$/],
    ]
    for (const [what, act, expected] of cases) {
      side.failures.length = 0
      const socket = net.connect(side.port, '127.0.0.1')
      socket.on('error', () => undefined).resume()
      await once(socket, 'connect')
      act(socket)
      await closed(socket)
      await until(() => side.failures.length > 0)
      for (let i = 0; i < 5; i++) await turn()
      t.equal(side.failures.length, 1, what)
      t.match(side.failures[0], expected, what)
    }
    t.equal(side.ends.length, 0)
  })

  void t.test(
    `${way}: what a client does not take waits, is its own, and comes whole`,
    async (t) => {
      const side = await listen(t, way)
      const clients = await Promise.all([0, 1, 2].map(() => connect(side)))
      await until(() => side.ends.length === 3)
      const sizes = side.ends.map(({ transport, peer }) => {
        const letter = 'abc'[clients.findIndex(({ localPort }) => localPort === peer?.port)]!
        const piece = Buffer.alloc(LARGE_BYTES, letter)
        let written = 0
        for (let outcome: number = WRITE.done; written < 2 || outcome === WRITE.done; written++)
          outcome = transport.write(piece, 0, piece.length)
        t.ok(transport.pendingBytes > 0, `${letter} waits`)
        transport.end()
        return [letter, written * LARGE_BYTES] as const
      })
      // Others come and go meanwhile, each with a rest of its own.
      for (let i = 0; i < 5; i++) {
        const other = await connect(side)
        const { transport } = await endOf(side, other)
        while (transport.pendingBytes === 0) transport.write(REST, 0, REST.length)
        transport.destroy()
        await closed(transport.socket)
        other.destroy()
      }
      const sizeOf = new Map(sizes)
      for (const [i, client] of clients.entries()) {
        const parts: Buffer[] = []
        client.on('data', (part: Buffer) => parts.push(part))
        await once(client, 'end')
        const bytes = Buffer.concat(parts)
        const letter = 'abc'[i]!
        t.equal(bytes.length, sizeOf.get(letter), letter)
        t.ok(bytes.equals(Buffer.alloc(bytes.length, letter)), 'its own bytes alone')
      }
      const spare = Array.from({ length: 64 }, () => pool.take(REST.length))
      t.equal(new Set(spare).size, spare.length, 'and no buffer was given back twice')
    },
  )

  void t.test(`${way}: nothing is taken unseen, from it or by it`, async (t) => {
    const side = await listen(t, way)
    const plain = await listenPlain(t)
    const client = await connect(side)
    const hidden = (await endOf(side, client)).transport
    client.write('abc')
    await until(() => side.ends[0]?.text === 'abc')
    t.notOk(hidden.canTake)
    hidden.pause()
    client.write('def')
    for (let i = 0; i < 20; i++) {
      t.equal(hidden.takeFrom(plain, 3), 0)
      t.equal(plain.takeFrom(hidden, 3), 0)
      await turn()
    }
    t.equal(plain.takeFrom(plain, 3), 3, 'it was there all the while')
    client.destroy()
  })

  void t.test(`${way}: records that come in any pieces`, async (t) => {
    const side = await listen(t, way, { landingBytes: 1000 })
    const text = 'GET /u/1/p HTTP/1.1\r\n\r\n'.repeat(400)
    for (const pieces of [1, 7, 100_000]) {
      const relay = await startRelay(t, side.port, pieces)
      const client = await connect(relay)
      client.write(text)
      await until(() => side.ends.at(-1)?.text.length === text.length)
      t.equal(side.ends.at(-1)?.text, text, `${pieces} bytes at a time`)
      client.destroy()
    }
  })

  void t.test(`${way}: who is ended within a read hears no more, and harms nobody`, async (t) => {
    const side = await listen(t, way)
    side.onBytes = ({ transport, text }) => {
      if (text.startsWith('destroy')) transport.destroy()
      if (text.startsWith('reset')) transport.reset()
    }
    for (const word of ['destroy', 'reset']) {
      // Its records come as one: the second is there when the first ends it.
      const relay = await startRelay(t, side.port, 100_000)
      const client = await connect(relay)
      for (let i = 0; i < 3; i++) client.write(word)
      await closed(client)
      const end = side.ends.at(-1)!
      await until(() => end.heard.length > 0)
      t.equal(end.text, word)
      t.strictSame(end.heard, ['gone'])
      t.equal(end.transport.write(Buffer.from('x'), 0, 1), WRITE.failed)
      const next = await connect(side)
      next.write('hello')
      await until(() => side.ends.at(-1)?.text === 'hello')
      next.destroy()
    }
  })

  void t.test(`${way}: a record that is not the client's is answered with an alert`, async (t) => {
    const side = await listen(t, way)
    let isEstablished = false
    const relay = await startRelay(t, side.port, 100_000, (bytes) => {
      const changed = Uint8Array.from(bytes)
      if (isEstablished) changed[changed.length - 1]! ^= 1
      return changed
    })
    const client = await connect(relay)
    await until(() => side.ends.length > 0)
    isEstablished = true
    const error = once(client, 'error') as Promise<[NodeJS.ErrnoException]>
    client.write('photo')
    t.match((await error)[0].code, /ALERT_BAD_RECORD_MAC/)
    t.equal(side.ends[0]?.text, '')
    await until(() => side.ends[0]?.heard.some((word) => word.startsWith('gone')) === true)
  })

  void t.test(`${way}: changed bytes end their own connection alone`, async (t) => {
    const side = await listen(t, way)
    const dice = new Dice(SEED)
    const good = await connect(side)
    for (let round = 0; round < FUZZ_ROUNDS; round++) {
      const relay = await startRelay(t, side.port, 100_000, (bytes: Uint8Array): Uint8Array => {
        if (dice.below(3) > 0) return bytes
        const changed = Uint8Array.from(bytes)
        for (let i = dice.below(4); i >= 0; i--)
          changed[dice.below(changed.length)] = dice.below(256)
        return dice.below(4) > 0 ? changed : changed.subarray(0, dice.below(changed.length))
      })
      const client = tls.connect({ port: relay.port, host: '127.0.0.1', rejectUnauthorized: false })
      client.on('error', () => undefined)
      client.on('secureConnect', () => {
        for (let i = 0; i < 3; i++) client.write('photo')
      })
      setTimeout(() => client.destroy(), 5 + dice.below(10))
      await closed(client)
      relay.close()
    }
    const own = side.ends[0]!
    const echo = once(good, 'data') as Promise<[Buffer]>
    good.write('still here')
    await until(() => own.text !== '')
    own.transport.write(Buffer.from(own.text), 0, own.text.length)
    t.equal((await echo)[0].toString(), 'still here', `seed ${SEED}`)
    await until(() => side.ends.slice(1).every(({ heard }) => heard.length > 0))
    for (const { text } of side.ends.slice(1)) t.match(text, /^(photo){0,3}$/)
    good.destroy()
  })
}

void t.test('who asks TLS for answers and reads none of them is let go', async (t) => {
  const side = await listen(t, 'OpenSSL over stream_wrap')
  const forged = await connectForged(side.port)
  const { socket } = forged
  await until(() => side.ends.length === 1)
  const end = side.ends[0]!
  // So that little fits into the kernel.
  setOption(descriptorOf(end.transport.socket), SO_SNDBUF, 4096)
  setOption(descriptorOf(socket), SO_RCVBUF, 4096)
  let mostBytes = 0
  // Each is answered with an alert, that a connection has one handshake only.
  while (!socket.closed && end.heard.length === 0) {
    const flood = Array.from({ length: 500 }, () => forged.record(HANDSHAKE, CLIENT_HELLO))
    if (!socket.write(Buffer.concat(flood))) await turn()
    mostBytes = Math.max(mostBytes, end.transport.pendingBytes)
  }
  t.match(end.heard, ['gone ENOBUFS'])
  t.ok(mostBytes > 0 && mostBytes < 100_000, `${mostBytes} bytes waited at most`)
  const next = await connect(side)
  next.write('hello')
  await until(() => side.ends[1]?.text === 'hello')
  next.destroy()
  socket.destroy()
})

void t.test('an error that others left in OpenSSL is no session’s', async (t) => {
  let left = 0
  const onWire = () => {
    openSsl!.BIO_new_mem_buf(0, 1)
    if (openSsl!.ERR_peek_error() !== 0) left++
  }
  const side = await listen(t, 'OpenSSL over stream_wrap', { onWire })
  const relay = await startRelay(t, side.port, 7)
  const client = await connect(relay)
  for (const word of ['one', 'two', 'three']) {
    left = 0
    client.write(word)
    await until(() => side.ends[0]?.text.endsWith(word) === true)
    t.ok(left > 1, 'it is there whenever a part of a record comes')
  }
  t.strictSame(side.ends[0]?.heard, [])
  client.destroy()
})

/**
 * Passes a client's bytes on in such pieces, each of them all that came within a turn or more;
 * a large piece joins what came apart.
 */
async function startRelay(
  t: Test,
  port: number,
  pieceBytes: number,
  change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Promise<{ readonly port: number; close(): void }> {
  const server = net
    .createServer({ noDelay: true }, (near) => {
      const far = net.connect({ port, host: '127.0.0.1', noDelay: true })
      let held: Buffer[] = []
      const pass = async () => {
        for (let i = 0; i < 4; i++) await turn()
        const bytes = change(Buffer.concat(held))
        held = []
        for (let at = 0; at < bytes.length; at += pieceBytes) {
          far.write(bytes.subarray(at, at + pieceBytes))
          if (pieceBytes < 10 && at % 64 === 0) await turn()
        }
      }
      let passing = Promise.resolve()
      near.on('data', (bytes) => {
        held.push(bytes)
        if (held.length === 1) passing = passing.then(pass)
      })
      far.on('data', (bytes) => near.write(bytes))
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const)
        one
          .on('error', () => undefined)
          .on('close', () => {
            other.destroySoon()
          })
    })
    .listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close()
    },
  }
}

const LARGE_BYTES = 1_000_003
const REST = Buffer.alloc(100_000, 'x')
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const FUZZ_ROUNDS = 40
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
