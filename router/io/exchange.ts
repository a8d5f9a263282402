import { Buffer } from 'node:buffer'
import { isShortage } from '../../common/model/shortage.ts'
import type { ShortageCode } from '../../common/model/shortage.ts'
import { AccessRecord, END, FALLBACK, LANE, RETRY } from '../core/access-record.ts'
import type { ConnectionText } from '../core/access-record.ts'
import { encodeText, put, SPACE } from '../core/ascii.ts'
import {
  CHUNK_END,
  CHUNK_SIZE_BYTES,
  CHUNKED_MODE,
  ChunkedDecoder,
  LAST_CHUNK,
  writeChunkSize,
} from '../core/chunked.ts'
import { GLOBAL, SERVER } from '../core/counters.ts'
import { NO_PLACE } from '../core/deadlines.ts'
import type { DeadlineOwner, DeadlinePlace } from '../core/deadlines.ts'
import { FIELD } from '../core/field-names.ts'
import { FIELD_STRIDE, PARSE } from '../core/field-section.ts'
import type { ParseStatus } from '../core/field-section.ts'
import { METHODS } from '../core/methods.ts'
import { ANSWER } from '../core/own-answer.ts'
import type { OwnAnswer } from '../core/own-answer.ts'
import { RequestHead } from '../core/request-head.ts'
import { FRAMING, ResponseHead } from '../core/response-head.ts'
import {
  CONNECTION,
  rewriteResponseHead,
  writeRequestHead,
  writeResponseHead,
} from '../core/rewrite.ts'
import { isTowardsOneServer } from '../core/shortage-teller.ts'
import { murmur3 } from '../core/slot-hash.ts'
import { createUserBytes } from '../core/user-pattern.ts'
import type { Cache } from './cache.ts'
import { HEAD_ROOM_BYTES } from './landing.ts'
import type { Lane } from './lane.ts'
import type { Peer } from '../core/peer.ts'
import type { GroupPlan, ListenerState } from './plan.ts'
import type { Slab } from './slab.ts'
import { WRITE } from './transport.ts'
import type { Transport, WriteOutcome } from './transport.ts'
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts'

/** Where an exchange stands. */
export const PHASE = {
  /** The client's head is coming. */
  head: 0,
  /** Another lane, or nobody, has it: the fast lane only logs its end. */
  elsewhere: 1,
  connecting: 2,
  /** The request is sent; no final head yet. */
  waiting: 3,
  body: 4,
  /** All is written; the client has not taken it all. */
  flushing: 5,
  done: 6,
} as const

/** What becomes of the client's connection after an exchange. */
export const AFTER = {
  keep: 0,
  close: 1,
  /** The answer is short, and its framing shows it. */
  cut: 2,
  /** The answer is short, and only a reset shows it. */
  reset: 3,
  /** Whoever ended the exchange sees to it. */
  nothing: 4,
} as const

export type After = (typeof AFTER)[keyof typeof AFTER]

/** The client's connection as its exchange sees it. */
export interface ExchangeClient {
  readonly listener: ListenerState
  readonly peer: Peer
  readonly port: number
  readonly tlsProtocol: Uint8Array
  readonly tlsCipher: Uint8Array
  readonly logText: ConnectionText
  readonly pendingBytes: number
  write(buffer: Buffer, start: number, end: number, isMoreToCome?: boolean): WriteOutcome
  push(): void
  readonly canTake: boolean
  takeFrom(source: Transport, length: number): number
  /** Whether another request may follow, where the client wants it to. */
  mayKeep(wants: boolean, now: number): boolean
  /** Answers by the router itself and ends the exchange. */
  answer(exchange: Exchange, answer: OwnAnswer, end: number): void
  /** The lane that has the request took too long with the whole photo. */
  photoLate(): void
  /** The exchange is over and its line is written. */
  exchangeDone(exchange: Exchange, after: After): void
}

/** A lane with exchanges to spare. */
export interface ExchangeLane extends Lane {
  /** Where exchanges' own buffers are cut from. */
  readonly headSlab: Slab
  giveExchange(exchange: Exchange): void
}

/**
 * One request and its answer in the fast lane: GET or HEAD without a body. Taken from the lane when
 * a head's first byte comes, given back when its line is logged; nothing is allocated between.
 */
export class Exchange implements DeadlineOwner, UpstreamUser {
  readonly head = new RequestHead(SMALLEST_LIMITS)
  readonly record = new AccessRecord()
  readonly requestId = new Uint8Array(32)
  /** The client's bytes of this request, and any that came behind its head. */
  bytes: Buffer
  filled = 0
  phase: number = PHASE.done

