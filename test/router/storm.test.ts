import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import t from 'tap'
import { createNodeTlsListener } from '../../router/io/tls/node-listener.ts'
import { createOpenSslListener } from '../../router/io/tls/openssl-listener.ts'
import { openSsl } from '../../router/io/tls/openssl.ts'
import type { SecureListenerInit } from '../../router/io/tls/listener.ts'
import { raisedGauges, sleep, TRANSPORTS, until } from './edge-ground.ts'
import { pattern, startEdge, startOrigin } from './lane-fixture.ts'
import type { Edge, OriginScript } from './lane-fixture.ts'

/** A longer storm: `STORM_SECONDS=60 node test/router/storm.test.ts`. */
const STORM_MS = 1000 * Number(process.env['STORM_SECONDS'] ?? 3)
const CLIENTS = 40
/** A loaded machine's stalls are no fault of the router's. */
const PATIENT = 'timeouts: { connect: 20s, firstByte: 20s, betweenBytes: 20s }'
const LARGEST = 2_000_000
/** Every photo is a piece of it; no two pieces are alike. */
const ALL = pattern(2 * LARGEST)

const random = (below: number): number => Math.floor(Math.random() * below)
const isOnceIn = (times: number): boolean => random(times) === 0

/** How a cache frames and delivers its answer; `cut` promises more than it sends. */
const WAYS = ['whole', 'dripped', 'chunked', 'close', 'interim', 'cut'] as const
type Way = (typeof WAYS)[number]

interface Photo {
  readonly path: string
  readonly start: number
  readonly length: number
  readonly way: Way
}

function choosePhoto(): Photo {
  const length = 1 + random(isOnceIn(4) ? LARGEST : isOnceIn(2) ? 200_000 : 4000)
  const start = random(LARGEST)
  const way = isOnceIn(20) ? 'cut' : WAYS[random(WAYS.length - 1)]!
  return { path: `/u/${random(500)}/${start}-${length}-${way}`, start, length, way }
}

/** Answers with the piece of `ALL` that the path names, in the way it names. */
const cacheScript: OriginScript = (socket, requestHead) => {
  void (async () => {
    const [, start = '', length = '', way = ''] = /(\d+)-(\d+)-(\w+) /.exec(requestHead) ?? []
    const body = ALL.subarray(Number(start), Number(start) + Number(length))
    const name = `X-Photo: ${start}-${length}\r\n`
    if (way === 'chunked') {
      socket.write(`HTTP/1.1 200 OK\r\n${name}Transfer-Encoding: chunked\r\n\r\n`)
      for (let at = 0; at < body.length && socket.writable;) {
        const end = Math.min(body.length, at + 1 + random(100_000))
        socket.write(`${(end - at).toString(16)};x=y\r\n`)
        socket.write(body.subarray(at, end))
        socket.write('\r\n')
        at = end
        if (isOnceIn(5)) await sleep(random(10))
      }
      socket.write('0\r\nTrailer: dropped\r\n\r\n')
    } else if (way === 'close') {
      socket.write(`HTTP/1.1 200 OK\r\n${name}\r\n`)
      socket.end(body)
    } else {
      if (way === 'interim') socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
      const head = `HTTP/1.1 200 OK\r\n${name}Content-Length: ${length}\r\n\r\n`
      if (way === 'whole') socket.write(Buffer.concat([Buffer.from(head), body]))
      else {
        const middle = random(head.length)
        socket.write(head.slice(0, middle))
        await sleep(random(5))
        socket.write(head.slice(middle))
        const end = way === 'cut' ? random(body.length) : body.length
        for (let at = 0; at < end && socket.writable;) {
          const next = Math.min(end, at + 1 + random(200_000))
          socket.write(body.subarray(at, next))
          at = next
          if (isOnceIn(3)) await sleep(random(10))
        }
        if (way === 'cut') socket.end()
      }
    }
  })()
}

/** Reads answers one after the other, byte for byte beside what was asked for. */
class Reader {
  readonly asked: Photo[] = []
  fault = ''
  done = 0
  #text = ''
  #state: 'head' | 'body' | 'size' | 'chunk' = 'head'
  #at = 0
  #left = 0

