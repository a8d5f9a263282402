import { Buffer } from 'node:buffer'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { isShortage } from '../../common/model/shortage.ts'
import { SERVER } from '../core/counters.ts'
import type { DeadlineOwner, DeadlinePlace } from '../core/deadlines.ts'
import { WarmGate } from '../core/warm-gate.ts'
import type { Lane } from './lane.ts'

/** The returning cache. */
export interface WarmServer {
  readonly lane: Lane
  readonly pool: string
  readonly name: string
  readonly address: string
  readonly port: number
  /** Start of its row in the counters. */
  readonly row: number
}

/**
 * Repeats some requests to a returning cache, so that it holds its users' photos before they come
 * back. Nobody waits for the answers and nobody sees them; what fails is counted and nothing else
 * follows from it: no suspicion, no retry.
 */
export class Warmer {
  readonly #server: WarmServer
  readonly #gate = new WarmGate()
  readonly #requests = new Set<WarmRequest>()

  constructor(server: WarmServer) {
    this.#server = server
  }

  /** Under way now. */
  get activeCount(): number {
    return this.#gate.activeCount
  }

  /** Whether a request of this target's hash may be repeated now; then `send` is to follow. */
  admit(hash: number): boolean {
    return this.#gate.admit(hash, this.#server.lane.nowMs)
  }

  /** Sends a whole request head, one that asks for the connection's end after the answer. */
  send(head: Uint8Array): void {
    const { lane, row } = this.#server
    lane.counters.addServer(row + SERVER.warmRequests, 1)
    const request = new WarmRequest(this.#server, head, (end) => {
      this.#requests.delete(request)
      this.#gate.done()
      if (end === 'bad') lane.counters.addServer(row + SERVER.warmFailures, 1)
    })
    this.#requests.add(request)
  }

  /** Breaks off all that is under way. */
  stop(): void {
    for (const request of this.#requests) request.onDeadline()
  }
}

/** One request on a connection of its own. The answer's bytes are dropped as they come. */
class WarmRequest implements DeadlineOwner {
  readonly #server: WarmServer
  #deadline: DeadlinePlace
  readonly #socket: Socket
  readonly #onOver: (end: WarmEnd) => void
  #start = ''
  #isEnded = false
  #isUnasked = false

  constructor(server: WarmServer, head: Uint8Array, onOver: (end: WarmEnd) => void) {
    const { lane, address, port } = server
    this.#server = server
    this.#onOver = onOver
    const onread = { buffer: DROPPED, callback: this.#onBytes }
    this.#socket = connect({ host: address, port, autoSelectFamily: false, onread })
    this.#socket.on('error', this.#onError)
    this.#socket.on('end', () => {
      this.#isEnded = true
    })
    this.#socket.on('close', this.#onClose)
    this.#socket.write(head)
    this.#deadline = lane.deadlines.open(this)
    lane.deadlines.arm(this.#deadline, lane.nowMs + LIMIT_MS)
  }

  /** It has taken too long, or is not wanted any more. */
  onDeadline(): void {
    this.#socket.destroy()
  }

  readonly #onBytes = (length: number): boolean => {
    const missing = STATUS_LINE.length - this.#start.length
    if (missing > 0) this.#start += DROPPED.toString('latin1', 0, Math.min(length, missing))
    return true
  }

  readonly #onError = ({ code, syscall }: NodeJS.ErrnoException): void => {
    if (syscall !== 'connect' || !isShortage(code)) return
    const { lane, pool, name } = this.#server
    this.#isUnasked = true
    lane.onShortage(code, pool, name)
  }

  readonly #onClose = (): void => {
    this.#deadline = this.#server.lane.deadlines.close(this.#deadline)
    if (this.#isUnasked) this.#onOver('unasked')
    else this.#onOver(this.#isEnded && STATUS_LINE_200.test(this.#start) ? 'good' : 'bad')
  }
}

/** `unasked`: this box could make no connection; the cache knows nothing of it. */
type WarmEnd = 'good' | 'bad' | 'unasked'

const STATUS_LINE = 'HTTP/1.1 200'
const STATUS_LINE_200 = /^HTTP\/1\.[01] 200$/
/** Connecting, waiting and reading together. */
const LIMIT_MS = 10_000
/** Every answer lands here; nobody reads it. */
const DROPPED = Buffer.allocUnsafeSlow(64 * 1024)
