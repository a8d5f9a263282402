import { Buffer } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { buildConnector, Client, errors } from 'undici'
import { isShortage } from '../../common/model/shortage.ts'
import type { ShortageCode } from '../../common/model/shortage.ts'
import { END, LANE } from '../core/access-record.ts'
import { SPACE, encodeText, put } from '../core/ascii.ts'
import { CHUNKED_MODE, ChunkedDecoder } from '../core/chunked.ts'
import { GLOBAL, SERVER } from '../core/counters.ts'
import { ANSWER, refusalAnswer } from '../core/own-answer.ts'
import type { OwnAnswer } from '../core/own-answer.ts'
import type { DeadlineOwner, DeadlinePlace } from '../core/deadlines.ts'
import { PARSE } from '../core/field-section.ts'
import { REFUSAL } from '../core/refusal.ts'
import type { Refusal } from '../core/refusal.ts'
import { FRAMING } from '../core/response-head.ts'
import type { ResponseHead } from '../core/response-head.ts'
import { CONNECTION, writeRequestHead, writeResponseHead } from '../core/rewrite.ts'
import { AnswerGate } from './answer-gate.ts'
import type { Cache } from './cache.ts'
import type { Exchange, ExchangeClient } from './exchange.ts'
import type { Lane } from './lane.ts'
import type { GroupPlan } from './plan.ts'
import { WRITE } from './transport.ts'

/** Where a handed-over connection's bytes go. */
export interface ClientSink {
  takeBytes(bytes: Buffer): void
  /** All that was written is taken. */
  drained(): void
  /** The whole photo took too long. */
  photoLate(): void
  /** The client is gone. */
  destroy(): void
}

/** A client's connection that can be handed over. */
export interface HandOverClient extends ExchangeClient {
  readonly lane: Lane
  /** From now on the client's bytes are `sink`'s, until the exchange is over. */
  handOver(sink: ClientSink): void
  /** What the client sent behind the head's own bytes, before the connection was handed over. */
  takeStash(): readonly Buffer[]
  pauseReading(): void
  resumeReading(): void
  /** The lane gave up within its answer, which its framing shows, or nothing but a reset. */
  cutHandedOver(end: number, isShownByFraming: boolean): void
}

/**
 * The lane for what is legal but rare: other methods, and bodies. A request is handed over with its
 * bytes, its head as the strict parser understood it and already rewritten for the cache, and is
 * the last of its connection. One attempt only, on a connection of its own: a body can't be sent
 * twice.
 */
export class GeneralLane {
  readonly #server = createServer((request, reply) => this.#forward(request, reply))

  /** Resolves when it can serve. */
  async start(): Promise<this> {
    await this.#server.ready()
    return this
  }

  /** Takes the connection; what the client sends from now on is this request's body. */
  serve(client: HandOverClient, exchange: Exchange, group: GroupPlan): void {
    const { lane } = client
    lane.counters.add(GLOBAL.generalLane, 1)
    exchange.record.lane = LANE.general
    if (exchange.head.contentLength > group.config.maxBodyBytes) {
      client.answer(exchange, ANSWER.bodyTooLarge, END.refused)
      return
    }
    const cache = exchange.takeCache(group)
    if (cache === undefined) return
    const handed = new HandedOver(client, exchange, group, cache)
    this.#server.server.emit('connection', handed)
    handed.begin()
  }

  async close(): Promise<void> {
    await this.#server.close()
  }

