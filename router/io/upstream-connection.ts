import { connect } from 'node:net'
import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { SERVER } from '../core/counters.ts'
import type { DeadlineOwner, DeadlinePlace } from '../core/deadlines.ts'
import { HEAD_ROOM_BYTES } from './landing.ts'
import type { Lane } from './lane.ts'
import type { Transport, TransportOwner, WriteOutcome } from './transport.ts'

/** The exchange that a connection serves. */
export interface UpstreamUser {
  onConnected(): void
  /** The connection could not be made: an errno name. */
  onConnectFailed(code: string): void
  /**
   * Bytes `from` to `end` came; those from `HEAD_ROOM_BYTES` on are of the same answer. All must be
   * used before this returns, which is then false; true while a head is incomplete: what comes next
   * stands right behind.
   */
  onAnswerBytes(bytes: Buffer, from: number, end: number): boolean
  /** The cache ended (empty code) or broke the connection. */
  onAnswerEnd(code: string): void
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
export class UpstreamConnection implements TransportOwner, DeadlineOwner {
  readonly cache: UpstreamServer
  /** False until the first answer on it was whole. */
  isReused = false
  /** Set by whoever can't have the rest of an answer passed on: a read takes all that is there. */
  readsAll = false
  /** The last read took all that there was room for: there may be more. */
  isReadFull = false
  #user: UpstreamUser | undefined
  #transport: Transport | undefined
  readonly #socket: Socket
  /** A head that comes in pieces is put together here; else answers land where all do. */
  #pieces: Buffer | undefined
  #readAt = HEAD_ROOM_BYTES
  #landing: Buffer | undefined
  #isInRead = false
  #isClosed = false
  #deadline: DeadlinePlace

  constructor(cache: UpstreamServer, user: UpstreamUser) {
    this.cache = cache
    this.#user = user
    this.#deadline = cache.lane.deadlines.open(this)
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

  /** Passes on to a client what was not read, by `Transport.takeFrom`. */
  passOn(client: Pick<Transport, 'takeFrom'>, length: number): number {
    return this.#transport === undefined ? 0 : client.takeFrom(this.#transport, length)
  }

  /** Whether bytes came behind those that were read last. */
  hasUnread(): boolean {
    return this.isReadFull && this.#transport?.hasUnread() === true
  }

  pause(): void {
    this.#transport?.pause()
  }

  resume(): void {
    this.#transport?.resume()
  }

  /** Serves another exchange. */
  use(user: UpstreamUser): void {
    this.cache.lane.deadlines.disarm(this.#deadline)
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
    this.#deadline = this.cache.lane.deadlines.close(this.#deadline)
    this.cache.forget(this)
    this.cache.lane.counters.addServer(this.cache.row + SERVER.connections, -1)
    if (this.#transport === undefined) this.#socket.destroy()
    else this.#transport.destroy()
    if (!this.#isInRead) this.#dropPieces()
  }

  onBytes(length: number): Buffer | undefined {
    const user = this.#user
    this.cache.lane.tick()
    if (user === undefined) {
      this.cache.lane.countStrayBytes()
      this.destroy()
      return undefined
    }
    const pieces = this.#pieces
    const bytes = pieces ?? this.cache.lane.landing.bytes
    const end = this.#readAt + length
    const room = pieces === undefined ? this.#landing?.length : pieces.length - this.#readAt
    this.isReadFull = length === room
    this.#isInRead = true
    const isIncomplete = user.onAnswerBytes(bytes, this.#readAt, end)
    this.#isInRead = false
    if (isIncomplete && !this.#isClosed) return this.#append(bytes, end)
    const next = this.#nextLanding
    if (pieces === undefined && next === this.#landing) return undefined
    this.#dropPieces()
    return (this.#landing = next)
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

  /** Kept, but no longer than until then. */
  expireAt(at: number): void {
    this.cache.lane.deadlines.arm(this.#deadline, at)
  }

  /** Idle too long. */
  onDeadline(): void {
    this.destroy()
  }

  #ended(code: string): void {
    this.cache.lane.tick()
    const user = this.#user
    this.destroy()
    user?.onAnswerEnd(code)
  }

  /** Makes the next read land behind `end`. */
  #append(bytes: Buffer, end: number): Buffer | undefined {
    if (end >= LARGEST_HEADS_BYTES) {
      this.#ended('EMSGSIZE')
      return undefined
    }
    const { buffers } = this.cache.lane
    if (this.#pieces === undefined || end === bytes.length) {
      const larger = buffers.take(2 * end)
      bytes.copy(larger, HEAD_ROOM_BYTES, HEAD_ROOM_BYTES, end)
      this.#dropPieces()
      this.#pieces = larger
    }
    this.#readAt = end
    return this.#pieces.subarray(end)
  }

  get #nextLanding(): Buffer {
    const { landing } = this.cache.lane
    return this.readsAll ? landing.target : landing.first
  }

  #dropPieces(): void {
    this.#readAt = HEAD_ROOM_BYTES
    if (this.#pieces === undefined) return
    this.cache.lane.buffers.give(this.#pieces)
    this.#pieces = undefined
  }

  readonly #onConnect = (): void => {
    this.cache.lane.tick()
    this.#socket.removeListener('error', this.#onConnectError)
    this.#landing = this.#nextLanding
    this.#transport = this.cache.lane.openTransport(this.#socket, this, this.#landing)
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
