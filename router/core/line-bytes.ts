/**
 * Bytes of a log line, written at an offset; each gives the offset after what it wrote. The caller
 * has seen to it that they fit.
 */

/** Names out of the configuration are cut here. */
export const NAME_LIMIT = 256

/** All of the bytes. */
export function put(out: Uint8Array, at: number, bytes: Uint8Array): number {
  const length = bytes.length
  if (length > 24) {
    out.set(bytes, at)
    return at + length
  }
  let i = 0
  for (; i + 3 < length; i += 4) {
    out[at + i] = bytes[i]!
    out[at + i + 1] = bytes[i + 1]!
    out[at + i + 2] = bytes[i + 2]!
    out[at + i + 3] = bytes[i + 3]!
  }
  for (; i < length; i++) out[at + i] = bytes[i]!
  return at + length
}

/** A name: at most `NAME_LIMIT` bytes of it. */
export function putName(out: Uint8Array, at: number, bytes: Uint8Array): number {
  return put(out, at, bytes.length > NAME_LIMIT ? bytes.subarray(0, NAME_LIMIT) : bytes)
}

/** As `putName`; `-` for an empty one. */
export function putNameOrDash(out: Uint8Array, at: number, bytes: Uint8Array): number {
  return bytes.length > 0 ? putName(out, at, bytes) : put(out, at, DASH)
}

/** One of a list's words; `-` for an index that it has not. */
export function putWord(
  out: Uint8Array,
  at: number,
  words: readonly Uint8Array[],
  index: number,
): number {
  return put(out, at, words[index] ?? DASH)
}

/** A number of 0 or more, whole; others are written as 0. */
export function putInteger(out: Uint8Array, start: number, value: number): number {
  let at = start
  let rest = Math.floor(value)
  if (!(rest > 0 && rest <= Number.MAX_SAFE_INTEGER)) {
    out[at] = 0x30
    return at + 1
  }
  if (rest >= 1_000_000_000) {
    const high = Math.floor(rest / 1_000_000_000)
    at = putInteger(out, at, high)
    rest -= high * 1_000_000_000
    return putDigits(out, at, rest, 9)
  }
  return putDigits(out, at, rest, digitCount(rest))
}

/** The `count` lowest decimal digits of a number below a thousand million. */
export function putDigits(out: Uint8Array, at: number, value: number, count: number): number {
  let rest = value | 0
  for (let i = at + count - 1; i >= at; i--) {
    const tenth = (rest / 10) | 0
    out[i] = 0x30 + rest - tenth * 10
    rest = tenth
  }
  return at + count
}

function digitCount(value: number): number {
  if (value < 10) return 1
  if (value < 100) return 2
  if (value < 1_000) return 3
  if (value < 10_000) return 4
  if (value < 100_000) return 5
  if (value < 1_000_000) return 6
  if (value < 10_000_000) return 7
  return value < 100_000_000 ? 8 : 9
}

/** Microseconds as `0.001234`; `-` below 0. */
export function putSeconds(out: Uint8Array, start: number, valueUs: number): number {
  if (!(valueUs >= 0)) return put(out, start, DASH)
  const seconds = Math.floor(valueUs / 1_000_000)
  let at = putInteger(out, start, seconds)
  at = put(out, at, DOT)
  return putDigits(out, at, Math.floor(valueUs) - seconds * 1_000_000, 6)
}

/** As much of the bytes as surely fits `limit` bytes of a JSON string, then `...` if any is left. */
export function putJson(
  out: Uint8Array,
  at: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  limit: number,
): number {
  return putText(out, at, bytes, from, to, limit, JSON_ESCAPES)
}

/** As `putJson`, escaped as nginx's combined format does. */
export function putHex(
  out: Uint8Array,
  at: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  limit: number,
): number {
  return putText(out, at, bytes, from, to, limit, HEX_ESCAPES)
}

function putText(
  out: Uint8Array,
  at: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  limit: number,
  escapes: Escapes,
): number {
  const end = to - from <= limit ? putPlain(out, at, bytes, from, to) : -1
  return end < 0 ? putEscaped(out, at, bytes, from, to, limit, escapes) : end
}

function putEscaped(
  out: Uint8Array,
  start: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  limit: number,
  escapes: Escapes,
): number {
  const stop = start + limit - escapes.longest - DOTS.length
  let at = start
  for (let i = from; i < to; i++) {
    if (at > stop) return put(out, at, DOTS)
    const byte = bytes[i]!
    if (ESCAPED[byte] === 0) out[at++] = byte
    else at = put(out, at, escapes.of[byte]!)
  }
  return at
}

/**
 * Copies the range; -1 where a byte of it has to be escaped. Four at a time and no view of the
 * range: this is most of a line's cost.
 */
function putPlain(
  out: Uint8Array,
  start: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  let found = 0
  let at = start
  let i = from
  for (; i + 3 < to; i += 4, at += 4) {
    const a = bytes[i]!
    const b = bytes[i + 1]!
    const c = bytes[i + 2]!
    const d = bytes[i + 3]!
    out[at] = a
    out[at + 1] = b
    out[at + 2] = c
    out[at + 3] = d
    found |= ESCAPED[a]! | ESCAPED[b]! | ESCAPED[c]! | ESCAPED[d]!
  }
  for (; i < to; i++) {
    const byte = bytes[i]!
    out[at++] = byte
    found |= ESCAPED[byte]!
  }
  return found === 0 ? at : -1
}

/** A constant's bytes. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

/** 1: the byte must be escaped. */
const ESCAPED = new Uint8Array(256).map((_, byte) =>
  byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c ? 1 : 0,
)

/** What is written for each byte that must be escaped. */
interface Escapes {
  readonly of: readonly Uint8Array[]
  readonly longest: number
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0')
const everyByte = Array.from({ length: 256 }, (_, byte) => byte)
const JSON_ESCAPES: Escapes = {
  of: everyByte.map((byte) =>
    ascii(byte === 0x22 || byte === 0x5c ? `\\${String.fromCharCode(byte)}` : `\\u00${hex(byte)}`),
  ),
  longest: 6,
}
const HEX_ESCAPES: Escapes = {
  of: everyByte.map((byte) => ascii(`\\x${hex(byte).toUpperCase()}`)),
  longest: 4,
}
export const DASH = ascii('-')
export const DOT = ascii('.')
const DOTS = ascii('...')
export const SPACE = ascii(' ')
export const COMMA = ascii(',')
export const QUOTE = ascii('"')
