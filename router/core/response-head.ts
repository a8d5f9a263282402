import { CR, LF, SPACE, encodeText } from './ascii.ts'
import { CODING, ConnectionOptions, contentLengthOf, transferCoding } from './field-meaning.ts'
import { FIELD } from './field-names.ts'
import { FIELD_STRIDE, FieldSection, PARSE, STATE } from './field-section.ts'
import type { ParseStatus } from './field-section.ts'
import { METHODS } from './methods.ts'
import { REFUSAL } from './refusal.ts'

/** How the end of a body is known (RFC 9112 6.3). */
export const FRAMING = { none: 0, length: 1, chunked: 2, close: 3 } as const

const HTTP_SLASH = encodeText('HTTP/1.0 ')

/** 1 where a reason phrase must end: control characters other than tab, and DEL. */
const STOPS_REASON = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte < SPACE && byte !== 9) || byte === 127 ? 1 : 0,
)

/**
 * One answer's head, read strictly, in any number of pieces, wherever it lies in its buffer.
 * Reused: `reset`, then `parse` until it says complete or refused. After an interim answer (1xx)
 * `reset` to its `end` and go on.
 */
export class ResponseHead extends FieldSection {
  /** Offset of the first byte. */
  start = 0
  /** Offset after the empty line: where the body begins. */
  end = 0
  /** Offset after the status line's CRLF. */
  lineEnd = 0
  versionMinor = 0
  status = 0
  /** 1xx: another head follows. Never 101, which is refused. */
  isInterim = false
  /** One of `FRAMING`: of the body as the upstream sends it. */
  framing: number = FRAMING.none
  /** As the field says it, also where there is no body; -1 when there is none. */
  contentLength = -1
  /** The upstream keeps its connection open after this answer. */
  isKeepAlive = false
  /** The status line ends after the status, without the space before the reason. */
  lacksSpace = false

  private method: number = METHODS.GET
  private readonly connection = new ConnectionOptions()

  /** Forgets the head; the next one begins at `start` and answers a request of this method. */
  reset(start: number, method: number): void {
    this.start = start
    this.position = start
    this.state = STATE.status
    this.method = method
    this.fieldCount = 0
    this.status = 0
    this.lacksSpace = false
  }

  /** Reads on to `end` (exclusive), from where the last call stopped; what is before is unchanged. */
  parse(bytes: Uint8Array, end: number): ParseStatus {
    const limit = this.start + this.limits.headBytes
    const until = end < limit ? end : limit
    let status: ParseStatus = PARSE.incomplete
    if (this.state < STATE.fieldStart) status = this.parseStatusLine(bytes, until)
    if (this.state >= STATE.fieldStart && this.state !== STATE.done) {
      status = this.parseFields(bytes, until)
    }
    if (status === PARSE.complete) {
      this.end = this.position
      return this.conclude(bytes)
    }
    if (status === PARSE.incomplete && end >= limit) return this.refuse(REFUSAL.headTooLong)
    return status
  }

  private parseStatusLine(bytes: Uint8Array, end: number): ParseStatus {
    let i = this.position
    if (this.state === STATE.status) {
      while (i < end) {
        const index = i - this.start
        const byte = bytes[i] ?? 0
        if (index < 9) {
          const isMinor = index === 7 && byte >= 48 && byte <= 57
          if (!isMinor && byte !== HTTP_SLASH[index]) return this.refuse(REFUSAL.statusLine)
        } else if (index < 12) {
          const digit = byte - 48
          if (digit < (index === 9 ? 1 : 0) || digit > 9) return this.refuse(REFUSAL.statusLine)
          this.status = this.status * 10 + digit
        } else {
          if (byte !== SPACE && byte !== CR) return this.refuse(REFUSAL.statusLine)
          this.lacksSpace = byte === CR
          this.state = byte === CR ? STATE.lineLf : STATE.reason
          i++
          break
        }
        i++
      }
    }
    if (this.state === STATE.reason) {
      while (i < end && STOPS_REASON[bytes[i] ?? 0] === 0) i++
      if (i < end) {
        if (bytes[i] !== CR) return this.refuse(REFUSAL.statusLine)
        this.state = STATE.lineLf
        i++
      }
    }
    if (this.state === STATE.lineLf && i < end) {
      if (bytes[i] !== LF) return this.refuse(REFUSAL.bareCarriageReturn)
      this.versionMinor = bytes[this.start + 7] === 48 ? 0 : 1
      i++
      this.lineEnd = i
      this.state = STATE.fieldStart
    }
    this.position = i
    return PARSE.incomplete
  }

  private conclude(bytes: Uint8Array): ParseStatus {
    const { fields, fieldCount, status } = this
    this.contentLength = -1
    this.isInterim = status < 200
    this.isKeepAlive = this.versionMinor === 1
    if (status === 101) return this.refuse(REFUSAL.switching)
    let coding: number = CODING.none
    let hasConnection = false
    for (let at = 0, last = fieldCount * FIELD_STRIDE; at < last; at += FIELD_STRIDE) {
      const id = fields[at + 4] ?? 0
      if (id === FIELD.other || id > FIELD.connection) continue
      if (id === FIELD.connection) hasConnection = true
      else if (id === FIELD.contentLength) {
        if (this.contentLength >= 0) return this.refuse(REFUSAL.manyLengths)
        this.contentLength = contentLengthOf(bytes, fields[at + 2] ?? 0, fields[at + 3] ?? 0)
        if (this.contentLength < 0) return this.refuse(REFUSAL.contentLength)
      } else if (id === FIELD.transferEncoding) {
        coding = transferCoding(bytes, fields[at + 2] ?? 0, fields[at + 3] ?? 0, coding)
      }
    }
    if (coding !== CODING.none) {
      if (this.contentLength >= 0) return this.refuse(REFUSAL.lengthAndCoding)
      if (this.versionMinor === 0) return this.refuse(REFUSAL.oldTransferCoding)
      // No TE is ever sent upstream, so any coding but chunked is a fault (RFC 9110 10.1.4).
      if (coding !== (CODING.seen | CODING.endsChunked)) return this.refuse(REFUSAL.transferCoding)
    }
    if (hasConnection) {
      this.connection.apply(bytes, fields, fieldCount)
      this.isKeepAlive =
        !this.connection.isClose && (this.versionMinor === 1 || this.connection.isKeepAlive)
    }
    this.framing = this.framingWith(coding)
    if (this.framing === FRAMING.close) this.isKeepAlive = false
    return PARSE.complete
  }

  private framingWith(coding: number): number {
    const { status } = this
    if (this.method === METHODS.HEAD || status < 200 || status === 204 || status === 304) {
      return FRAMING.none
    }
    if (coding !== CODING.none) return FRAMING.chunked
    return this.contentLength >= 0 ? FRAMING.length : FRAMING.close
  }
}
