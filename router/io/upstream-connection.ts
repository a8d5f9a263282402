import { connect } from 'node:net'
import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { SERVER } from '../core/counters.ts'
import { disarm } from '../core/timer-list.ts'
import type { TimerList, TimerNode } from '../core/timer-list.ts'
import { growChunk } from './chunk-pool.ts'
import type { Chunk } from './chunk-pool.ts'
import type { Lane } from './lane.ts'
import type { Transport, TransportOwner, WriteOutcome } from './transport.ts'

/** What became of the bytes that an exchange was shown. */
export const CHUNK = {
  /** All is used: the chunk may be read into again. */
  free: 0,
  /** A head is incomplete: what comes next must stand right behind. */
  append: 1,
  /** A write holds the chunk; the exchange gives it back to the pool. */
  held: 2,
} as const

export type ChunkUse = (typeof CHUNK)[keyof typeof CHUNK]

/** The exchange that a connection serves. */
export interface UpstreamUser {
  onConnected(): void
  /** The connection could not be made: an errno name. */
  onConnectFailed(code: string): void
  /** Bytes `from` to `end` of `chunk` came; those from `chunk.base` on are of the same answer. */
  onAnswerBytes(chunk: Chunk, from: number, end: number): ChunkUse
  /** The cache ended (empty code) or broke the connection. */
  onAnswerEnd(code: string): void
  /** Whether what is still to come is worth a large chunk. */
  readonly wantsLargeChunk: boolean
}

/** The cache at the other end. */
export interface UpstreamServer {
  readonly lane: Lane
  readonly address: string
  readonly port: number
  /** Start of its row in the counters. */
  readonly row: number
  /** Takes a connection whose exchange is over; false: it is not wanted. */
  keep(connection: UpstreamConnection): boolean
  /** Hears of a connection that closes. */
  forget(connection: UpstreamConnection): void
}

/** One connection to a cache: in use by one exchange, or kept idle. Never pipelined. */
export class UpstreamConnection implements TransportOwner, TimerNode {
  timerList: TimerList | undefined
  timerPrevious: TimerNode | undefined
  timerNext: TimerNode | undefined
  timerAt = 0

  readonly cache: UpstreamServer
  /** False until the first answer on it was whole. */
  isReused = false
  #user: UpstreamUser | undefined
  #transport: Transport | undefined
  readonly #socket: Socket
  #chunk: Chunk
  #readAt: number
  #isInRead = false
  #isClosed = false

  constructor(cache: UpstreamServer, user: UpstreamUser) {
    this.cache = cache
    this.#user = user
    this.#chunk = cache.lane.chunks.take(false)
    this.#readAt = this.#chunk.base
    cache.lane.counters.addServer(cache.row + SERVER.connections, 1)
    this.#socket = connect({
      host: cache.address,
      port: cache.port,
      noDelay: true,
      autoSelectFamily: false,
    })
    this.#socket.on('error', this.#onConnectError)
    this.#socket.once('connect', this.#onConnect)
  }

  write(buffer: Buffer, start: number, end: number): WriteOutcome {
    const transport = this.#transport
    if (transport === undefined) throw new Error('write before the connection stands')
    return transport.write(buffer, start, end)
  }

  pause(): void {
    this.#transport?.pause()
  }

  resume(): void {
    this.#transport?.resume()
  }

  /** Serves another exchange. */
  use(user: UpstreamUser): void {
    disarm(this)
    this.#user = user
  }

  /** The exchange is over and the connection may serve another. */
  release(): void {
    this.#user = undefined
    this.isReused = true
    if (!this.cache.keep(this)) this.destroy()
  }

  /** Closes at once; the exchange hears nothing more of it. */
  destroy(): void {
    this.#user = undefined
    if (this.#isClosed) return
    this.#isClosed = true
    disarm(this)
    this.cache.forget(this)
    this.cache.lane.counters.addServer(this.cache.row + SERVER.connections, -1)
    if (this.#transport === undefined) this.#socket.destroy()
    else this.#transport.destroy()
    if (!this.#isInRead) this.cache.lane.chunks.give(this.#chunk)
  }

  onBytes(length: number): Buffer | undefined {
    const user = this.#user
    this.cache.lane.tick()
    if (user === undefined) {
      this.cache.lane.countStrayBytes()
      this.destroy()
      return undefined
    }
    const chunk = this.#chunk
    const end = this.#readAt + length
    this.#isInRead = true
    const use = user.onAnswerBytes(chunk, this.#readAt, end)
    this.#isInRead = false
    if (this.#isClosed) {
      if (use !== CHUNK.held) this.cache.lane.chunks.give(chunk)
      return undefined
    }
    return use === CHUNK.append ? this.#append(chunk, end) : this.#next(chunk, use)
  }

  onEnd(): void {
    this.#ended('')
  }

  onDrained(): void {
    // A request is far smaller than a socket's buffer; where it was not, nothing waits for this.
  }

  onGone(code: string): void {
    this.#ended(code)
  }

  /** Idle too long. */
  onTimer(): void {
    this.destroy()
  }

  #ended(code: string): void {
    this.cache.lane.tick()
    const user = this.#user
    this.destroy()
    user?.onAnswerEnd(code)
  }

  #next(chunk: Chunk, use: ChunkUse): Buffer | undefined {
    const { chunks } = this.cache.lane
    // Whoever needed a large chunk will again: one read and one write more are spared each time.
    const isLarge =
      this.#user?.wantsLargeChunk === true || (chunk.isLarge && chunks.hasLargeToSpare)
    if (use === CHUNK.free) {
      if (chunk.isLarge === isLarge && this.#readAt === chunk.base) return undefined
      if (chunk.isLarge !== isLarge) {
        chunks.give(chunk)
        this.#chunk = chunks.take(isLarge)
      }
    } else {
      this.#chunk = chunks.take(isLarge)
    }
    this.#readAt = this.#chunk.base
    return this.#chunk.landing
  }

  /** Makes the next read land behind `end`; a full small chunk's bytes move to a large one. */
  #append(chunk: Chunk, end: number): Buffer | undefined {
    this.#readAt = end
    if (end < chunk.bytes.length) return chunk.bytes.subarray(end)
    if (end >= LARGEST_HEADS_BYTES) {
      this.#ended('EMSGSIZE')
      return undefined
    }
    const { chunks } = this.cache.lane
    const larger = chunk.isLarge ? growChunk(chunk) : chunks.take(true)
    chunk.bytes.copy(larger.bytes, chunk.base, chunk.base, end)
    if (!chunk.isLarge) chunks.give(chunk)
    this.#chunk = larger
    return larger.bytes.subarray(end)
  }

  readonly #onConnect = (): void => {
    this.cache.lane.tick()
    this.#socket.removeListener('error', this.#onConnectError)
    const { landing } = this.#chunk
    this.#transport = this.cache.lane.openTransport(this.#socket, this, landing)
    this.cache.lane.counters.addServer(this.cache.row + SERVER.connectionsOpened, 1)
    this.#user?.onConnected()
  }

  readonly #onConnectError = (error: NodeJS.ErrnoException): void => {
    this.cache.lane.tick()
    const user = this.#user
    this.destroy()
    user?.onConnectFailed(error.code ?? 'EUNKNOWN')
  }
}

/** Heads, interim ones before them included: twice the largest limit that can be configured. */
const LARGEST_HEADS_BYTES = 256 * 1024