  async #forward(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const handed = request.raw.socket as unknown as HandedOver
    const { cache, exchange, group } = handed
    const { raw } = request
    const { head, bytes } = exchange
    reply.hijack()
    try {
      const answer = await handed.connect().request({
        method: raw.method ?? 'GET',
        path: bytes.toString('latin1', head.targetStart, head.targetEnd),
        headers: forwarded(raw.rawHeaders),
        body: head.hasBody ? Readable.from(handed.limited(raw)) : null,
        headersTimeout: 0,
        bodyTimeout: group.config.timeouts.betweenBytesMs,
        signal: handed.aborted,
      })
      handed.client.lane.tick()
      answer.body.on('error', (error) => {
        handed.cutShort(error)
      })
      const { isUnframed } = handed
      handed.answered(answer.statusCode)
      if (isUnframed) handed.client.lane.counters.add(GLOBAL.unframed, 1)
      // Never framed anew as chunks: a killed cache's end would look like the answer's.
      if (isUnframed || head.versionMinor === 0) reply.raw.useChunkedEncodingByDefault = false
      const fields = answerFields(answer, group)
      reply.raw.writeHead(answer.statusCode, fields)
      handed.isFramed = fields['content-length'] !== undefined || reply.raw.chunkedEncoding
      answer.body.on('data', ({ length }: Buffer) => {
        handed.exchange.record.bodyBytes += length
        handed.client.lane.counters.addServer(cache.row + SERVER.bytesIn, length)
      })
      if (isUnframed) await pipeline(answer.body, (body) => handed.whole(body), reply.raw)
      else await pipeline(answer.body, reply.raw)
    } catch (error) {
      handed.client.lane.tick()
      this.#fail(handed, reply, error)
    }
  }

  #fail(handed: HandedOver, reply: FastifyReply, error: unknown): void {
    if (handed.destroyed) return
    if (reply.raw.headersSent) {
      handed.destroy()
      return
    }
    const { answer, end } = failure(handed, error)
    handed.answer(answer, end)
  }
}

/** Whose fault it is that no answer came, and what the client gets. */
function failure(handed: HandedOver, error: unknown): { answer: OwnAnswer; end: number } {
  const { cache, client, exchange, refusal } = handed
  if (refusal !== undefined) return { answer: refusal, end: END.refused }
  const shortage = connectShortage(error)
  if (shortage !== undefined) {
    client.lane.onShortage(shortage, cache.pool, cache.name)
    return { answer: ANSWER.outOfResources, end: END.busy }
  }
  exchange.cacheFailed()
  const isLate = handed.isLate || error instanceof errors.ConnectTimeoutError
  return { answer: isLate ? ANSWER.gatewayTimeout : ANSWER.badGateway, end: END.cacheFailed }
}

/** What this box lacked where a connection could not even be tried. */
function connectShortage(error: unknown): ShortageCode | undefined {
  if (!(error instanceof Error)) return undefined
  const { code, syscall } = error as NodeJS.ErrnoException
  return syscall === 'connect' && isShortage(code) ? code : undefined
}

function createServer(
  forward: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): FastifyInstance {
  const server = Fastify({
    http: { maxHeaderSize: HEAD_BYTES_MOST },
    clientErrorHandler: (_error, socket) => {
      ;(socket as unknown as HandedOver).notUnderstood()
    },
    keepAliveTimeout: 1,
    exposeHeadRoutes: false,
    // Every target is forwarded byte for byte, also one that no router of paths would take.
    rewriteUrl: () => '/',
  })
  // Node would drop those above 1,000 without a word; the strict parser has counted them.
  server.server.maxHeadersCount = 0
  // Bodies go to the cache as they come: nobody here reads them.
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('*', (_request, _body, done) => {
    done(null)
  })
  server.all('/', forward)
  return server
}

/** The client's connection as Node's HTTP server takes one: one head, one body, and no more. */
class HandedOver extends Duplex implements ClientSink, DeadlineOwner {
  readonly client: HandOverClient
  readonly exchange: Exchange
  readonly group: GroupPlan
  readonly cache: Cache
  outcome: number = END.complete
  /** Length or chunks show the client where the answer ends. */
  isFramed = false
  /** What the client is told about its own fault. */
  refusal: OwnAnswer | undefined
  /** The cache took too long. */
  isLate = false
  readonly #abort = new AbortController()
  readonly #chunks = new ChunkedDecoder()
  readonly #gate: AnswerGate
  #bodyLeft: number
  #isBodyWhole: boolean
  #isFull = false
  /** The last of the request; until then, its head. */
  #sentAt: number
  #upstream: Client | undefined
  #isReset = false
  #isAnswered = false
  #onDrained: (() => void) | undefined
  #deadline: DeadlinePlace