  readonly #lane: ExchangeLane
  readonly #ownBytes: Buffer
  readonly #answer = new ResponseHead(SMALLEST_LIMITS)
  readonly #user = createUserBytes()
  readonly #tried = new Int32Array(MOST_ATTEMPTS)
  #triedCount = 0
  readonly #chunked = new ChunkedDecoder()
  #client: ExchangeClient | undefined
  #group: GroupPlan | undefined
  #cache: Cache | undefined
  #upstream: UpstreamConnection | undefined
  #startedAt = 0
  #chosenAt = 0
  #sentAt = 0
  #isTrial = false
  #isStaleRetried = false
  #hasAnswerBytes = false
  #sawFull = false
  #interims = 0
  #framing: number = FRAMING.none
  #remaining = 0
  #isPaused = false
  #after: After = AFTER.close
  #deadline: DeadlinePlace
  #photoDeadline: DeadlinePlace = NO_PLACE

  constructor(lane: ExchangeLane) {
    this.#lane = lane
    this.#ownBytes = lane.headSlab.cut(BYTES_AT_FIRST)
    this.bytes = this.#ownBytes
    this.#deadline = lane.deadlines.open(this)
  }

  /** It will serve no other request. */
  retire(): void {
    const { deadlines } = this.#lane
    this.#deadline = deadlines.close(this.#deadline)
  }

  get client(): ExchangeClient {
    return this.#client!
  }

