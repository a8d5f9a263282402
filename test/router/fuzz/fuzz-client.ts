import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ClientStream } from './client-stream.ts'
import { PHOTO } from './wild-cache.ts'

/** What a client saw. */
export interface Seen {
  readonly bytes: Buffer
  /** `end`: by FIN; `close`; an errno name; `own`: the client itself; `open`: never. */
  readonly how: string
  /** The machine was slow meanwhile: a limit of time that passed is not held against the router. */
  readonly isDisturbed: boolean
}

export interface FuzzTarget {
  readonly port: number
  readonly isTls: boolean
  /** Goes before everything else, and before TLS. */
  readonly preamble: string
}

/** Notes when this process, with clients, router and caches in it, came to nothing for a while. */
export class StallWatch {
  #lastTickAt = performance.now()
  #lastStallAt = -Infinity
  readonly #timer = setInterval(() => {
    const now = performance.now()
    if (now - this.#lastTickAt > STALL_MS) this.#lastStallAt = now
    this.#lastTickAt = now
  }, STALL_MS / 5)

  /** Whether it did since then. */
  hasStalledSince(at: number): boolean {
    return this.#lastStallAt >= at || performance.now() - this.#lastTickAt > STALL_MS
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

/** Half of the shortest limit that a well-behaved client could fall to. */
const STALL_MS = 100
const SLOW_SENDING_MS = 150

/** A client that is not let go by then was forgotten. */
const PATIENCE_MS = 10_000

/** Plays one client; resolves when its connection is over. */
export async function play(
  target: FuzzTarget,
  stream: ClientStream,
  stalls: StallWatch,
): Promise<Seen> {
  const startedAt = performance.now()
  const raw = connect(target.port, '127.0.0.1')
  raw.setNoDelay(true)
  raw.on('error', () => undefined)
  if (target.preamble !== '') raw.write(target.preamble, 'latin1')
  const socket: Socket = target.isTls ? connectTls({ socket: raw, rejectUnauthorized: false }) : raw
  const parts: Buffer[] = []
  let how = ''
  const over = new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      how = 'open'
      socket.destroy()
      resolve()
    }, PATIENCE_MS)
    socket.on('close', () => {
      how ||= 'close'
      clearTimeout(timer)
      resolve()
    })
  })
  socket.on('end', () => (how ||= 'end'))
  socket.on('error', (error: NodeJS.ErrnoException) => (how ||= error.code ?? 'error'))
  if (stream.reads === 'at once') socket.on('data', (bytes: Buffer) => parts.push(bytes))

  for (const piece of stream.pieces) {
    if (socket.destroyed) break
    socket.write(piece, 'latin1')
    await new Promise((resolve) => setImmediate(resolve))
  }
  const isSlow = performance.now() - startedAt > SLOW_SENDING_MS
  if (stream.reads === 'late') {
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.on('data', (bytes: Buffer) => parts.push(bytes))
  }
  if (stream.end === 'fin') socket.end()
  if (stream.reads === 'never') await new Promise((resolve) => setTimeout(resolve, 50))
  if (stream.end === 'reset' || stream.reads === 'never') {
    how ||= 'own'
    // Where its own end waits to be sent, or TLS lies over it, Node's reset leaves the socket open.
    if (stream.end !== 'fin' && !target.isTls) raw.resetAndDestroy()
    socket.destroy()
  }
  await over
  const isDisturbed = isSlow || stalls.hasStalledSince(startedAt)
  return { bytes: Buffer.concat(parts), how, isDisturbed }
}

