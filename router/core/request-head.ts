import { CR, IS_TOKEN, LF, LOWER, SPACE, encodeText, spells } from './ascii.ts'
import { splitAuthority } from './authority.ts'
import { CODING, ConnectionOptions, contentLengthOf, transferCoding } from './field-meaning.ts'
import { FIELD } from './field-names.ts'
import { FIELD_STRIDE, FieldSection, PARSE, STATE } from './field-section.ts'
import type { ParseStatus } from './field-section.ts'
import { LONGEST_METHOD, METHODS, methodOf } from './methods.ts'
import { REFUSAL } from './refusal.ts'

const QUESTION_MARK = 63
const SLASH = 47
const ASTERISK = 42

/** 1: ends the path; 2: must not be in a target. Bytes above 127 pass, as they do in nginx. */
const STOPS_PATH = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === SPACE || byte === QUESTION_MARK) return 1
  return byte < SPACE || byte === 127 || byte === 35 ? 2 : 0
})
const STOPS_QUERY = Uint8Array.from(STOPS_PATH, (stop, byte) => (byte === QUESTION_MARK ? 0 : stop))

const HTTP_SLASH = encodeText('HTTP/0.0')
const HTTP_SCHEME = encodeText('http://')
const HTTPS_SCHEME = encodeText('https://')
const CONTINUE = encodeText('100-continue')

/**
 * One request head (RFC 9112 sections 2 to 6, stricter where smuggling lives), read once, in any
 * number of pieces. Reused from request to request: `reset`, then `parse` until it says complete
 * or refused. The head begins at byte 0. Everything is offsets into the bytes; nothing is copied.
 */
export class RequestHead extends FieldSection {
  /** Bytes of the whole head, an empty line before it and the one after it included. */
  length = 0
  /** One of `METHODS`. */
  method: number = METHODS.none
  methodStart = 0
  methodEnd = 0
  /** Offset after the request line's CRLF. */
  lineEnd = 0
  /** 0 or 1: a higher minor version is served as 1.1. */
  versionMinor = 0
  /**
   * The target in origin-form, always beginning with `/` (of an absolute-form the part after the
   * authority), or `*`.
   */
  targetStart = 0
  targetEnd = 0
  /** The `?`, or `targetEnd`. */
  pathEnd = 0
  /** `OPTIONS *`. */
  isAsterisk = false
  /** The target came in absolute-form: the request line is not to be forwarded as it is. */
  isAbsolute = false
  /** Host's value byte for byte, else the authority of an absolute-form; equal when neither is there. */
  hostStart = 0
  hostEnd = 0
  /** The host without port and without a last dot, for routing: compare in lower case. */
  hostKeyStart = 0
  hostKeyEnd = 0
  /** Whether `hostStart` is a Host field's value. */
  hasHostField = false
  /** -1 when there is none. */
  contentLength = -1
  isChunked = false
  /** A body follows: Content-Length above 0, or chunked. */
  hasBody = false
  /** What the client wants: its connection stays open after the answer. */
  isKeepAlive = false
  /** An HTTP/1.1 request with a body waits for `100 Continue`. */
  expectsContinue = false
  /** An Upgrade that Connection names; the request is served without it. */
  isConnectUpgrade = false

  private authorityStart = 0
  private authorityEnd = 0
  private isHttps = false
  private readonly connection = new ConnectionOptions()

  /** Forgets the head, for the next one. */
  reset(): void {
    this.state = STATE.begin
    this.position = 0
    this.fieldCount = 0
    this.length = 0
    this.method = METHODS.none
    this.methodStart = 0
    this.methodEnd = 0
    this.targetStart = 0
    this.targetEnd = 0
    this.pathEnd = 0
  }