  constructor(client: HandOverClient, exchange: Exchange, group: GroupPlan, cache: Cache) {
    super({ allowHalfOpen: true })
    this.client = client
    this.exchange = exchange
    this.group = group
    this.cache = cache
    this.#sentAt = client.lane.nowMs
    this.#deadline = client.lane.deadlines.open(this)
    const { head } = exchange
    this.#isBodyWhole = !head.hasBody
    this.#bodyLeft = head.isChunked ? 0 : head.contentLength
    this.#chunks.reset(CHUNKED_MODE.wire)
    this.#gate = new AnswerGate(client.listener.headLimits, head.method)
    client.handOver(this)
    this.on('error', () => undefined)
  }

  /** Aborted when nothing more is wanted of the cache. */
  get aborted(): AbortSignal {
    return this.#abort.signal
  }

  get #hasAnswered(): boolean {
    return this.exchange.record.status > 0
  }

  /** Only the connection's end frames the cache's answer. */
  get isUnframed(): boolean {
    return this.#gate.head.framing === FRAMING.close
  }

  /** Sends the head, and what of the body came with it. */
  begin(): void {
    const { client, exchange, group } = this
    const { head, bytes, filled } = exchange
    if (head.expectsContinue) client.write(CONTINUE, 0, CONTINUE.length)
    const context = group.requestContext
    context.peer = client.peer
    context.requestId = exchange.requestId
    context.serverHost = this.cache.hostField
    const out = Buffer.allocUnsafeSlow(3 * head.length + context.rules.lines.length + ROOM_BYTES)
    const end = writeRequestHead(out, 0, head, bytes, context)
    if (end < 0) {
      this.destroy()
      return
    }
    const framed = put(out, end - CRLF_BYTES, head.isChunked ? CHUNKED_AND_CLOSE : CLOSE)
    client.lane.counters.addServer(this.cache.row + SERVER.bytesOut, framed)
    // undici gets the target's own bytes: Node's parser would refuse those above 127.
    const target = out.indexOf(SPACE) + 1
    out.fill(SLASH, target, out.indexOf(SPACE, target))
    this.push(out.subarray(0, framed))
    this.#wait()
    if (filled > head.length) this.takeBytes(Buffer.from(bytes.subarray(head.length, filled)))
    for (const early of client.takeStash()) this.takeBytes(early)
  }

  /** The body, which fails once it is larger than the group allows. */
  async *limited(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let length = 0
    for await (const bytes of body) {
      length += bytes.length
      if (length > this.group.config.maxBodyBytes) {
        this.refusal = ANSWER.bodyTooLarge
        throw new RangeError('the body is larger than maxBody')
      }
      yield bytes
    }
  }

  /** A connection for this request alone: whether a cache took a body unanswered, nobody knows. */
  connect(): Client {
    const { address, port } = this.cache
    const host = address.includes(':') ? `[${address}]` : address
    const connector = buildConnector({ timeout: this.group.config.timeouts.connectMs })
    this.#upstream = new Client(`http://${host}:${port}`, {
      maxHeaderSize: HEAD_BYTES_MOST,
      connect: (options, done) => {
        connector(options, (error, socket) => {
          if (error !== null) {
            done(error, null)
            return
          }
          socket.on('error', (error) => {
            // undici has errors of its own for it, where nothing was wrong with the answer.
            if ('syscall' in error) this.#isReset = true
          })
          this.#guard(socket)
          done(null, socket)
        })
      },
    })
    return this.#upstream
  }

  /** What undici reads of the socket has passed the gate. */
  #guard(socket: Socket): void {
    const gate = this.#gate
    const push = socket.push.bind(socket)
    let isOpen = false
    socket.push = (bytes: Buffer | null) => {
      if (isOpen || bytes === null) return push(bytes)
      const status = gate.take(bytes, (head, held) => {
        this.#relayInterim(head, held)
      })
      if (status === PARSE.incomplete) return true
      const isUnwanted = this.isUnframed && this.group.pool.isFramingRequired
      isOpen = status === PARSE.complete && !isUnwanted
      if (isOpen) return push(gate.bytes)
      this.client.lane.counters.addServer(this.cache.row + SERVER.badHeads, 1)
      socket.destroy(new Error('the head of the answer is refused'))
      return false
    }
  }

  /** An unframed body, which fails where a reset ended it: to undici that is as good as FIN. */
  async *whole(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    yield* body
    if (!this.#isReset) return
    const error = new Error('the cache reset its connection')
    this.cutShort(error)
    throw error
  }

  /** The cache's answer broke off; what follows destroys the client's connection too. */
  cutShort(error: unknown): void {
    if (this.destroyed || this.outcome !== END.complete) return
    this.client.lane.tick()
    const isStalled = error instanceof errors.BodyTimeoutError
    this.outcome = isStalled ? END.timedOut : END.cacheCut
    this.#cacheFailed(isStalled ? SERVER.bodyTimeouts : SERVER.cuts)
  }

  #cacheFailed(how: number): void {
    this.client.lane.counters.addServer(this.cache.row + how, 1)
    this.exchange.cacheFailed()
  }

  /** The final status line came. */
  answered(status: number): void {
    this.client.lane.deadlines.disarm(this.#deadline)
    // At once: the client may leave before the answer's end, and had it as far as that.
    this.exchange.record.status = status
    this.exchange.cacheAnswered(status, this.client.lane.nowMs - this.#sentAt)
  }

  /** 1xx go to 1.1 clients; 100 was the router's own word. */
  #relayInterim(head: ResponseHead, bytes: Buffer): void {
    if (head.status === 100 || this.exchange.head.versionMinor === 0 || this.destroyed) return
    this.client.lane.counters.add(GLOBAL.responses1xx, 1)
    const context = this.group.responseContext
    context.framing = FRAMING.none
    context.connection = CONNECTION.silent
    const out = Buffer.allocUnsafeSlow(head.end - head.start + ROOM_BYTES)
    this.write(out.subarray(0, writeResponseHead(out, 0, head, bytes, context)))
  }

  /** The router's own word, while nothing of a final answer has gone out. */
  answer(answer: OwnAnswer, end: number): void {
    this.#isAnswered = true
    this.client.answer(this.exchange, answer, end)
    this.destroy()
  }

  /** Node's parser refuses what the strict one has accepted. */
  notUnderstood(): void {
    if (!this.destroyed) this.#refuse(REFUSAL.notUnderstood)
  }

  /** Called by the connection: more of the client's bytes. What follows the body is not read. */
  takeBytes(bytes: Buffer): void {
    if (this.#isBodyWhole || this.destroyed) return
    const isWhole = this.exchange.head.isChunked ? this.#takeChunks(bytes) : this.#takeLength(bytes)
    this.#isBodyWhole = isWhole
    if (!isWhole && this.#isFull) this.client.pauseReading()
    this.#wait()
  }

  #takeLength(bytes: Buffer): boolean {
    const length = Math.min(bytes.length, this.#bodyLeft)
    this.#bodyLeft -= length
    this.#pass(bytes.subarray(0, length))
    return this.#bodyLeft === 0
  }

  #takeChunks(bytes: Buffer): boolean {
    const chunks = this.#chunks
    chunks.feed(bytes, 0, bytes.length)
    while (chunks.next()) this.#pass(bytes.subarray(chunks.rangeStart, chunks.rangeEnd))
    if (!chunks.isBroken) return chunks.isDone
    this.#refuse(REFUSAL.chunk)
    return true
  }

  /** The client's fault, as its answer where none has begun. */
  #refuse(refusal: Refusal): void {
    this.client.lane.counters.countRefusal(refusal.reason)
    if (!this.#hasAnswered) this.answer(refusalAnswer(refusal), END.refused)
    else {
      this.outcome = END.refused
      this.destroy()
    }
  }

  #pass(bytes: Buffer): void {
    this.client.lane.counters.addServer(this.cache.row + SERVER.bytesOut, bytes.length)
    if (!this.push(bytes)) this.#isFull = true
  }

  /** Whose turn it is, and how long it may take. */
  #wait(): void {
    if (this.#hasAnswered || this.destroyed) return
    const { client, group } = this
    const { deadlines, nowMs } = client.lane
    let spanMs = client.listener.config.timeouts.idleMs
    if (this.#isBodyWhole) {
      this.#sentAt = nowMs
      spanMs = group.timeouts.firstByteMs
    } else if (this.#isFull) spanMs = group.timeouts.betweenBytesMs
    deadlines.arm(this.#deadline, nowMs + spanMs)
  }

  onDeadline(): void {
    if (this.#isBodyWhole || this.#isFull) this.isLate = true
    else this.refusal = ANSWER.bodyTimeout
    this.#abort.abort()
  }

  photoLate(): void {
    if (!this.#hasAnswered) {
      this.onDeadline()
      return
    }
    if (this.outcome !== END.complete) return
    this.outcome = END.timedOut
    const isClientSlow = this.#onDrained !== undefined
    if (!isClientSlow) this.#cacheFailed(SERVER.bodyTimeouts)
    this.destroy()
  }

  /** Called by the connection: all that was written is taken. */
  drained(): void {
    const done = this.#onDrained
    this.#onDrained = undefined
    done?.()
  }

  override _read(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.#wait()
    this.client.resumeReading()
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error) => void): void {
    const written = this.client.write(bytes, 0, bytes.length)
    if (written === WRITE.done) done()
    else if (written === WRITE.failed) done(new Error('the client is gone'))
    else {
      this.#onDrained = () => {
        done()
      }
    }
  }

  override _final(done: () => void): void {
    this.client.lane.tick()
    done()
    this.client.lane.deadlines.disarm(this.#deadline)
    const { status, bodyBytes } = this.exchange.record
    this.exchange.answered(status, bodyBytes, this.outcome, false)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#deadline = this.client.lane.deadlines.close(this.#deadline)
    this.#abort.abort()
    void this.#upstream?.destroy()
    // Ended by us, and not by an answer that is whole: the client must see that it is cut.
    if (!this.writableFinished && !this.#isAnswered) {
      this.client.cutHandedOver(this.outcome, this.isFramed)
    }
    done(error)
  }
}

/** The head is made by `writeRequestHead`: only what framed this hop goes. */
function forwarded(rawHeaders: readonly string[]): string[] {
  const fields: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const lower = name.toLowerCase()
    if (lower !== 'connection' && lower !== 'transfer-encoding')
      fields.push(name, rawHeaders[i + 1] ?? '')
  }
  return fields
}

function answerFields(
  { statusCode, headers }: Answer,
  { config }: GroupPlan,
): Record<string, string | string[]> {
  const { set, remove } = config.responseHeaders
  const named = (headers.connection ?? '').toLowerCase().split(/\s*,\s*/)
  const dropped = new Set([...HOP_BY_HOP, ...named, ...remove.map((name) => name.toLowerCase())])
  for (const name of Object.keys(set)) dropped.add(name.toLowerCase())
  if (statusCode === 204) dropped.add('content-length')
  const fields: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !dropped.has(name)) fields[name] = value
  }
  return { ...fields, ...set, connection: 'close' }
}

/** What `undici` gives of an answer's head. */
interface Answer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
}

const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'transfer-encoding',
]
const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n')
const SLASH = 47
const CRLF_BYTES = 2
const CLOSE = encodeText('Connection: close\r\n\r\n')
const CHUNKED_AND_CLOSE = encodeText('Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n')
/** Above the largest limit that can be configured, and what the router adds. */
const HEAD_BYTES_MOST = 256 * 1024
const ROOM_BYTES = 4096
