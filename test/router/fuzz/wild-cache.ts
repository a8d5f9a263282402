import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { pattern } from '../lane-fixture.ts'
import { crc32 } from 'node:zlib'
import { Dice } from './dice.ts'

/** Bytes of every photo, each from a place of its own on. */
export const PHOTO = pattern(800_000)

/** A cache that answers in every way there is, and is strict about what it is asked. */
export interface WildCache {
  readonly port: number
  readonly openCount: () => number
  /** What it was asked that no router may ask. */
  readonly faults: string[]
  /** Clients, by the number in their paths, one of whose answers it cut. */
  readonly cutClients: Set<number>
  close(): Promise<void>
}

export async function startWildCache(seed: number): Promise<WildCache> {
  const faults: string[] = []
  const cutClients = new Set<number>()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serve(socket, seed, faults, cutClients)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    openCount: () => sockets.size,
    faults,
    cutClients,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => {
          resolve()
        })
      }),
  }
}

function serve(socket: Socket, seed: number, faults: string[], cutClients: Set<number>): void {
  let bytes = ''
  let isBusy = false
  const asks: string[] = []
  socket.on('error', () => undefined)
  const look = (): void => {
    if (isBusy || bytes === '') return
    const asked = readRequest(bytes)
    if (asked === 'incomplete') return
    if (typeof asked === 'string') {
      faults.push(`${asked}: ${JSON.stringify(bytes.slice(0, 600))}`)
      socket.destroy()
      return
    }
    bytes = bytes.slice(asked.length)
    isBusy = true
    asks.push(`${asked.method} ${asked.path}`)
    // What is asked decides what is answered, so that a seed repeats both.
    answer(socket, new Dice(seed + crc32(asked.path)), asked, cutClients, () => {
      isBusy = false
      look()
    })
  }
  socket.on('data', (chunk) => {
    // Whoever has ended its side may be asked all the same: the end was on its way.
    if (socket.writableEnded) return
    if (isBusy) faults.push(`asked before it had answered ${asks.join(', ')}`)
    bytes += chunk.toString('latin1')
    look()
  })
}

interface Asked {
  readonly method: string
  readonly path: string
  readonly length: number
}

const HEAD =
  /^(GET|HEAD|POST) (\/[!-~\x80-\xff]*) HTTP\/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)+)\r\n/
const ONE_HOP = /^(?:keep-alive|proxy-connection|te|trailer|upgrade|http2-settings|expect):/im