  /**
   * Reads on to `end` (exclusive), from where the last call stopped; the bytes before that must
   * be unchanged. An absolute-form without a path gets its `/` in place, at completion.
   */
  parse(bytes: Uint8Array, end: number): ParseStatus {
    const limit = this.limits.headBytes
    const until = end < limit ? end : limit
    let status: ParseStatus = PARSE.incomplete
    if (this.state < STATE.fieldStart) status = this.parseRequestLine(bytes, until)
    if (this.state >= STATE.fieldStart && this.state !== STATE.done) {
      status = this.parseFields(bytes, until)
    }
    if (status === PARSE.complete) {
      this.length = this.position
      return this.conclude(bytes)
    }
    if (status === PARSE.incomplete && end >= limit) return this.refuse(REFUSAL.headTooLong)
    return status
  }

  private parseRequestLine(bytes: Uint8Array, end: number): ParseStatus {
    let i = this.position
    let state = this.state
    while (i < end) {
      const byte = bytes[i] ?? 0
      switch (state) {
        case STATE.begin:
          if (byte === CR) {
            state = STATE.beginLf
            i++
          } else state = STATE.first
          break
        case STATE.beginLf:
          if (byte !== LF) return this.refuse(REFUSAL.bareCarriageReturn)
          state = STATE.first
          i++
          break
        case STATE.first:
          if (IS_TOKEN[byte] === 0) {
            if (byte === CR) return this.refuse(REFUSAL.emptyLines)
            return this.refuse(byte === LF ? REFUSAL.bareLineFeed : REFUSAL.method)
          }
          this.methodStart = i
          state = STATE.method
          break
        case STATE.method: {
          const most = this.methodStart + LONGEST_METHOD
          while (i < end && i < most && IS_TOKEN[bytes[i] ?? 0] === 1) i++
          if (i === end) break
          const next = bytes[i] ?? 0
          if (IS_TOKEN[next] === 1) return this.refuse(REFUSAL.unknownMethod)
          if (next !== SPACE) {
            if (next === LF) return this.refuse(REFUSAL.bareLineFeed)
            return this.refuse(next === CR ? REFUSAL.requestLine : REFUSAL.method)
          }
          this.methodEnd = i
          this.method = methodOf(bytes, this.methodStart, i)
          if (this.method === METHODS.none) return this.refuse(REFUSAL.unknownMethod)
          if (this.method === METHODS.CONNECT) return this.refuse(REFUSAL.connect)
          i++
          this.targetStart = i
          state = STATE.path
          break
        }
        case STATE.path:
        case STATE.query: {
          const most = this.targetStart + this.limits.targetBytes
          const until = end < most ? end : most
          if (state === STATE.path) {
            while (i < until && STOPS_PATH[bytes[i] ?? 0] === 0) i++
          } else {
            while (i < until && STOPS_QUERY[bytes[i] ?? 0] === 0) i++
          }
          if (i === end) break
          const stop = bytes[i] ?? 0
          if (stop === SPACE) {
            if (i === this.targetStart) return this.refuse(REFUSAL.requestLine)
            this.targetEnd = i
            if (state === STATE.path) this.pathEnd = i
            i++
            state = STATE.version
          } else if (i === most) {
            return this.refuse(REFUSAL.targetTooLong)
          } else if (stop === QUESTION_MARK) {
            this.pathEnd = i
            i++
            state = STATE.query
          } else return this.refuseTarget(stop, i)
          break
        }
        case STATE.version: {
          const index = i - this.targetEnd - 1
          if (index < HTTP_SLASH.length) {
            const isDigit = byte >= 48 && byte <= 57
            if (index === 5 || index === 7 ? !isDigit : byte !== HTTP_SLASH[index]) {
              return this.refuse(index === 0 ? REFUSAL.requestLine : REFUSAL.version)
            }
          } else if (byte === CR) state = STATE.lineLf
          else return this.refuse(byte === LF ? REFUSAL.bareLineFeed : REFUSAL.version)
          i++
          break
        }
        default:
          if (byte !== LF) return this.refuse(REFUSAL.bareCarriageReturn)
          if (bytes[i - 4] !== 49) return this.refuse(REFUSAL.unsupportedVersion)
          this.versionMinor = bytes[i - 2] === 48 ? 0 : 1
          this.lineEnd = i + 1
          this.position = i + 1
          this.state = STATE.fieldStart
          return PARSE.incomplete
      }
    }
    this.position = i
    this.state = state
    return PARSE.incomplete
  }

