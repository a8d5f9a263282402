import { Buffer } from 'node:buffer'
import { Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errors, Pool } from 'undici'
import { END, LANE } from '../core/access-record.ts'
import { encodeText, put } from '../core/ascii.ts'
import { GLOBAL } from '../core/counters.ts'
import { ANSWER } from '../core/own-answer.ts'
import type { OwnAnswer } from '../core/own-answer.ts'
import { writeRequestHead } from '../core/rewrite.ts'
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
  /** The lane gave up within its answer. */
  cutHandedOver(status: number, end: number): void
}

/**
 * The lane for what is legal but rare: other methods, and bodies. A request is handed over with its
 * bytes, its head as the strict parser understood it and already rewritten for the cache, and is
 * the last of its connection. One attempt only: a body can't be sent twice.
 */
export class GeneralLane {
  readonly #pools = new Map<string, Pool>()
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
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()))
    await this.#server.close()
  }

  async #forward(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const handed = request.raw.socket as unknown as HandedOver
    const { cache, exchange, group } = handed
    const { raw } = request
    reply.hijack()
    try {
      const answer = await this.#pool(cache, group).request({
        method: raw.method ?? 'GET',
        path: raw.url ?? '/',
        headers: forwarded(raw.rawHeaders),
        body: exchange.head.hasBody ? Readable.from(handed.limited(raw)) : null,
        headersTimeout: group.config.timeouts.firstByteMs,
        bodyTimeout: group.config.timeouts.betweenBytesMs,
        signal: handed.gone,
      })
      handed.client.lane.tick()
      cache.noteSuccess(false)
      exchange.record.upstreamStatus = answer.statusCode
      handed.status = answer.statusCode
      reply.raw.writeHead(answer.statusCode, answerFields(answer.headers, group))
      answer.body.on('data', (bytes: Buffer) => {
        handed.bodyBytes += bytes.length
      })
      await pipeline(answer.body, reply.raw)
    } catch (error) {
      this.#fail(handed, reply, error)
    }
  }

  #fail(handed: HandedOver, reply: FastifyReply, error: unknown): void {
    if (handed.destroyed) return
    if (!handed.isOverLimit) handed.cache.noteFailure(false)
    if (reply.raw.headersSent) {
      handed.outcome = END.cacheCut
      handed.destroy()
      return
    }
    const isLate =
      error instanceof errors.HeadersTimeoutError || error instanceof errors.ConnectTimeoutError
    const answer: OwnAnswer = handed.isOverLimit
      ? ANSWER.bodyTooLarge
      : isLate
        ? ANSWER.gatewayTimeout
        : ANSWER.badGateway
    handed.status = answer.status
    handed.outcome = handed.isOverLimit ? END.refused : END.cacheFailed
    handed.bodyBytes = answer.body.length
    reply.raw.writeHead(answer.status, { 'content-type': 'text/plain; charset=utf-8' })
    reply.raw.end(answer.body)
  }

  #pool({ address, port }: Cache, { config }: GroupPlan): Pool {
    const host = address.includes(':') ? `[${address}]` : address
    const origin = `http://${host}:${port}`
    let pool = this.#pools.get(origin)
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: CONNECTIONS,
        connect: { timeout: config.timeouts.connectMs },
        maxHeaderSize: HEAD_BYTES_MOST,
      })
      this.#pools.set(origin, pool)
    }
    return pool
  }
}

function createServer(
  forward: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): FastifyInstance {
  const server = Fastify({
    http: { maxHeaderSize: HEAD_BYTES_MOST },
    keepAliveTimeout: 1,
    exposeHeadRoutes: false,
  })
  // Bodies go to the cache as they come: nobody here reads them.
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('*', (_request, _body, done) => {
    done(null)
  })
  server.all('*', forward)
  return server
}

/** The client's connection as Node's HTTP server takes one. */
class HandedOver extends Duplex implements ClientSink {
  readonly client: HandOverClient
  readonly exchange: Exchange
  readonly group: GroupPlan
  readonly cache: Cache
  status = 0
  bodyBytes = 0
  outcome: number = END.complete
  isOverLimit = false
  readonly #abort = new AbortController()
  #onDrained: (() => void) | undefined

  constructor(client: HandOverClient, exchange: Exchange, group: GroupPlan, cache: Cache) {
    super({ allowHalfOpen: true })
    this.client = client
    this.exchange = exchange
    this.group = group
    this.cache = cache
    client.handOver(this)
    this.on('error', () => undefined)
  }

  /** Aborted when the client is gone. */
  get gone(): AbortSignal {
    return this.#abort.signal
  }

  /** Sends the head, and what of the body came with it. */
  begin(): void {
    const { client, exchange, group } = this
    const { head, bytes, filled } = exchange
    if (head.expectsContinue) client.write(CONTINUE, 0, CONTINUE.length)
    const context = group.requestContext
    client.lane.putRequestId(exchange.requestId)
    context.peer = client.peer
    context.requestId = exchange.requestId
    context.serverHost = this.cache.hostField
    const out = Buffer.allocUnsafeSlow(2 * HEAD_BYTES_MOST)
    const end = writeRequestHead(out, 0, head, bytes, context)
    if (end < 0) {
      this.destroy()
      return
    }
    const framed = put(out, end - CRLF_BYTES, head.isChunked ? CHUNKED_AND_CLOSE : CLOSE)
    this.push(out.subarray(0, framed))
    if (filled > head.length) this.push(Buffer.from(bytes.subarray(head.length, filled)))
    for (const early of client.takeStash()) this.takeBytes(early)
  }

  /** The body, which fails once it is larger than the group allows. */
  async *limited(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let length = 0
    for await (const bytes of body) {
      length += bytes.length
      if (length > this.group.config.maxBodyBytes) {
        this.isOverLimit = true
        throw new RangeError('the body is larger than maxBody')
      }
      yield bytes
    }
  }

  /** Called by the connection: more of the client's bytes. */
  takeBytes(bytes: Buffer): void {
    if (!this.push(bytes)) this.client.pauseReading()
  }

  /** Called by the connection: all that was written is taken. */
  drained(): void {
    const done = this.#onDrained
    this.#onDrained = undefined
    done?.()
  }

  override _read(): void {
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
    this.exchange.answered(this.status, this.bodyBytes, this.outcome, false)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#abort.abort()
    // Ended by us, and not by an answer that is whole: the client must see that it is cut.
    if (!this.writableFinished) this.client.cutHandedOver(this.status, this.outcome)
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
  headers: Readonly<Record<string, string | string[] | undefined>>,
  { config }: GroupPlan,
): Record<string, string | string[]> {
  const { set, remove } = config.responseHeaders
  const named = String(headers['connection'] ?? '')
    .toLowerCase()
    .split(/\s*,\s*/)
  const dropped = new Set([...HOP_BY_HOP, ...named, ...remove.map((name) => name.toLowerCase())])
  for (const name of Object.keys(set)) dropped.add(name.toLowerCase())
  const fields: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !dropped.has(name)) fields[name] = value
  }
  return { ...fields, ...set, connection: 'close' }
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
const CRLF_BYTES = 2
const CLOSE = encodeText('Connection: close\r\n\r\n')
const CHUNKED_AND_CLOSE = encodeText('Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n')
const HEAD_BYTES_MOST = 64 * 1024
const CONNECTIONS = 16