/** The request at the beginning; `incomplete`, or why it is none that may be asked. */
function readRequest(bytes: string): Asked | string {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return bytes.length > 40_000 ? 'no end of a head' : 'incomplete'
  const [head = '', method = '', path = '', fields = ''] = HEAD.exec(bytes) ?? []
  if (head.length !== headEnd + 4) return 'a malformed head'
  const values = (name: string) =>
    [...fields.matchAll(new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*\\r$`, 'gim'))].map(([, v]) => v!)
  if (values('Host').length !== 1) return 'not one Host'
  if (!/^[0-9a-f]{32}$/.test(values('X-Request-Id').join())) return 'no X-Request-Id'
  if (!/(?:^|, )1\.[01] router-1\.test$/.test(values('Via').at(-1) ?? '')) return 'no Via'
  if (values('X-Real-IP').length !== 1 || fields.replace(/:.*/g, '').includes('_'))
    return "a client's word"
  if (ONE_HOP.test(fields)) return 'a field of one hop'
  const lengths = values('Content-Length')
  const codings = values('Transfer-Encoding')
  if (lengths.length + codings.length > 1) return 'two framings'
  if (method === 'HEAD' && lengths.length + codings.length > 0) return 'a HEAD with a body'
  const rest = bytes.slice(head.length)
  if (codings.length === 0) {
    const length = Number(lengths[0] ?? 0)
    return rest.length < length ? 'incomplete' : { method, path, length: head.length + length }
  }
  if (codings[0] !== 'chunked') return 'a coding'
  for (let at = 0; ;) {
    const line = /^([0-9a-f]+)\r\n/i.exec(rest.slice(at, at + 20))
    if (line === null) return rest.length - at < 20 ? 'incomplete' : 'a malformed chunk'
    const size = Number.parseInt(line[1]!, 16)
    at += line[0].length + size + 2
    if (rest.length < at) return 'incomplete'
    if (rest.slice(at - 2, at) !== '\r\n') return 'a chunk without its end'
    if (size === 0) return { method, path, length: head.length + at }
  }
}

const KINDS = [
  ...['length', 'length', 'length', 'length', 'chunks', 'chunks', 'close', 'drip', 'drip', 'bare'],
  ...['interim', 'stray', 'last'],
  ...['cut', 'cut', 'stall', 'garbage', 'reset', 'silent'],
] as const

function answer(
  socket: Socket,
  dice: Dice,
  { method, path }: Asked,
  cutClients: Set<number>,
  done: () => void,
): void {
  const kind = dice.pick(KINDS)
  const from = dice.below(100)
  const size = dice.pick([0, 1, 700, 16_000, 70_000, 500_000])
  const body = PHOTO.subarray(from, from + size)
  const fields = `X-Path: ${path}\r\nX-Kind: ${kind}\r\nX-From: ${from}\r\nX-Size: ${size}\r\n${method === 'HEAD' ? 'X-Head: 1\r\n' : ''}`
  const ok = `HTTP/1.1 200 OK\r\n${fields}`
  const sent = method === 'HEAD' ? Buffer.alloc(0) : body
  const byLength = Buffer.concat([Buffer.from(`${ok}Content-Length: ${size}\r\n\r\n`), sent])
  const byChunks = Buffer.concat([
    Buffer.from(`${ok}Transfer-Encoding: chunked\r\n\r\n`),
    ...(method === 'HEAD' ? [] : chunksOf(dice, body)),
  ])
  const finish = (): void => {
    done()
  }
  const cut = (): void => {
    cutClients.add(Number(/\/(\d+)-\d+/.exec(path)?.[1] ?? -1))
  }
  switch (kind) {
    case 'length':
      socket.write(byLength, finish)
      return
    case 'chunks':
      socket.write(byChunks, finish)
      return
    case 'close':
      socket.end(Buffer.concat([Buffer.from(`${ok}\r\n`), sent]))
      return
    case 'last':
      socket.end(
        Buffer.concat([
          Buffer.from(`${ok}Connection: close\r\nContent-Length: ${size}\r\n\r\n`),
          sent,
        ]),
      )
      return
    case 'bare':
      socket.write(
        `HTTP/1.1 ${dice.pick(['204 No Content', '304 Not Modified'])}\r\n${fields}X-Head: 1\r\n\r\n`,
        finish,
      )
      return
    case 'interim':
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n')
      setImmediate(() => socket.write(byLength, finish))
      return
    case 'stray':
      // May come so late that it is the beginning of the next answer, which is a bad one then.
      socket.write(Buffer.concat([byLength, Buffer.from('HTTP/1.1 200 OK\r\n')]), finish)
      return
    case 'drip':
      drip(socket, byLength, dice.pick([1, 50, 20_000]), finish)
      return
    case 'cut': {
      cut()
      const framed = dice.chance(50) ? byLength : byChunks
      // A body's last byte is never among what is sent, nor the last one of its trailers.
      const least = dice.chance(30) || method === 'HEAD' ? 1 : framed.indexOf('\r\n\r\n') + 4
      const end = method === 'HEAD' ? 30 : least + dice.below(framed.length - least)
      socket.write(framed.subarray(0, size === 0 ? 30 : end), () => {
        if (dice.chance(50)) socket.resetAndDestroy()
        else socket.end()
      })
      return
    }
    case 'stall':
      cut()
      if (method === 'HEAD') socket.write(byLength, finish)
      else socket.write(`${ok}Content-Length: ${size + 1}\r\n\r\n`)
      return
    case 'garbage':
      socket.write(Buffer.from(dice.bytes(1 + dice.below(300)), 'latin1'))
      if (dice.chance(50)) socket.end()
      return
    case 'reset':
      socket.resetAndDestroy()
      return
    case 'silent':
  }
}

function chunksOf(dice: Dice, body: Buffer): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const length = Math.min(body.length - at, 1 + dice.below(40_000))
    parts.push(Buffer.from(`${length.toString(16)};ext="a"\r\n`), body.subarray(at, at + length))
    parts.push(Buffer.from('\r\n'))
    at += length
  }
  return [...parts, Buffer.from('0\r\nX-Trailer: 1\r\n\r\n')]
}

/** The first bytes come piece by piece, the rest at once. */
function drip(socket: Socket, bytes: Buffer, pieceBytes: number, done: () => void): void {
  let at = 0
  let pieces = 0
  const next = (): void => {
    if (socket.destroyed) return
    const end = ++pieces > 60 ? bytes.length : Math.min(bytes.length, at + pieceBytes)
    socket.write(bytes.subarray(at, end), () => {
      at = end
      if (at < bytes.length) setImmediate(next)
      else done()
    })
  }
  next()
}