  take(bytes: Buffer): void {
    for (let i = 0; i < bytes.length && this.fault === '';) {
      if (this.#state === 'head' || this.#state === 'size') {
        this.#text += String.fromCharCode(bytes[i++]!)
        if (this.#state === 'head') this.#headByte()
        else this.#sizeByte()
        continue
      }
      const length = Math.min(this.#left, bytes.length - i)
      const photo = this.asked[0]!
      const from = photo.start + this.#at
      if (this.#at + length > photo.length) this.fault = `more than ${photo.path} is long`
      else if (bytes.compare(ALL, from, from + length, i, i + length) !== 0)
        this.fault = `other bytes than ${photo.path}'s within ${length} at ${this.#at}`
      i += length
      this.#at += length
      this.#left -= length
      if (this.#left > 0) continue
      if (this.#state === 'body') this.#whole()
      else this.#state = 'size'
    }
  }

  /** The connection ended: whether what came so far may end there. */
  end(): void {
    const photo = this.asked[0]
    if (photo?.way === 'cut') return
    if (photo?.way === 'close' && this.#state === 'body' && this.#at === photo.length) this.#whole()
    else if (this.#state !== 'head' || this.#text !== '')
      this.fault ||= `${photo?.path} ended at ${this.#at}, ${this.#state}`
  }

  #headByte(): void {
    if (!this.#text.endsWith('\r\n\r\n')) return
    const head = this.#text
    this.#text = ''
    if (head.startsWith('HTTP/1.1 103')) return
    const photo = this.asked[0]
    if (photo === undefined) this.fault = `an answer that nobody asked for: ${head}`
    else if (!head.includes(`X-Photo: ${photo.start}-${photo.length}\r\n`))
      this.fault = `${photo.path} was answered by ${head}`
    this.#at = 0
    if (/Transfer-Encoding: chunked/i.test(head)) this.#state = 'size'
    else {
      this.#state = 'body'
      this.#left = Number(/Content-Length: (\d+)/i.exec(head)?.[1] ?? Infinity)
    }
  }

  #sizeByte(): void {
    if (!this.#text.endsWith('\r\n') || this.#text === '\r\n') return
    const size = parseInt(this.#text, 16)
    if (Number.isNaN(size)) this.fault = `no chunk size: ${this.#text}`
    // The last one's empty line is read as a line of its own.
    if (size === 0 && !this.#text.endsWith('\r\n\r\n')) return
    this.#text = ''
    this.#left = size
    this.#state = 'chunk'
    if (size === 0) this.#whole()
  }

  #whole(): void {
    const photo = this.asked.shift()!
    if (this.#at !== photo.length) this.fault = `${photo.path} ended at ${this.#at}`
    this.#state = 'head'
    this.done++
  }
}

interface Tally {
  photos: number
  cuts: number
  readonly faults: string[]
}

/** One connection after another until the time is up. */
async function client(dial: () => Socket, until: number, tally: Tally): Promise<void> {
  while (performance.now() < until && tally.faults.length === 0) {
    await connection(dial(), until, tally)
  }
}

/** Some photos on one connection, by a client that is fast, slow, or leaves. */
function connection(socket: Socket, until: number, tally: Tally): Promise<void> {
  const reader = new Reader()
  const isSlow = isOnceIn(3)
  let left = 1 + random(20)
  let isLeaving = false
  const ask = (): void => {
    const count = Math.min(left, isOnceIn(4) ? 3 : 1)
    left -= count
    const photos = Array.from({ length: count }, choosePhoto)
    reader.asked.push(...photos)
    const heads = photos.map(({ path }) => `GET ${path} HTTP/1.1\r\nHost: photos.example\r\n\r\n`)
    socket.write(heads.join(''))
  }
  return new Promise((resolve) => {
    socket.on('error', () => undefined)
    // Well beyond any pause of ours: what stalls is a fault.
    socket.setTimeout(20_000, () => {
      reader.fault ||= `nothing came for 20 s within ${reader.asked[0]?.path}`
      socket.destroy()
    })
    socket.on('data', (bytes) => {
      reader.take(bytes)
      if (reader.fault !== '') socket.destroy()
      else if (isOnceIn(300)) {
        isLeaving = true
        tally.cuts++
        if (isOnceIn(2) && !(socket instanceof tls.TLSSocket)) socket.resetAndDestroy()
        else socket.destroy()
      } else if (reader.asked.length === 0) {
        if (left > 0 && performance.now() < until) ask()
        else socket.end()
      } else if (isSlow && isOnceIn(4)) {
        socket.pause()
        setTimeout(() => socket.resume(), random(isOnceIn(20) ? 1000 : 40))
      }
    })
    socket.on('close', () => {
      // Over TLS, and after a reset, what was cut is not told apart from what was not read.
      if (!isLeaving && reader.fault === '') reader.end()
      tally.photos += reader.done
      if (reader.fault !== '') tally.faults.push(reader.fault)
      resolve()
    })
    ask()
  })
}

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../healthcheck/io/fixtures', name), 'utf8')

/** The edge's TLS side: a port whose connections come to its photo server. */
async function secure({ photos }: Edge): Promise<{ port: number; close(): void }> {
  const init: SecureListenerInit = {
    listener: { minTls: '1.2', timeouts: { headMs: 10_000 } },
    pairs: [{ names: [], certificate: fixture('cdn.pem'), key: fixture('cdn.key') }],
    ticketKeys: undefined,
    openTransport: photos.openTransport,
    onSecure: (arrival) => {
      photos.accept(arrival, '127.0.0.1:9300')
    },
    onFailure: () => undefined,
  }
  const listener = photos.isPlain
    ? createNodeTlsListener(init)
    : createOpenSslListener(openSsl!, init)
  const server = createServer({ noDelay: true }, (socket) => {
    listener.accept(socket, undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

for (const [means, isPlain] of TRANSPORTS) {
  const name = `${means}: fast, slow and leaving clients get each its own photos, whole`
  void t.test(name, { timeout: STORM_MS + 60_000 }, async (t) => {
    const origins = await Promise.all([cacheScript, cacheScript, cacheScript].map(startOrigin))
    const ports = origins.map(({ port }) => port)
    const edge = await startEdge({ ports, folder: t.testdir(), isPlain, group: PATIENT })
    const secured = await secure(edge)
    t.teardown(async () => {
      secured.close()
      await edge.close()
      await Promise.all(origins.map((origin) => origin.close()))
    })
    const dials = [
      () => connect(edge.port, '127.0.0.1'),
      () => tls.connect({ port: secured.port, host: '127.0.0.1', rejectUnauthorized: false }),
    ]
    for (const [i, dial] of dials.entries()) {
      const tally: Tally = { photos: 0, cuts: 0, faults: [] }
      const end = performance.now() + STORM_MS / 2
      await Promise.all(Array.from({ length: CLIENTS }, () => client(dial, end, tally)))
      t.same(tally.faults, [])
      t.ok(tally.photos > CLIENTS && tally.cuts > 0, JSON.stringify(tally))
      t.comment(`${['HTTP', 'TLS'][i]}: ${tally.photos} photos, ${tally.cuts} left`)
    }
    await edge.close()
    await until(() => raisedGauges(edge).length === 0)
    t.end()
  })
}
