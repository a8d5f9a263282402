import { Buffer } from 'node:buffer'
import { ConnectionText, END } from '../core/access-record.ts'
import { GLOBAL } from '../core/counters.ts'
import { PARSE } from '../core/field-section.ts'
import { METHODS } from '../core/methods.ts'
import { ANSWER, refusalAnswer, writeOwnAnswer, writeRedirect } from '../core/own-answer.ts'
import { CONNECTION } from '../core/rewrite.ts'
import type { CompiledRedirect, OwnAnswer, OwnAnswerContext } from '../core/own-answer.ts'
import { compilePeer, plainAddress } from '../core/peer.ts'
import type { Peer } from '../core/peer.ts'
import type { DeadlineOwner, DeadlinePlace } from '../core/deadlines.ts'
import { dispatch } from './dispatch.ts'
import type { DispatchClient, DispatchLane } from './dispatch.ts'
import type { After, Exchange, ExchangeLane } from './exchange.ts'
import { AFTER, PHASE } from './exchange.ts'
import type { ClientSink, GeneralLane, HandOverClient } from './general-lane.ts'
import type { Peer as PeerAddress } from './photo-serving.ts'
import type { GroupPlan, ListenerState } from './plan.ts'
import { WRITE } from './transport.ts'
import type { Arrival, Transport, TransportOwner, WriteOutcome } from './transport.ts'

/** What a client's own timer waits for. */
const WAIT = { nothing: 0, head: 1, idle: 2, send: 3, linger: 4 } as const

/** A lane that clients connect to. */
export interface ClientLane extends ExchangeLane, DispatchLane {
  /** Every client's reads land here and are taken out before the next one. */
  readonly clientLanding: Buffer
  /** The lane for what is rare, once it is loaded. */
  general(): Promise<GeneralLane>
  takeExchange(): Exchange
  /** Hears of a connection that is over. */
  forget(connection: ClientConnection): void
}

/**
 * One client's connection: its heads, one exchange at a time, and its end. While nothing is asked
 * it holds no buffer of its own.
 */