  /** A line end after the target is a request without a version, that is HTTP/0.9. */
  private refuseTarget(stop: number, at: number): ParseStatus {
    if (stop === LF) return this.refuse(REFUSAL.bareLineFeed)
    if (stop !== CR) return this.refuse(REFUSAL.target)
    return this.refuse(at === this.targetStart ? REFUSAL.requestLine : REFUSAL.unsupportedVersion)
  }

  /** What the fields mean together, once all are there. */
  private conclude(bytes: Uint8Array): ParseStatus {
    this.hostStart = 0
    this.hostEnd = 0
    this.hostKeyStart = 0
    this.hostKeyEnd = 0
    this.hasHostField = false
    this.isAsterisk = false
    this.isAbsolute = false
    this.contentLength = -1
    this.isChunked = false
    this.hasBody = false
    this.expectsContinue = false
    this.isConnectUpgrade = false
    this.isKeepAlive = this.versionMinor === 1

    if (bytes[this.targetStart] !== SLASH) {
      const status = this.splitTarget(bytes)
      if (status !== PARSE.complete) return status
    }

    const { fields, fieldCount } = this
    let coding: number = CODING.none
    let hasLength = false
    let hasConnection = false
    let hasExpect = false
    for (let at = 0, last = fieldCount * FIELD_STRIDE; at < last; at += FIELD_STRIDE) {
      const id = fields[at + 4] ?? 0
      if (id === FIELD.other || id > FIELD.expect) continue
      const start = fields[at + 2] ?? 0
      const end = fields[at + 3] ?? 0
      if (id === FIELD.host) {
        if (this.hasHostField) return this.refuse(REFUSAL.manyHosts)
        this.hasHostField = true
        this.hostStart = start
        this.hostEnd = end
      } else if (id === FIELD.connection) hasConnection = true
      else if (id === FIELD.contentLength) {
        if (hasLength) return this.refuse(REFUSAL.manyLengths)
        hasLength = true
        this.contentLength = contentLengthOf(bytes, start, end)
        if (this.contentLength < 0) return this.refuse(REFUSAL.contentLength)
      } else if (id === FIELD.transferEncoding) coding = transferCoding(bytes, start, end, coding)
      else hasExpect = true
    }

    const host = this.concludeHost(bytes)
    if (host !== PARSE.complete) return host
    if (coding !== CODING.none) {
      if (hasLength) return this.refuse(REFUSAL.lengthAndCoding)
      if (this.versionMinor === 0) return this.refuse(REFUSAL.oldTransferCoding)
      if (coding === CODING.invalid) return this.refuse(REFUSAL.transferCoding)
      if ((coding & CODING.endsChunked) === 0) return this.refuse(REFUSAL.transferCoding)
      if ((coding & CODING.others) !== 0) return this.refuse(REFUSAL.unknownCoding)
      this.isChunked = true
    }
    this.hasBody = this.isChunked || this.contentLength > 0
    if (hasConnection) {
      if (!this.connection.apply(bytes, fields, fieldCount)) {
        return this.refuse(REFUSAL.connectionNames)
      }
      this.isConnectUpgrade = this.connection.isUpgrade
      this.isKeepAlive =
        !this.connection.isClose && (this.versionMinor === 1 || this.connection.isKeepAlive)
    }
    return hasExpect && this.versionMinor === 1 ? this.concludeExpect(bytes) : PARSE.complete
  }