  /** A head's first byte came on this client's connection. */
  begin(client: ExchangeClient): void {
    const { listener } = client
    this.#client = client
    this.phase = PHASE.head
    this.filled = 0
    this.#startedAt = this.#lane.nowMs
    this.head.setLimits(listener.headLimits)
    this.head.reset()
    const { record } = this
    record.reset(this.#lane.wallMs())
    record.client = client.peer.address
    record.clientPort = client.port
    record.listener = listener.logName
    record.tlsProtocol = client.tlsProtocol
    record.tlsCipher = client.tlsCipher
    record.connection = client.logText
    record.end = END.complete
    this.#upstream = undefined
    this.#cache = undefined
    this.#group = undefined
    this.#lane.counters.add(GLOBAL.requestsActive, 1)
  }

  /** Takes more of the client's bytes while the head is not whole. */
  feed(from: Buffer, start: number, end: number): ParseStatus {
    const filled = this.filled + end - start
    if (filled > this.bytes.length) this.#grow(filled)
    from.copy(this.bytes, this.filled, start, end)
    this.filled = filled
    return this.head.parse(this.bytes, filled)
  }

  /** Asks the group's caches. The head is whole; the request is a GET or HEAD without body. */
  serve(group: GroupPlan): void {
    this.record.lane = LANE.fast
    const place = this.#place(group)
    if (place < 0) return
    this.#limitPhoto(group)
    this.#attempt(place)
  }

  #limitPhoto({ timeouts: { photoMs } }: GroupPlan): void {
    if (photoMs === undefined) return
    const { deadlines, nowMs } = this.#lane
    this.#photoDeadline = deadlines.open(new PhotoLimit(this))
    deadlines.arm(this.#photoDeadline, nowMs + photoMs)
  }

  /** The cache for another lane's one attempt; undefined: the client is answered already. */
  takeCache(group: GroupPlan): Cache | undefined {
    const place = this.#place(group)
    if (place < 0) return undefined
    this.#limitPhoto(group)
    return this.#enter(place)
  }

  /** The other lane's cache answered, `firstByteMs` after all was sent. */
  cacheAnswered(status: number, firstByteMs: number): void {
    this.#noteAnswer(this.#cache!, status, firstByteMs)
  }

  /** The other lane's cache did not answer, or not to the end. */
  cacheFailed(): void {
    this.#cache?.noteFailure(this.#isTrial)
    this.#isTrial = false
  }

  /** The cache to ask first; -1: the client is answered already. */
  #place(group: GroupPlan): number {
    this.#group = group
    this.#triedCount = 0
    this.#isStaleRetried = false
    this.#interims = 0
    this.#isPaused = false
    this.#chosenAt = this.#lane.nowMs
    group.pool.budget.begin(this.#chosenAt)
    this.#lane.putRequestId(this.requestId)
    if (!group.locate(this.bytes, this.head, this.#user)) {
      this.#lane.counters.add(GLOBAL.noUser, 1)
      this.#giveUp(ANSWER.noUser, END.refused)
      return -1
    }
    const place = this.#choose()
    if (place >= 0) return place
    if (this.#sawFull) {
      this.#lane.counters.add(GLOBAL.allCachesFull, 1)
      this.#giveUp(ANSWER.cachesFull, END.busy)
    } else {
      this.#lane.counters.add(GLOBAL.noCacheUp, 1)
      this.#giveUp(ANSWER.noCache, END.noCache)
    }
    return -1
  }

  /** The client's answer was made here, or elsewhere, and is written; `keeps` its connection. */
  answered(status: number, bodyBytes: number, end: number, keeps: boolean): void {
    this.#disarm()
    const { record } = this
    record.status = status
    record.bodyBytes = bodyBytes
    record.end = end
    this.#after = keeps ? AFTER.keep : AFTER.close
    if (this.#cache !== undefined) record.upstreamUs = micros(this.#lane.nowMs - this.#chosenAt)
    this.#leaveCache()
    this.#flush()
  }

  /** The client took everything that was written. */
  clientDrained(): void {
    if (this.phase === PHASE.flushing) this.#finish()
    else if (this.#isPaused) {
      this.#isPaused = false
      this.#armBody()
      this.#upstream?.resume()
    }
  }

  /** The client is gone or is cut off; what remains is let go. */
  abandon(end: number, after: After = AFTER.nothing): void {
    if (this.phase === PHASE.done) return
    if (this.phase === PHASE.head) {
      this.#discard()
      return
    }
    this.#dropUpstream()
    this.#after = after
    this.record.end = end
    this.#finish()
  }

  onConnected(): void {
    const now = this.#lane.nowMs
    this.record.connectUs = micros(now - this.#sentAt)
    this.#send(now)
  }

  onConnectFailed(code: string): void {
    if (isShortage(code)) {
      this.#lackOwn(code)
      return
    }
    const isUnreachable = UNREACHABLE.includes(code)
    const row = this.#row
    const { counters } = this.#lane
    if (code === 'ECONNREFUSED') counters.addServer(row + SERVER.connectRefused, 1)
    else if (isUnreachable) counters.addServer(row + SERVER.connectUnreachable, 1)
    else if (code === 'ETIMEDOUT') counters.addServer(row + SERVER.connectTimeouts, 1)
    else counters.addServer(row + SERVER.connectFailed, 1)
    if (code === 'ETIMEDOUT') this.#failAttempt(RETRY.connectTimeout)
    else this.#failAttempt(code === 'ECONNREFUSED' ? RETRY.refused : RETRY.unreachable)
  }

  onAnswerBytes(bytes: Buffer, from: number, end: number): boolean {
    this.#lane.counters.addServer(this.#row + SERVER.bytesIn, end - from)
    if (this.phase === PHASE.waiting) return this.#onHeadBytes(bytes, end)
    if (this.phase === PHASE.body) {
      this.#armBody()
      this.#relay(bytes, from, from, end)
    }
    return false
  }

  onAnswerEnd(code: string): void {
    const upstream = this.#upstream
    if (upstream === undefined) return
    const isStale = this.phase === PHASE.waiting && upstream.isReused && !this.#hasAnswerBytes
    if (isStale && !this.#isStaleRetried) {
      this.#isStaleRetried = true
      const { counters } = this.#lane
      counters.add(GLOBAL.staleConnections, 1)
      counters.addServer(this.#row + SERVER.staleConnections, 1)
      this.#connect(this.#cache!)
      return
    }
    if (this.phase === PHASE.body) {
      if (this.#framing === FRAMING.close && code === '') this.#answerComplete(false)
      else {
        this.#lane.counters.addServer(this.#row + SERVER.cuts, 1)
        this.#cut(END.cacheCut)
      }
      return
    }
    this.#lane.counters.addServer(this.#row + SERVER.resets, 1)
    this.#failAttempt(RETRY.reset)
  }

  onDeadline(): void {
    const { counters } = this.#lane
    if (this.phase === PHASE.connecting) {
      counters.addServer(this.#row + SERVER.connectTimeouts, 1)
      this.#failAttempt(RETRY.connectTimeout)
    } else if (this.phase === PHASE.waiting) {
      counters.addServer(this.#row + SERVER.firstByteTimeouts, 1)
      this.#failAttempt(RETRY.firstByteTimeout)
    } else if (this.phase === PHASE.body) {
      counters.addServer(this.#row + SERVER.bodyTimeouts, 1)
      this.#cut(END.timedOut)
    }
  }

  /** The whole photo took too long, whoever is to blame. */
  photoLate(): void {
    if (this.phase === PHASE.connecting || this.phase === PHASE.waiting) {
      this.#lane.counters.addServer(this.#row + SERVER.firstByteTimeouts, 1)
      this.cacheFailed()
      this.#dropUpstream()
      this.#giveUp(ANSWER.gatewayTimeout, END.cacheFailed)
    } else if (this.phase === PHASE.body || this.phase === PHASE.flushing) {
      const isCacheSlow = this.phase === PHASE.body && !this.#isPaused
      if (isCacheSlow) this.#lane.counters.addServer(this.#row + SERVER.bodyTimeouts, 1)
      this.#cut(END.timedOut, isCacheSlow)
    } else if (this.phase === PHASE.elsewhere) this.client.photoLate()
  }

  get #row(): number {
    return this.#cache?.row ?? 0
  }

  /** The index of the cache to ask next, with its rank and reason noted; -1: none is left. */
  #choose(): number {
    const group = this.#group!
    const { chooser, pool } = group
    const { record } = this
    // Others used the chooser since the first attempt.
    if (record.attempts > 0) group.locate(this.bytes, this.head, this.#user)
    this.#isTrial = false
    this.#sawFull = false
    record.slot = chooser.slot
    let place = record.attempts === 0 ? chooser.first() : chooser.next(this.#isPassedBy)
    if (place < 0) return this.#chooseSuspect()
    const cache = pool.caches[place]
    if (cache === undefined) return -1
    if (record.attempts === 0 && (cache.isFull || cache.suspicion.isSuspect)) {
      place = chooser.next(this.#isPassedBy)
      if (place < 0) place = this.#chooseSuspect()
    }
    if (place >= 0) this.#noteChoice(place)
    return place
  }

  /** Nobody better is left: a suspect one may still answer. */
  #chooseSuspect(): number {
    const place = this.#group!.chooser.next(this.#isTriedOrFull)
    if (place >= 0) this.#noteChoice(place)
    return place
  }

  #noteChoice(place: number): void {
    const { chooser, pool } = this.#group!
    const { record } = this
    const { home } = chooser
    record.rank = chooser.rank
    record.fallback = FALLBACK.none
    if (home === place || home < 0) return
    const homeCache = pool.caches[home]
    if (record.attempts > 0) record.fallback = FALLBACK.retry
    else if (homeCache?.isDrained === true) record.fallback = FALLBACK.drained
    else if (homeCache?.isUp !== true) record.fallback = FALLBACK.homeDown
    else if (chooser.isNotBackYet(home)) record.fallback = FALLBACK.returning
    else if (homeCache.suspicion.isSuspect) record.fallback = FALLBACK.suspect
    else if (!chooser.isUsableHere(home)) record.fallback = FALLBACK.weight
    else record.fallback = FALLBACK.full
    const { counters } = this.#lane
    if (record.attempts === 0 && homeCache !== undefined) {
      counters.addServer(homeCache.row + SERVER.fallbackOut, 1)
      counters.addServer((pool.caches[place]?.row ?? 0) + SERVER.fallbackIn, 1)
    }
  }

  #isTried(place: number): boolean {
    for (let i = 0; i < this.#triedCount; i++) if (this.#tried[i] === place) return true
    return false
  }

  readonly #isTriedOrFull = (place: number): boolean =>
    this.#isTried(place) || this.#group?.pool.caches[place]?.isFull !== false

  readonly #isPassedBy = (place: number): boolean => {
    if (this.#isTried(place)) return true
    const cache = this.#group?.pool.caches[place]
    if (cache === undefined) return true
    if (cache.isFull) {
      this.#sawFull = true
      this.#lane.counters.addServer(cache.row + SERVER.full, 1)
      return true
    }
    if (!cache.suspicion.isSuspect) return false
    if (cache.hasPortCheck || this.record.attempts > 0 || !cache.suspicion.takeTrial()) return true
    this.#isTrial = true
    this.#lane.counters.add(GLOBAL.trials, 1)
    this.#lane.counters.addServer(cache.row + SERVER.trials, 1)
    return false
  }

  #enter(place: number): Cache {
    const cache = this.#group!.pool.caches[place]!
    this.#cache = cache
    this.#tried[this.#triedCount++] = place
    cache.active++
    const { counters } = this.#lane
    counters.addServer(cache.row + SERVER.requests, 1)
    counters.addServer(cache.row + SERVER.active, 1)
    this.record.attempts++
    this.record.cache = cache.logName
    return cache
  }

  #attempt(place: number): void {
    const cache = this.#enter(place)
    const upstream = cache.takeIdle(this)
    if (upstream === undefined) {
      this.#connect(cache)
      return
    }
    this.#upstream = upstream
    this.record.connectUs = -1
    this.#send(this.#lane.nowMs)
  }

  #connect(cache: Cache): void {
    const group = this.#group!
    this.phase = PHASE.connecting
    this.#sentAt = this.#lane.nowMs
    this.#arm(this.#sentAt + group.timeouts.connectMs)
    this.#upstream = cache.open(this)
  }

  #send(now: number): void {
    const group = this.#group!
    const upstream = this.#upstream!
    const { scratch } = this.#lane
    const cache = this.#cache!
    let buffer = scratch
    let end = this.#writeHead(buffer, cache)
    if (end < 0) {
      buffer = Buffer.allocUnsafeSlow(2 * this.bytes.length + LARGEST_ADDITION_BYTES)
      end = this.#writeHead(buffer, cache)
    }
    this.phase = PHASE.waiting
    this.#sentAt = now
    this.#hasAnswerBytes = false
    this.#interims = 0
    this.#answer.setLimits(this.client.listener.headLimits)
    this.#answer.reset(HEAD_ROOM_BYTES, this.head.method)
    this.#arm(now + group.timeouts.firstByteMs)
    upstream.readsAll = !this.client.canTake
    upstream.write(buffer, 0, end)
    this.#lane.counters.addServer(cache.row + SERVER.bytesOut, end)
  }

  /** True while the head is incomplete. */
  #onHeadBytes(bytes: Buffer, end: number): boolean {
    const answer = this.#answer
    this.#hasAnswerBytes = true
    for (;;) {
      const status = answer.parse(bytes, end)
      if (status === PARSE.incomplete) return true
      if (status === PARSE.complete && !answer.isInterim) {
        this.#onFinalHead(bytes, end)
        return false
      }
      this.#interims++
      if (status === PARSE.refused || this.#interims > MOST_INTERIMS) {
        this.#badHead()
        return false
      }
      if (this.head.versionMinor === 1) this.#relayInterim(bytes)
      if (this.phase !== PHASE.waiting) return false
      answer.reset(answer.end, this.head.method)
    }
  }

  #badHead(): void {
    this.#lane.counters.addServer(this.#row + SERVER.badHeads, 1)
    this.#failAttempt(RETRY.badHead)
  }

  #relayInterim(bytes: Buffer): void {
    const group = this.#group!
    const context = group.responseContext
    context.framing = FRAMING.none
    context.connection = CONNECTION.silent
    const answer = this.#answer
    const out = Buffer.allocUnsafeSlow(answer.end - answer.start + LARGEST_ADDITION_BYTES)
    const end = writeResponseHead(out, 0, answer, bytes, context)
    this.#lane.counters.add(GLOBAL.responses1xx, 1)
    this.client.write(out, 0, end)
  }

  #onFinalHead(bytes: Buffer, end: number): void {
    const group = this.#group!
    const cache = this.#cache!
    const answer = this.#answer
    const { record } = this
    const { counters } = this.#lane
    const isUnframed = answer.framing === FRAMING.close
    if (isUnframed && group.pool.isFramingRequired) {
      this.#badHead()
      return
    }
    const now = this.#lane.nowMs
    this.#noteAnswer(cache, answer.status, now - this.#sentAt)
    if (group.retriesOn(answer.status) && this.#retryInstead()) return
    if (isUnframed) counters.add(GLOBAL.unframed, 1)

    this.#disarm()
    const framing =
      answer.framing === FRAMING.chunked && this.head.versionMinor === 0
        ? FRAMING.close
        : answer.framing
    this.#framing = answer.framing
    const keeps = framing !== FRAMING.close && this.client.mayKeep(this.head.isKeepAlive, now)
    this.#after = keeps ? AFTER.keep : AFTER.close
    const context = group.responseContext
    context.framing = framing
    context.connection = keeps
      ? this.head.versionMinor === 0
        ? CONNECTION.keepAlive
        : CONNECTION.silent
      : CONNECTION.close
    record.status = answer.status
    this.phase = PHASE.body
    this.#remaining = answer.framing === FRAMING.length ? answer.contentLength : Infinity
    if (answer.framing === FRAMING.length) {
      this.#lane.landing.note(answer.end - answer.start + answer.contentLength)
    }
    // Where an end must be looked for, or none is known, the bytes must be seen.
    if (answer.framing !== FRAMING.length && this.#upstream !== undefined) {
      this.#upstream.readsAll = true
    }
    if (answer.framing === FRAMING.none) this.#remaining = 0
    if (answer.framing === FRAMING.chunked) this.#chunked.reset(CHUNKED_MODE.data)

    let start = rewriteResponseHead(bytes, 0, answer, context)
    if (start < 0) {
      const out = Buffer.allocUnsafeSlow(
        answer.end + group.responseContext.rules.lines.length + LARGEST_ADDITION_BYTES,
      )
      const headEnd = writeResponseHead(out, 0, answer, bytes, context)
      if (this.client.write(out, 0, headEnd) === WRITE.failed) return
      start = answer.end
    }
    this.#armBody()
    this.#relay(bytes, start, answer.end, end)
  }

  #noteAnswer(cache: Cache, status: number, firstByteMs: number): void {
    const { record } = this
    const { counters } = this.#lane
    cache.noteSuccess(this.#isTrial)
    this.#isTrial = false
    record.firstByteUs = micros(firstByteMs)
    record.upstreamStatus = status
    counters.countFirstByte(cache.row, record.firstByteUs)
    const statusClass = Math.trunc(status / 100)
    if (statusClass >= 2 && statusClass <= 5) {
      counters.addServer(cache.row + SERVER.responses2xx - 2 + statusClass, 1)
    }
  }

  /** Passes on a head that begins at `start` (or nothing) and the body from `from` to `end`. */
  #relay(bytes: Buffer, start: number, from: number, end: number): void {
    if (this.#framing === FRAMING.chunked) {
      this.#relayChunked(bytes, start, from, end)
      return
    }
    const length = Math.min(end - from, this.#remaining)
    this.#remaining -= length
    this.record.bodyBytes += length
    const { client } = this
    const upstream = this.#upstream
    const passesOn = this.#remaining > 0 && upstream?.isReadFull === true && !upstream.readsAll
    const outcome = client.write(bytes, start, from + length, passesOn)
    if (outcome === WRITE.failed) return
    if (this.#remaining === 0) this.#readComplete(from + length === end)
    else if (outcome === WRITE.waits) this.#pause()
    else if (passesOn && !this.#passOn(upstream)) client.push()
  }

  /** What came beyond the read goes from socket to socket, as far as it is taken; false: nothing. */
  #passOn(upstream: UpstreamConnection): boolean {
    const { client } = this
    for (let i = 0; i < MOST_PASSES; i++) {
      const taken = upstream.passOn(client, this.#remaining)
      if (taken <= 0) return i > 0 || taken < 0
      const length = Math.min(taken, this.#remaining)
      this.#lane.counters.addServer(this.#row + SERVER.bytesIn, length)
      this.#remaining -= length
      this.record.bodyBytes += length
      if (this.#remaining === 0) {
        this.#framedAnswerComplete(taken === length)
        return true
      }
      if (client.pendingBytes > 0) {
        this.#pause()
        return true
      }
    }
    return true
  }

  /** Chunks are taken apart and framed anew: extensions and trailers end here. */
  #relayChunked(bytes: Buffer, start: number, from: number, end: number): void {
    const decoder = this.#chunked
    const { scratch } = this.#lane
    const headLength = from - start
    const isChunked = this.head.versionMinor === 1
    const most = headLength + (end - from) + CHUNK_FRAME_BYTES
    const out = most <= scratch.length ? scratch : Buffer.allocUnsafeSlow(most)
    const dataStart = headLength + (isChunked ? CHUNK_SIZE_BYTES + CHUNK_END.length : 0)
    let at = dataStart
    decoder.feed(bytes, from, end)
    while (decoder.next()) at += bytes.copy(out, at, decoder.rangeStart, decoder.rangeEnd)
    const length = at - dataStart
    let first = dataStart
    if (isChunked && length > 0) {
      // The size line is written at the front first, to know how long it is.
      const sizeLength = writeChunkSize(out, 0, length)
      first -= sizeLength
      out.copyWithin(first, 0, sizeLength)
      at = put(out, at, CHUNK_END)
    }
    if (isChunked && decoder.isDone) at = put(out, at, LAST_CHUNK)
    first -= headLength
    bytes.copy(out, first, start, from)
    this.record.bodyBytes += length
    const outcome = at > first ? this.client.write(out, first, at) : WRITE.done
    if (outcome === WRITE.failed) return
    if (decoder.isBroken) {
      this.#lane.counters.addServer(this.#row + SERVER.cuts, 1)
      this.#cut(END.cacheCut)
    } else if (decoder.isDone) this.#readComplete(decoder.position === end)
    else if (outcome === WRITE.waits) this.#pause()
  }

  /** The cache is read on when the client has taken what came: no more than one read waits. */
  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#disarm()
    this.#upstream?.pause()
  }

  /** Starts the wait for the body's next bytes, unless we are the ones who do not read. */
  #armBody(): void {
    if (this.#isPaused) return
    this.#arm(this.#lane.nowMs + this.#group!.timeouts.betweenBytesMs)
  }

  /** The answer ended in what was read, and there with it or not. */
  #readComplete(isAtEnd: boolean): void {
    this.#framedAnswerComplete(isAtEnd && this.#upstream?.hasUnread() !== true)
  }

  #framedAnswerComplete(isClean: boolean): void {
    if (!isClean) this.#lane.countStrayBytes()
    this.#answerComplete(isClean)
  }