/** What of the answers no router may do; empty: all was right. */
export function faultsOf(
  seen: Seen,
  stream: ClientStream,
  client: number,
  isCut: boolean,
): string[] {
  const faults: string[] = []
  if (seen.how === 'open') faults.push('its connection was never ended')
  const { bytes } = seen
  let answers = 0
  let isLast = false
  let lastIndex = -1
  for (let at = 0; at < bytes.length;) {
    const headEnd = bytes.indexOf('\r\n\r\n', at)
    if (headEnd < 0) break
    const head = bytes.toString('latin1', at, headEnd)
    const status = Number(/^HTTP\/1\.1 ([1-5]\d\d) [^\r\n]*(?:\r\n|$)/.exec(head)?.[1] ?? 0)
    if (status === 0) {
      faults.push(`no status line: ${JSON.stringify(head.slice(0, 200))}`)
      break
    }
    at = headEnd + 4
    if (status < 200) continue
    const field = (name: string): string | undefined =>
      new RegExp(`\r\n${name}: ([^\r\n]*)`, 'i').exec(head)?.[1]
    const [, of, index] = /\/(\d+)-(\d+)(?:\?|$)/.exec(field('X-Path') ?? '') ?? []
    if (stream.isHonest && of !== undefined) {
      if (Number(of) !== client) faults.push(`it got the answer of client ${of}`)
      if (Number(index) <= lastIndex) faults.push(`answer ${String(index)} after ${lastIndex}`)
      lastIndex = Number(index)
    }
    const body = readBody(bytes, at, head, field, seen.how)
    if (body.fault !== undefined) faults.push(`${body.fault} in an answer: ${head.slice(0, 300)}`)
    if (!body.isWhole) break
    answers++
    isLast = body.isByEnd === true
    at = body.end
  }
  // What only the connection's end frames is the last answer, whatever else was asked.
  const isComplete = !seen.isDisturbed && stream.isHonest && !isCut && !isLast
  if (isComplete && answers !== stream.requestCount)
    faults.push(`${answers} answers to ${stream.requestCount} requests, ended by ${seen.how}`)
  return faults.map((fault) => `client ${client}: ${fault}`)
}

interface Body {
  readonly end: number
  readonly isWhole: boolean
  readonly isByEnd?: boolean
  readonly fault?: string
}

function readBody(
  bytes: Buffer,
  start: number,
  head: string,
  field: (name: string) => string | undefined,
  how: string,
): Body {
  const isOwn = field('X-From') === undefined
  const isBare = field('X-Head') !== undefined || /^HTTP\/1\.1 (?:204|304) /.test(head)
  // The router's own answer to HEAD: no own body begins like this.
  const isOwnHead =
    isOwn && (start === bytes.length || bytes.toString('latin1', start, start + 7) === 'HTTP/1.')
  if (isBare || isOwnHead) return { end: start, isWhole: true }
  const photo = PHOTO.subarray(Number(field('X-From')))
  const size = Number(field('X-Size'))
  const compare = (body: Buffer, isWhole: boolean, end: number): Body => {
    if (isOwn) return { end, isWhole }
    if (!body.equals(photo.subarray(0, body.length))) return { end, isWhole, fault: 'other bytes' }
    if (isWhole && body.length !== size)
      return { end, isWhole, fault: `${body.length} bytes of ${size} that look whole` }
    return { end, isWhole }
  }
  const length = field('Content-Length')
  if (length !== undefined) {
    const end = start + Number(length)
    const isStalled = Number(length) === size + 1
    if (isStalled && bytes.length >= end) return { end, isWhole: true, fault: 'a byte too many' }
    return compare(bytes.subarray(start, Math.min(end, bytes.length)), bytes.length >= end, end)
  }
  if (field('Transfer-Encoding') === undefined) {
    // Over TLS a cut can't be told from an end here: http-tls.test.ts looks at its records.
    const body = bytes.subarray(start)
    const isWhole = how === 'end' && body.length === size
    return { ...compare(body, false, bytes.length), isWhole, isByEnd: true }
  }
  const parts: Buffer[] = []
  for (let at = start; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return compare(Buffer.concat(parts), false, bytes.length)
    const line = bytes.toString('latin1', at, lineEnd)
    if (!/^[0-9a-f]+$/i.test(line)) return { end: at, isWhole: false, fault: `the chunk ${line}` }
    const chunk = Number.parseInt(line, 16)
    const end = lineEnd + 2 + chunk + 2
    parts.push(bytes.subarray(lineEnd + 2, Math.min(end - 2, bytes.length)))
    if (bytes.length < end) return compare(Buffer.concat(parts), false, bytes.length)
    if (bytes.toString('latin1', end - 2, end) !== '\r\n')
      return { end, isWhole: false, fault: 'a chunk without its end' }
    if (chunk === 0) return compare(Buffer.concat(parts), true, end)
    at = end
  }
}
