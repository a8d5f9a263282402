import { COMMA, LOWER, SPACE, TAB, encodeText, spells } from './ascii.ts'
import { FIELD, FIELD_COUNT, fieldId } from './field-names.ts'
import { FIELD_STRIDE } from './field-section.ts'

/**
 * The one decimal number of a Content-Length (RFC 9110 8.6); -1 when the value is empty, a list,
 * signed, not decimal, or above 2^53 - 1.
 */
export const contentLengthOf = (bytes: Uint8Array, start: number, end: number): number => {
  if (start === end) return -1
  let length = 0
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] ?? 0) - 48
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
    if (length > Number.MAX_SAFE_INTEGER) return -1
  }
  return length
}

/** What the Transfer-Encoding fields seen so far amount to: flags, or `invalid`. */
export const CODING = { none: 0, seen: 1, endsChunked: 2, others: 4, invalid: 8 } as const

const CHUNKED = encodeText('chunked')

/**
 * Adds one Transfer-Encoding value to what the ones before it amounted to (RFC 9112 6.1). Invalid:
 * an empty member, `chunked` twice or before another coding, a coding that is none.
 */
export const transferCoding = (
  bytes: Uint8Array,
  start: number,
  end: number,
  before: number,
): number => {
  let coding = before | CODING.seen
  let at = start
  while (at <= end) {
    const next = memberEnd(bytes, at, end)
    const from = skipSpace(bytes, at, next)
    const to = trimSpace(bytes, from, next)
    if (from === to || (coding & (CODING.endsChunked | CODING.invalid)) !== 0) {
      return CODING.invalid
    }
    coding |= spells(bytes, from, to, CHUNKED) ? CODING.endsChunked : CODING.others
    at = next + 1
  }
  return coding
}

const CLOSE = encodeText('close')
const KEEP_ALIVE = encodeText('keep-alive')

/** Fields that are never for one hop only; a Connection that names them is an attack. */
const NEVER_NAMED = new Uint8Array(FIELD_COUNT)
NEVER_NAMED[FIELD.host] = 1
NEVER_NAMED[FIELD.contentLength] = 1
NEVER_NAMED[FIELD.transferEncoding] = 1
NEVER_NAMED[FIELD.cacheControl] = 1

/** What a head's Connection fields say (RFC 9110 7.6.1). Reused from head to head. */
export class ConnectionOptions {
  isClose = false
  isKeepAlive = false
  isUpgrade = false

  /**
   * Reads every Connection field and marks the fields they name as `FIELD.connectionNamed`, but
   * for Host, Content-Length, Transfer-Encoding and Cache-Control: false when one of these is named.
   */
  apply(bytes: Uint8Array, fields: Int32Array, fieldCount: number): boolean {
    this.isClose = false
    this.isKeepAlive = false
    this.isUpgrade = false
    let isHarmless = true
    for (let i = 0, last = fieldCount * FIELD_STRIDE; i < last; i += FIELD_STRIDE) {
      if (fields[i + 4] !== FIELD.connection) continue
      const start = fields[i + 2] ?? 0
      const end = fields[i + 3] ?? 0
      if (spells(bytes, start, end, KEEP_ALIVE)) this.isKeepAlive = true
      else if (spells(bytes, start, end, CLOSE)) this.isClose = true
      else if (!this.applyList(bytes, start, end, fields, fieldCount)) isHarmless = false
    }
    return isHarmless
  }

  private applyList(
    bytes: Uint8Array,
    start: number,
    end: number,
    fields: Int32Array,
    fieldCount: number,
  ): boolean {
    let isHarmless = true
    let at = start
    while (at < end) {
      const next = memberEnd(bytes, at, end)
      const from = skipSpace(bytes, at, next)
      const to = trimSpace(bytes, from, next)
      at = next + 1
      if (from === to) continue
      const id = fieldId(bytes, from, to)
      if (NEVER_NAMED[id] === 1) isHarmless = false
      else if (spells(bytes, from, to, CLOSE)) this.isClose = true
      else if (id === FIELD.keepAlive) this.isKeepAlive = true
      else if (id === FIELD.upgrade) this.isUpgrade = true
      else if (id !== FIELD.connection) markNamed(bytes, from, to, fields, fieldCount)
    }
    return isHarmless
  }
}

/** Fields that Connection names: the same name in any case. */
const markNamed = (
  bytes: Uint8Array,
  start: number,
  end: number,
  fields: Int32Array,
  fieldCount: number,
): void => {
  const length = end - start
  for (let i = 0, last = fieldCount * FIELD_STRIDE; i < last; i += FIELD_STRIDE) {
    const nameStart = fields[i] ?? 0
    if ((fields[i + 1] ?? 0) - nameStart !== length) continue
    let k = 0
    while (k < length && LOWER[bytes[nameStart + k] ?? 0] === LOWER[bytes[start + k] ?? 0]) k++
    if (k === length) fields[i + 4] = FIELD.connectionNamed
  }
}

/** The comma that ends the list member at `at`, or `end`. */
export const memberEnd = (bytes: Uint8Array, at: number, end: number): number => {
  let i = at
  while (i < end && bytes[i] !== COMMA) i++
  return i
}

/** The first byte from `start` that is no white space, or `end`. */
export const skipSpace = (bytes: Uint8Array, start: number, end: number): number => {
  let i = start
  while (i < end && (bytes[i] === SPACE || bytes[i] === TAB)) i++
  return i
}

/** The end of what is left of `end` once white space is dropped. */
export const trimSpace = (bytes: Uint8Array, start: number, end: number): number => {
  let i = end
  while (i > start && (bytes[i - 1] === SPACE || bytes[i - 1] === TAB)) i--
  return i
}