  /** The cache's answer is whole. */
  #answerComplete(isClean: boolean): void {
    this.#disarm()
    const upstream = this.#upstream
    this.#upstream = undefined
    this.record.upstreamUs = micros(this.#lane.nowMs - this.#chosenAt)
    this.#leaveCache()
    // The last bytes may come in spite of a pause; whom it serves next waits for its answer.
    if (this.#isPaused) upstream?.resume()
    if (isClean && this.#answer.isKeepAlive) upstream?.release()
    else upstream?.destroy()
    this.#flush()
  }

  #flush(): void {
    if (this.client.pendingBytes === 0) this.#finish()
    else this.phase = PHASE.flushing
  }

  /** Nothing of the answer is out yet: ask the next rank, or say why not. */
  #failAttempt(reason: number): void {
    this.cacheFailed()
    this.#dropUpstream()
    if (this.#retry(reason)) return
    if (this.phase === PHASE.done) return
    const isLate = reason === RETRY.connectTimeout || reason === RETRY.firstByteTimeout
    this.#giveUp(isLate ? ANSWER.gatewayTimeout : ANSWER.badGateway, END.cacheFailed)
  }

  /** The cache was not even asked: it gets no mark for it, and no suspicion. */
  #lackOwn(code: ShortageCode): void {
    const { pool, name } = this.#cache!
    this.#lane.onShortage(code, pool, name)
    this.#dropUpstream()
    // What lacks towards this cache alone need not cost the client its photo.
    if (isTowardsOneServer(code) && this.#retry(RETRY.unreachable)) return
    this.#giveUp(ANSWER.outOfResources, END.busy)
  }

  /** A status in `retryOn`: true if the next rank was asked in its place. */
  #retryInstead(): boolean {
    if (this.record.attempts >= MOST_ATTEMPTS) return false
    const { rank, fallback } = this.record
    const place = this.#choose()
    if (place < 0 || !this.#isWithinBudget()) {
      this.record.rank = rank
      this.record.fallback = fallback
      return false
    }
    this.#dropUpstream()
    this.#again(RETRY.status, place)
    return true
  }

