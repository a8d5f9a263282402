/**
 * What is known of one exchange when it ends: the access log's line and nothing else is made of it.
 * One object serves one client connection for its life: `reset` it when a head begins, fill it as
 * the exchange goes, hand it to the log once. Nothing here is allocated per request.
 */

/** How an exchange ended, as the log says it; the index is what `AccessRecord.end` holds. */
export const END_WORDS = [
  'complete',
  'refused',
  'own answer',
  'no cache',
  'busy',
  'cache failed',
  'cache cut',
  'timed out',
  'client gone',
  'client slow',
  'stopped',
] as const

/** Indices into `END_WORDS`. */
export const END = {
  /** The whole answer of a cache went out. */
  complete: 0,
  /** The request was refused (400, 405, 414, …): `AccessRecord.status` says with what. */
  refused: 1,
  /** The router answered by itself: health path, redirect, respond, no route, no user. */
  ownAnswer: 2,
  /** 503: no cache is up. */
  noCache: 3,
  /**
   * 503: every cache full, the retry budget spent, the listener over `maxConnections`, or the
   * router out of descriptors, ports or memory.
   */
  busy: 4,
  /** 502 or 504: every attempt failed before its first byte. */
  cacheFailed: 5,
  /** The cache ended the body short. */
  cacheCut: 6,
  /** The body stalled, or the photo took longer than its limit. */
  timedOut: 7,
  /** The client closed or reset its connection. */
  clientGone: 8,
  /** The client took nothing for the listener's send limit. */
  clientSlow: 9,
  /** Cut at the deadline of a stop. */
  stopped: 10,
} as const

/** Why the answer is not from the user's home; index 0 means it is. */
export const FALLBACK_WORDS = [
  '',
  'home down',
  'drained',
  'suspect',
  'full',
  'retry',
  'returning',
  'weight',
] as const

/** Indices into `FALLBACK_WORDS`. */
export const FALLBACK = {
  none: 0,
  homeDown: 1,
  drained: 2,
  suspect: 3,
  full: 4,
  retry: 5,
  /** Home takes its users back in steps, and this one's turn has not come. */
  returning: 6,
  /** Home is up, for a part of its users that this one does not belong to. */
  weight: 7,
} as const

/** Why an attempt failed and the next rank was asked; index 0 is no retry. */
export const RETRY_WORDS = [
  '',
  'refused',
  'unreachable',
  'connect timeout',
  'first-byte timeout',
  'reset',
  'bad head',
  'status',
] as const

/** Indices into `RETRY_WORDS`. */
export const RETRY = {
  refused: 1,
  unreachable: 2,
  connectTimeout: 3,
  firstByteTimeout: 4,
  reset: 5,
  badHead: 6,
  status: 7,
} as const

/** Which lane served; index 0: none (refused, or answered before one was chosen). */
export const LANE_WORDS = ['', 'fast', 'general'] as const

/** Indices into `LANE_WORDS`. */
export const LANE = { none: 0, fast: 1, general: 2 } as const

const NO_BYTES = new Uint8Array(0)

/** Part of a line that stays the same while the connection does; its formatter fills it. */
export class ConnectionText {
  text: Uint8Array = NO_BYTES
  #client: Uint8Array = NO_BYTES
  #clientPort = -1
  #listener: Uint8Array = NO_BYTES
  #tlsCipher: Uint8Array = NO_BYTES

  /** Whether `text` is for another connection than the record's; then it is taken to be made anew. */
  isStale(record: AccessRecord): boolean {
    if (
      this.#client === record.client &&
      this.#clientPort === record.clientPort &&
      this.#listener === record.listener &&
      this.#tlsCipher === record.tlsCipher
    ) {
      return false
    }
    this.#client = record.client
    this.#clientPort = record.clientPort
    this.#listener = record.listener
    this.#tlsCipher = record.tlsCipher
    return true
  }
}

export class AccessRecord {
  // Of the connection: set once, kept by reset(). The arrays must not change under the record: set
  // another one instead.

  /** The client's address as text (`192.0.2.7`, `2001:db8::1`), ASCII bytes. */
  client: Uint8Array = NO_BYTES
  clientPort = 0
  /** The listener's name, made by `logText`. */
  listener: Uint8Array = NO_BYTES
  /** `TLSv1.3`, made by `logText`; empty: plain HTTP. */
  tlsProtocol: Uint8Array = NO_BYTES
  /** `TLS_AES_128_GCM_SHA256`, made by `logText`. */
  tlsCipher: Uint8Array = NO_BYTES