  /** Of `http://host/path` makes `/path`, and notes the authority. */
  private splitTarget(bytes: Uint8Array): ParseStatus {
    const { targetStart, targetEnd } = this
    if (bytes[targetStart] === ASTERISK && targetEnd === targetStart + 1) {
      if (this.method !== METHODS.OPTIONS) return this.refuse(REFUSAL.targetForm)
      this.isAsterisk = true
      return PARSE.complete
    }
    this.isHttps = spells(bytes, targetStart, targetStart + HTTPS_SCHEME.length, HTTPS_SCHEME)
    if (
      !this.isHttps &&
      !spells(bytes, targetStart, targetStart + HTTP_SCHEME.length, HTTP_SCHEME)
    ) {
      return this.refuse(REFUSAL.targetForm)
    }
    const start = targetStart + (this.isHttps ? HTTPS_SCHEME.length : HTTP_SCHEME.length)
    if (start >= this.pathEnd) return this.refuse(REFUSAL.targetForm)
    let end = start
    while (end < this.pathEnd && bytes[end] !== SLASH) end++
    this.isAbsolute = true
    this.authorityStart = start
    this.authorityEnd = end
    if (end === this.pathEnd) {
      // No path: the authority moves one byte to the left, over the scheme's slash.
      bytes.copyWithin(start - 1, start, end)
      bytes[end - 1] = SLASH
      this.authorityStart--
      this.authorityEnd--
      this.targetStart = end - 1
    } else this.targetStart = end
    return PARSE.complete
  }

  private concludeHost(bytes: Uint8Array): ParseStatus {
    if (!this.hasHostField) {
      if (this.versionMinor === 1) return this.refuse(REFUSAL.noHost)
      if (!this.isAbsolute) return PARSE.complete
      this.hostStart = this.authorityStart
      this.hostEnd = this.authorityEnd
    }
    const hostLength = splitAuthority(bytes, this.hostStart, this.hostEnd)
    if (hostLength < 0) return this.refuse(REFUSAL.host)
    this.hostKeyStart = this.hostStart
    this.hostKeyEnd = this.hostStart + hostLength
    if (this.isAbsolute && this.hasHostField && !this.isSameAuthority(bytes)) {
      return this.refuse(REFUSAL.authority)
    }
    if (bytes[this.hostKeyEnd - 1] === 46) this.hostKeyEnd--
    return PARSE.complete
  }

  /** RFC 9112 3.2.2, stricter: the authority must be Host's, but for case and the default port. */
  private isSameAuthority(bytes: Uint8Array): boolean {
    const length = splitAuthority(bytes, this.authorityStart, this.authorityEnd)
    if (length !== this.hostKeyEnd - this.hostStart) return false
    for (let i = 0; i < length; i++) {
      const mine = LOWER[bytes[this.authorityStart + i] ?? 0]
      if (mine !== LOWER[bytes[this.hostStart + i] ?? 0]) return false
    }
    const standard = this.isHttps ? 443 : 80
    return (
      portOf(bytes, this.authorityStart + length, this.authorityEnd, standard) ===
      portOf(bytes, this.hostKeyEnd, this.hostEnd, standard)
    )
  }

  private concludeExpect(bytes: Uint8Array): ParseStatus {
    const { fields } = this
    for (let i = this.indexOf(FIELD.expect); i >= 0; i = this.indexOf(FIELD.expect, i + 1)) {
      const start = fields[i * FIELD_STRIDE + 2] ?? 0
      const end = fields[i * FIELD_STRIDE + 3] ?? 0
      if (!spells(bytes, start, end, CONTINUE)) return this.refuse(REFUSAL.expectation)
    }
    this.expectsContinue = this.hasBody
    return PARSE.complete
  }
}

/** The number after the colon at `at`; `standard` where there is none. */
const portOf = (bytes: Uint8Array, at: number, end: number, standard: number): number => {
  if (end - at < 2) return standard
  let port = 0
  for (let i = at + 1; i < end; i++) port = port * 10 + (bytes[i] ?? 0) - 48
  return port
}