  #retry(reason: number): boolean {
    if (this.record.attempts >= MOST_ATTEMPTS) return false
    const place = this.#choose()
    if (place < 0) return false
    if (!this.#isWithinBudget()) {
      this.#giveUp(ANSWER.overBudget, END.busy)
      return true
    }
    this.#again(reason, place)
    return true
  }

  #isWithinBudget(): boolean {
    if (this.#group?.pool.budget.spend(this.#lane.nowMs) === true) return true
    this.#lane.counters.add(GLOBAL.retryBudgetExhausted, 1)
    return false
  }

  #again(reason: number, place: number): void {
    this.record.addRetry(reason)
    this.#lane.counters.add(GLOBAL.retries + reason, 1)
    this.record.upstreamStatus = 0
    this.record.firstByteUs = -1
    this.#isStaleRetried = false
    this.#attempt(place)
  }

  #giveUp(answer: OwnAnswer, end: number): void {
    this.#disarm()
    this.phase = PHASE.elsewhere
    this.client.answer(this, answer, end)
  }

  /** The body can't be finished: the client must see that. */
  #cut(end: number, isByCache = true): void {
    if (isByCache) this.cacheFailed()
    this.#dropUpstream()
    this.record.end = end
    const isShownByFraming =
      this.#framing === FRAMING.length ||
      (this.#framing === FRAMING.chunked && this.head.versionMinor === 1)
    this.#after = isShownByFraming ? AFTER.cut : AFTER.reset
    this.#finish()
  }

  #dropUpstream(): void {
    this.#disarm()
    const upstream = this.#upstream
    if (this.#cache !== undefined) {
      this.record.upstreamUs = micros(this.#lane.nowMs - this.#chosenAt)
    }
    this.#upstream = undefined
    this.#leaveCache()
    upstream?.destroy()
  }

  #leaveCache(): void {
    const cache = this.#cache
    if (cache === undefined) return
    this.#cache = undefined
    // A trial that ended without telling anything.
    if (this.#isTrial) cache.suspicion.dropTrial()
    this.#isTrial = false
    cache.active--
    this.#lane.counters.addServer(cache.row + SERVER.active, -1)
  }

  #finish(): void {
    if (this.phase === PHASE.done) return
    this.#disarm()
    if (this.#photoDeadline !== NO_PLACE) {
      this.#photoDeadline = this.#lane.deadlines.close(this.#photoDeadline)
    }
    this.phase = PHASE.done
    const { record, head } = this
    const { counters } = this.#lane
    record.durationUs = micros(this.#lane.nowMs - this.#startedAt)
    counters.add(GLOBAL.requestsActive, -1)
    counters.add(GLOBAL.ends + record.end, 1)
    counters.add(GLOBAL.fallbacks + record.fallback, 1)
    counters.countDuration(record.durationUs)
    if (record.status > 0) counters.countStatus(record.status)
    record.head = this.bytes
    record.methodStart = head.methodStart
    record.methodEnd = Math.max(head.methodStart, head.methodEnd)
    record.targetStart = head.targetStart
    record.targetEnd = Math.max(head.targetStart, head.targetEnd)
    // A head that was refused half-way has the last one's, which are not its own.
    if (head.length > 0) {
      record.hostStart = head.hostStart
      record.hostEnd = head.hostEnd
      record.versionMinor = head.versionMinor
    } else record.targetEnd = this.#targetAsCame()
    this.#noteRequestId()
    this.#noteFields()
    this.#lane.log(record)
    const { client } = this
    client.exchangeDone(this, this.#after)
    if (record.fallback === FALLBACK.returning && this.#group?.config.warm === true) this.#warm()
    this.#recycle()
  }

  /** Repeats what a client has got to the home that this user is not back at, so that it fills. */
  #warm(): void {
    const { record, head, bytes } = this
    const group = this.#group!
    const isWhole = record.end === END.complete && record.status === 200
    // A HEAD fills some caches only, a body is sent once, and only whole photos are worth keeping.
    if (!isWhole || head.method !== METHODS.GET || head.hasBody) return
    // Others used the chooser since the choice.
    group.locate(bytes, head, this.#user)
    const { home } = group.chooser
    const cache = group.chooser.isNotBackYet(home) ? group.pool.caches[home] : undefined
    const target = bytes.subarray(head.targetStart, head.targetEnd)
    const warmer = cache?.warmerFor(murmur3(target, target.length, 0))
    if (cache === undefined || warmer === undefined) return
    const { lines } = group.requestContext.rules
    const out = Buffer.allocUnsafeSlow(3 * head.length + lines.length + LARGEST_ADDITION_BYTES)
    const end = put(out, this.#writeHead(out, cache) - CRLF_BYTES, CLOSE_LINES)
    warmer.send(out.subarray(0, end))
  }

  #writeHead(out: Buffer, cache: Cache): number {
    const context = this.#group!.requestContext
    context.peer = this.client.peer
    context.requestId = this.requestId
    context.serverHost = cache.hostField
    return writeRequestHead(out, 0, this.head, this.bytes, context)
  }

  /** The client left within its head: that is no request. */
  #discard(): void {
    this.phase = PHASE.done
    this.#lane.counters.add(GLOBAL.requestsActive, -1)
    this.client.exchangeDone(this, AFTER.nothing)
    this.#recycle()
  }

  #arm(at: number): void {
    this.#lane.deadlines.arm(this.#deadline, at)
  }

  #disarm(): void {
    this.#lane.deadlines.disarm(this.#deadline)
  }

  #recycle(): void {
    this.#client = undefined
    this.#group = undefined
    this.bytes = this.#ownBytes
    this.#lane.giveExchange(this)
  }

  /** Where the target of a refused head ends, as far as it came. */
  #targetAsCame(): number {
    const { bytes, filled } = this
    let end = this.head.targetStart
    if (end === 0) return 0
    while (end < filled && (bytes[end] ?? 0) > SPACE) end++
    return end
  }

  /** The id that the cache was told: a trusted peer's own, else ours. */
  #noteRequestId(): void {
    const { record, head } = this
    if (record.attempts === 0) return
    const kept = this.client.peer.isTrusted ? head.indexOf(FIELD.xRequestId) * FIELD_STRIDE : -1
    const start = kept < 0 ? 0 : (head.fields[kept + 2] ?? 0)
    const end = kept < 0 ? 0 : (head.fields[kept + 3] ?? 0)
    record.requestId = start < end ? this.bytes : this.requestId
    record.requestIdStart = start
    record.requestIdEnd = start < end ? end : this.requestId.length
  }

  /** The first where a field is repeated, as nginx logs it. */
  #noteFields(): void {
    const { record } = this
    const { fields, fieldCount } = this.head
    for (let at = 0, last = fieldCount * FIELD_STRIDE; at < last; at += FIELD_STRIDE) {
      const id = fields[at + 4]
      if (id === FIELD.userAgent && record.userAgentEnd === 0) {
        record.userAgentStart = fields[at + 2] ?? 0
        record.userAgentEnd = fields[at + 3] ?? 0
      } else if (id === FIELD.referer && record.refererEnd === 0) {
        record.refererStart = fields[at + 2] ?? 0
        record.refererEnd = fields[at + 3] ?? 0
      }
    }
  }

  #grow(filled: number): void {
    const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(filled)))
    this.bytes.copy(larger, 0, 0, this.filled)
    this.bytes = larger
  }
}

/** The deadline of the whole photo, beside the one of its present step. */
class PhotoLimit implements DeadlineOwner {
  readonly #exchange: Exchange

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  onDeadline(): void {
    this.#exchange.photoLate()
  }
}

const micros = (ms: number): number => Math.round(ms * 1000)

const SMALLEST_LIMITS = { targetBytes: 8192, headBytes: 32_768, fields: 200 }
const BYTES_AT_FIRST = 4096
const LARGEST_ADDITION_BYTES = 4096
const CHUNK_FRAME_BYTES = CHUNK_SIZE_BYTES + 2 * CHUNK_END.length + LAST_CHUNK.length
const CRLF_BYTES = 2
const CLOSE_LINES = encodeText('Connection: close\r\n\r\n')
const MOST_INTERIMS = 16
/** Then others have their turn: a read comes first again. */
const MOST_PASSES = 4
const MOST_ATTEMPTS = 3
const UNREACHABLE = ['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN']