  /** The formatter's own: the part of the line that is the connection's. One for each connection. */
  connection = new ConnectionText()

  // Of the request. Bytes are start and end offsets into `head`; both 0: none.

  /** Wall clock, milliseconds since 1970, at the head's first byte. */
  startMs = 0
  /** Must keep its bytes until the record is logged. */
  head: Uint8Array = NO_BYTES
  methodStart = 0
  methodEnd = 0
  targetStart = 0
  targetEnd = 0
  hostStart = 0
  hostEnd = 0
  refererStart = 0
  refererEnd = 0
  userAgentStart = 0
  userAgentEnd = 0
  /** 0 or 1; -1 while unknown. */
  versionMinor = -1
  /** The id sent as X-Request-Id: its bytes, in `head` when a trusted peer sent it. */
  requestId: Uint8Array = NO_BYTES
  requestIdStart = 0
  requestIdEnd = 0

  // Of the answer.

  /** What the client got; 0: nothing. */
  status = 0
  /** Of the answer's body, as sent to the client. */
  bodyBytes = 0
  /** From the head's first byte to the answer's last one (or the cut), microseconds. */
  durationUs = 0

  // Of the way there.

  /** Group's name, made by `logText`; empty: none matched. */
  group: Uint8Array = NO_BYTES
  /** The user's slot; -1: no user. */
  slot = -1
  /** Name of the cache that answered, or was tried last, made by `logText`; empty: none. */
  cache: Uint8Array = NO_BYTES
  /** Its place in the user's order, 0 is home; -1: no cache. */
  rank = -1
  /** Index into `FALLBACK_WORDS`. */
  fallback = 0
  /** Attempts begun, the first one included; a stale connection's repetition is none. */
  attempts = 0
  /** Reasons of the retries in order, four bits each, first in the lowest: see `addRetry`. */
  retries = 0
  /** To a new upstream connection, microseconds, of the last attempt; -1: a kept one. */
  connectUs = -1
  /** From the request's last byte sent to the first of the final status line; -1: none came. */
  firstByteUs = -1
  /** From choosing the first cache to the answer's last byte from it; -1: no cache asked. */
  upstreamUs = -1
  /** The cache's own status; 0: none. */
  upstreamStatus = 0
  /** Index into `END_WORDS`. */
  end = 0
  /** Index into `LANE_WORDS`. */
  lane = 0

  /** Forgets the last exchange; what belongs to the connection stays. */
  reset(startMs: number): void {
    this.startMs = startMs
    this.head = NO_BYTES
    this.methodStart = 0
    this.methodEnd = 0
    this.targetStart = 0
    this.targetEnd = 0
    this.hostStart = 0
    this.hostEnd = 0
    this.refererStart = 0
    this.refererEnd = 0
    this.userAgentStart = 0
    this.userAgentEnd = 0
    this.versionMinor = -1
    this.requestIdStart = 0
    this.requestIdEnd = 0
    this.status = 0
    this.bodyBytes = 0
    this.durationUs = 0
    this.group = NO_BYTES
    this.slot = -1
    this.cache = NO_BYTES
    this.rank = -1
    this.fallback = 0
    this.attempts = 0
    this.retries = 0
    this.connectUs = -1
    this.firstByteUs = -1
    this.upstreamUs = -1
    this.upstreamStatus = 0
    this.end = 0
    this.lane = 0
  }

  /** Notes why the attempt just made failed (an index into `RETRY_WORDS`); seven are kept. */
  addRetry(reason: number): void {
    let shift = 0
    while (shift < 28 && ((this.retries >>> shift) & 15) !== 0) shift += 4
    if (shift < 28) this.retries |= reason << shift
  }
}

/**
 * A name's bytes as a record takes them: ASCII, and nothing that a log line would have to escape
 * (what would be is replaced by `_`; names in a checked configuration hold none). Make it once per
 * name, not per request.
 */
export function logText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const isPlain = code > 0x20 && code < 0x7f && code !== 0x22 && code !== 0x5c
    bytes[i] = isPlain ? code : 0x5f
  }
  return bytes
}