export class ClientConnection
  implements TransportOwner, DeadlineOwner, DispatchClient, HandOverClient
{
  readonly lane: ClientLane
  readonly listener: ListenerState
  readonly port: number
  readonly tlsProtocol: Uint8Array
  readonly tlsCipher: Uint8Array
  readonly logText = new ConnectionText()
  readonly peer: Peer
  readonly #transport: Transport
  /** As it was accepted: a reload may give its listener TLS, or take it away. */
  readonly #isTls: boolean
  readonly #openedAt: number
  #exchange: Exchange | undefined
  /** Another lane has the connection. */
  #sink: ClientSink | undefined
  #requests = 0
  #wait: number = WAIT.nothing
  /** Came while an exchange was under way. */
  #stash: Buffer[] = []
  #stashedBytes = 0
  /** Requests served from the stash since others had their turn. */
  #pumped = 0
  #isClosing = false
  #isGone = false
  #isPumping = false
  #isPaused = false
  #lingeredBytes = 0
  #queuedAtArm = 0
  /** Since then every look found the same bytes queued. */
  #quietSince = 0
  #deadline: DeadlinePlace

  constructor(lane: ClientLane, listener: ListenerState, arrival: Arrival, client?: PeerAddress) {
    this.lane = lane
    this.listener = listener
    lane.tick()
    this.#openedAt = lane.nowMs
    const { socket, tls } = arrival
    this.#isTls = tls !== undefined
    const address = plainAddress(client?.address ?? socket.remoteAddress ?? '')
    this.port = client?.port ?? socket.remotePort ?? 0
    this.peer = compilePeer(address, this.#isTls, listener.isTrusted(address))
    this.tlsProtocol = tls === undefined ? EMPTY : listener.text(tls.protocol)
    this.tlsCipher = tls === undefined ? EMPTY : listener.text(tls.cipher)
    this.#transport = arrival.open(this, lane.clientLanding)
    lane.counters.add(GLOBAL.connectionsActive, 1)
    lane.counters.add(GLOBAL.connectionsIdle, 1)
    this.#deadline = lane.deadlines.open(this)
    this.#arm(WAIT.idle)
  }

  get pendingBytes(): number {
    return this.#transport.pendingBytes
  }

  get isIdle(): boolean {
    return this.#exchange === undefined
  }

  /** Whether another request may follow the one that is served now. */
  mayKeep(wants: boolean, now: number): boolean {
    const { requests, ageMs } = this.listener.config.keepAlive
    return wants && !this.#isLast && this.#requests < requests && now - this.#openedAt < ageMs
  }

  /** No request may follow any more, here or on any of its listener's connections. */
  get #isLast(): boolean {
    return this.lane.isDraining || this.listener.isGivenUp
  }

  write(buffer: Buffer, start: number, end: number, isMoreToCome = false): WriteOutcome {
    this.lane.counters.add(GLOBAL.bytesOut, end - start)
    const outcome = this.#transport.write(buffer, start, end, isMoreToCome)
    if (outcome === WRITE.waits && this.#wait !== WAIT.send) this.#arm(WAIT.send)
    return outcome
  }

  push(): void {
    this.#transport.push()
  }

  get canTake(): boolean {
    return this.#transport.canTake
  }

  takeFrom(source: Transport, length: number): number {
    const taken = this.#transport.takeFrom(source, length)
    if (taken <= 0) return taken
    this.lane.counters.add(GLOBAL.bytesOut, Math.min(taken, length))
    if (this.pendingBytes > 0 && this.#wait !== WAIT.send) this.#arm(WAIT.send)
    return taken
  }

  /** Answers by the router itself and ends the exchange. */
  answer(exchange: Exchange, answer: OwnAnswer, end: number): void {
    const isRefusal = end === END.refused && CLOSING_STATUSES.has(answer.status)
    // Its own descriptor is among those that lack; kept open, it would wait for the next 503.
    const isShort = answer === ANSWER.outOfResources
    const keeps = !isRefusal && !isShort && this.#keepsAfterOwn(exchange)
    const context = this.#ownContext(exchange, keeps)
    this.#answer(exchange, answer, end, keeps, (out) => writeOwnAnswer(out, 0, answer, context))
  }

  /** Answers with a route's redirect. */
  redirect(exchange: Exchange, redirect: CompiledRedirect): void {
    const keeps = this.#keepsAfterOwn(exchange)
    const context = this.#ownContext(exchange, keeps)
    const { bytes, head } = exchange
    this.#answer(exchange, redirect.answer, END.ownAnswer, keeps, (out) =>
      writeRedirect(out, 0, redirect, bytes, head.targetStart, head.targetEnd, context),
    )
  }

  /**
   * A body that nobody reads would be taken for the next request, and what came behind a
   * handed-over one is gone.
   */
  #keepsAfterOwn({ head }: Exchange): boolean {
    return (
      !head.hasBody && this.#sink === undefined && this.mayKeep(head.isKeepAlive, this.lane.nowMs)
    )
  }

  #ownContext({ head }: Exchange, keeps: boolean): OwnAnswerContext {
    const kept = head.versionMinor === 0 ? CONNECTION.keepAlive : CONNECTION.silent
    return {
      date: this.lane.date,
      connection: keeps ? kept : CONNECTION.close,
      isHead: head.method === METHODS.HEAD,
    }
  }

  #answer(
    exchange: Exchange,
    answer: OwnAnswer,
    end: number,
    keeps: boolean,
    put: (out: Buffer) => number,
  ): void {
    const { lane } = this
    let out = lane.scratch
    let length = put(out)
    while (length < 0) {
      out = Buffer.allocUnsafeSlow(2 * out.length)
      length = put(out)
    }
    if (this.write(out, 0, length) === WRITE.failed) return
    const isHead = exchange.head.method === METHODS.HEAD
    exchange.answered(answer.status, isHead ? 0 : answer.body.length, end, keeps)
  }

  /** Called by the exchange when its line is written. */
  exchangeDone(exchange: Exchange, after: After): void {
    if (this.#exchange !== exchange) return
    this.#exchange = undefined
    const sink = this.#sink
    this.#sink = undefined
    this.lane.counters.add(GLOBAL.connectionsIdle, 1)
    sink?.destroy()
    if (this.#isGone) return
    switch (after) {
      case AFTER.keep:
        this.#next(exchange)
        return
      case AFTER.close:
        this.#close()
        return
      case AFTER.cut:
        // TLS has an end of its own, close_notify, that must not be sent.
        if (this.#isTls) this.stop()
        else this.#close()
        return
      case AFTER.reset:
        this.#transport.reset()
        this.#gone()
        return
      case AFTER.nothing:
    }
  }

  #next(exchange: Exchange): void {
    const { length } = exchange.head
    if (exchange.filled > length) {
      const rest = Buffer.from(exchange.bytes.subarray(length, exchange.filled))
      this.#stash.unshift(rest)
      this.#stashedBytes += rest.length
    }
    if (this.#stashedBytes > 0) {
      if (!this.#isPumping) this.#pump()
    } else if (this.#isLast) {
      // Its answer had begun before that was known, and so promised nothing.
      this.#close()
    } else this.#arm(WAIT.idle)
  }

  /**
   * The worker stops: an idle connection goes at once, a busy one with its answer, and so does one
   * whose next request is there already.
   */
  drain(): void {
    if (this.#exchange !== undefined || this.#isClosing || this.#transport.hasUnread()) return
    this.#close()
  }

  /** Its listener is given up: as `drain`, but who has never asked is still served, once. */
  giveUp(): void {
    if (this.#requests > 0) this.drain()
  }

  /** The worker's time is up. */
  stop(): void {
    const isBusy = this.#exchange !== undefined
    this.#exchange?.abandon(END.stopped)
    // An answer that only the connection's end frames must not look whole.
    if (isBusy) this.#transport.reset()
    else this.#transport.destroy()
    this.#gone()
  }

  serveElsewhere(exchange: Exchange, group: GroupPlan): void {
    void this.lane.general().then((general) => {
      if (this.#exchange === exchange) general.serve(this, exchange, group)
    })
  }

  /** From now on the client's bytes are `sink`'s, until the exchange is over. */
  handOver(sink: ClientSink): void {
    this.#sink = sink
  }

  photoLate(): void {
    this.#sink?.photoLate()
  }

  takeStash(): readonly Buffer[] {
    const stash = this.#stash
    this.#stash = []
    this.#stashedBytes = 0
    return stash
  }

  pauseReading(): void {
    if (!this.#isPaused) this.#transport.pause()
    this.#isPaused = true
  }

  resumeReading(): void {
    if (this.#isPaused && !this.#isGone) this.#transport.resume()
    this.#isPaused = false
  }

  /** The other lane gave up within its answer. */
  cutHandedOver(end: number, isShownByFraming: boolean): void {
    const exchange = this.#exchange
    if (this.#isGone || exchange === undefined) return
    const after = isShownByFraming ? AFTER.cut : AFTER.reset
    exchange.abandon(end === END.complete ? END.cacheCut : end, after)
  }

  onBytes(length: number): undefined {
    const { lane } = this
    lane.tick()
    lane.counters.add(GLOBAL.bytesIn, length)
    if (this.#isClosing) {
      this.#linger(length)
      return undefined
    }
    if (this.#sink !== undefined) {
      this.#sink.takeBytes(Buffer.from(lane.clientLanding.subarray(0, length)))
      return undefined
    }
    const exchange = this.#exchange
    const isBusy = exchange !== undefined && exchange.phase !== PHASE.head
    if (isBusy || this.#stashedBytes > 0) {
      this.#keepForLater(length)
      return undefined
    }
    this.#isPumping = true
    this.#take(lane.clientLanding, 0, length)
    this.#isPumping = false
    if (this.#stashedBytes > 0 && this.#exchange === undefined) this.#pump()
    return undefined
  }

  onEnd(): void {
    this.lane.tick()
    const exchange = this.#exchange
    const hasAsked = exchange !== undefined && exchange.phase !== PHASE.head
    if (hasAsked) {
      // A client that is gone has no use for its photo: what fetches it stops. What is cut short
      // here must not look whole.
      exchange.abandon(END.clientGone)
      this.#transport.reset()
    } else if (this.#isTls && !this.#isClosing) {
      this.#close()
      return
    } else this.#transport.destroy()
    this.#gone()
  }

  onDrained(): void {
    this.lane.tick()
    if (this.#wait === WAIT.send) {
      this.#disarm()
    }
    this.#sink?.drained()
    this.#exchange?.clientDrained()
  }

  onGone(): void {
    this.lane.tick()
    this.#gone()
  }

  onDeadline(): void {
    const { counters } = this.lane
    if (this.#wait === WAIT.idle) {
      counters.add(GLOBAL.idleTimeouts, 1)
      this.#close()
      return
    }
    if (this.#wait === WAIT.send) {
      const { queuedBytes } = this.#transport
      if (queuedBytes < this.#queuedAtArm) {
        this.#arm(WAIT.send)
        return
      }
      // More is no progress: it may be what TLS answers by itself.
      this.#queuedAtArm = queuedBytes
      if (this.lane.nowMs < this.#quietSince + this.listener.config.timeouts.sendMs) {
        this.#setDeadline(WAIT.send)
        return
      }
      this.#exchange?.abandon(END.clientSlow)
      this.#transport.reset()
    } else {
      if (this.#wait === WAIT.head) counters.add(GLOBAL.slowHeads, 1)
      this.#transport.destroy()
    }
    this.#gone()
  }

  #take(from: Buffer, start: number, end: number): void {
    let exchange = this.#exchange
    if (exchange === undefined) {
      exchange = this.lane.takeExchange()
      this.#exchange = exchange
      this.lane.counters.add(GLOBAL.connectionsIdle, -1)
      exchange.begin(this)
    }
    const status = exchange.feed(from, start, end)
    if (status === PARSE.incomplete) {
      if (this.#wait !== WAIT.head) this.#arm(WAIT.head)
      return
    }
    this.#disarm()
    this.#requests++
    this.lane.counters.add(GLOBAL.requests, 1)
    exchange.phase = PHASE.elsewhere
    if (status === PARSE.refused) {
      const { refusal } = exchange.head
      this.lane.counters.countRefusal(refusal.reason)
      this.answer(exchange, refusalAnswer(refusal), END.refused)
    } else dispatch(this, exchange)
  }

  #keepForLater(length: number): void {
    this.#stash.push(Buffer.from(this.lane.clientLanding.subarray(0, length)))
    this.#stashedBytes += length
    if (this.#stashedBytes > MOST_STASHED_BYTES && !this.#isPaused) {
      this.#isPaused = true
      this.#transport.pause()
    }
  }

  /**
   * Serves what came early, one request after the other, without recursion. After a few of them it
   * is the other clients' turn, and the log's: hundreds fit into one read.
   */
  #pump(): void {
    this.#isPumping = true
    while (this.#stashedBytes > 0 && !this.#isClosing && !this.#isGone) {
      const exchange = this.#exchange
      if (exchange !== undefined && exchange.phase !== PHASE.head) break
      if (this.#pumped++ === MOST_PUMPED) {
        this.#isPumping = false
        this.pauseReading()
        setImmediate(this.#pumpOn)
        return
      }
      const bytes =
        this.#stash.length === 1 ? (this.#stash[0] ?? EMPTY) : Buffer.concat(this.#stash)
      this.#stash = []
      this.#stashedBytes = 0
      this.#take(bytes, 0, bytes.length)
    }
    this.#isPumping = false
    if (this.#isPaused && this.#stashedBytes <= MOST_STASHED_BYTES && !this.#isGone) {
      this.#isPaused = false
      this.#transport.resume()
    }
  }

  readonly #pumpOn = (): void => {
    this.lane.tick()
    this.#pumped = 0
    this.#pump()
  }

  /** FIN behind what is written; then what still comes is dropped, so that the answer arrives. */
  #close(): void {
    if (this.#isClosing || this.#isGone) return
    this.#isClosing = true
    this.#stash = []
    this.#stashedBytes = 0
    if (this.#isPaused) this.#transport.resume()
    this.#transport.end()
    this.#arm(WAIT.linger)
  }

  #linger(length: number): void {
    this.#lingeredBytes += length
    if (this.#lingeredBytes <= MOST_LINGERED_BYTES) return
    this.#transport.destroy()
    this.#gone()
  }

  #arm(wait: number): void {
    this.#wait = wait
    if (wait === WAIT.send) {
      this.#queuedAtArm = this.#transport.queuedBytes
      this.#quietSince = this.lane.nowMs
    }
    this.#setDeadline(wait)
  }

  #setDeadline(wait: number): void {
    let at = this.lane.nowMs + this.#spanOf(wait)
    // A late look must not make the last one later.
    if (wait === WAIT.send)
      at = Math.min(at, this.#quietSince + this.listener.config.timeouts.sendMs)
    this.lane.deadlines.arm(this.#deadline, at)
  }

  #spanOf(wait: number): number {
    const { timeouts } = this.listener.config
    if (wait === WAIT.idle) return timeouts.idleMs
    if (wait === WAIT.head) return timeouts.headMs
    return wait === WAIT.send ? timeouts.sendMs / LOOKS_PER_SEND : LINGER_MS
  }

  #disarm(): void {
    this.#wait = WAIT.nothing
    this.lane.deadlines.disarm(this.#deadline)
  }

  #gone(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#deadline = this.lane.deadlines.close(this.#deadline)
    this.#exchange?.abandon(END.clientGone)
    this.lane.counters.add(GLOBAL.connectionsIdle, -1)
    this.lane.counters.add(GLOBAL.connectionsActive, -1)
    this.lane.forget(this)
  }
}

const EMPTY = Buffer.alloc(0)
/** After these the connection's framing can't be trusted, or a body that is not wanted follows. */
const CLOSING_STATUSES = new Set([400, 413, 414, 417, 431, 501, 505])
const MOST_STASHED_BYTES = 16 * 1024
const MOST_PUMPED = 8
/** So often within the send limit: a client is cut at most a quarter of it late. */
const LOOKS_PER_SEND = 4
/** RFC 9112 9.6: enough for what a refused client was still sending. */
const LINGER_MS = 1000
const MOST_LINGERED_BYTES = 64 * 1024
