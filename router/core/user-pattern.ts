import type { UserPatternConfig } from '../../common/config/config.ts'

/** Where the pieces of a request's head lie in its bytes: what a pattern needs of it. */
export interface HeadSpans {
  readonly targetStart: number
  readonly targetEnd: number
  /** Index of the `?`, or `targetEnd`. */
  readonly pathEnd: number
  readonly fieldCount: number
  /** Five numbers a field: name start and end, value start and end, id. */
  readonly fields: Int32Array
}

/** A user's name as bytes[0, length); one object is used again and again. */
export interface UserBytes {
  bytes: Uint8Array
  length: number
}

/** Finds the user in a request. */
export interface UserPattern {
  /** True where the user comes from the path: then the path's spelling rules apply. */
  readonly isFromPath: boolean
  /** Puts the user, percent-decoded, into `out`; false if the request names none. */
  extract(bytes: Uint8Array, head: HeadSpans, out: UserBytes): boolean
}

/** Room for a user; it grows by itself where a listener's limits allow longer ones. */
export const createUserBytes = (): UserBytes => ({ bytes: new Uint8Array(1024), length: 0 })

const FIELD_STRIDE = 5
const SLASH = 0x2f
const PERCENT = 0x25
const AMPERSAND = 0x26
const EQUALS = 0x3d

/** Compiles a checked pattern. */
export function compileUserPattern(config: UserPatternConfig): UserPattern {
  switch (config.type) {
    case 'path':
      return new PathPattern(config.pattern)
    case 'regex':
      return new RegexPattern(config.regex)
    case 'query':
      return new QueryPattern(config.parameter)
    case 'header':
      return new HeaderPattern(config.header)
  }
}

/** Takes a span as it is, undecoded: the path, for `noUser: spread`. */
export function copySpan(bytes: Uint8Array, start: number, end: number, out: UserBytes): void {
  reserve(out, end - start)
  const to = out.bytes
  for (let i = start; i < end; i++) to[i - start] = bytes[i]!
  out.length = end - start
}

/** One literal or captured segment of a path pattern, undefined for a captured one. */
type Segment = Uint8Array | undefined

class PathPattern implements UserPattern {
  readonly isFromPath = true
  readonly #segments: readonly Segment[]
  readonly #userAt: number

  constructor(pattern: string) {
    const texts = pattern.split('/').slice(1)
    this.#userAt = texts.indexOf('{user}')
    this.#segments = texts.map((text) => (/^\{.*\}$/.test(text) ? undefined : encode(text)))
  }

  extract(bytes: Uint8Array, head: HeadSpans, out: UserBytes): boolean {
    const segments = this.#segments
    const last = segments.length - 1
    const end = head.pathEnd
    let at = head.targetStart
    let userStart = 0
    let userEnd = 0
    for (let i = 0; i <= last; i++) {
      if (at >= end || bytes[at] !== SLASH) return false
      at++
      const start = at
      const segment = segments[i]
      if (segment === undefined) {
        if (i === last) at = end
        else while (at < end && bytes[at] !== SLASH) at++
        if (at === start) return false
        if (i === this.#userAt) {
          userStart = start
          userEnd = at
        }
      } else {
        at += segment.length
        if (at > end) return false
        for (let j = 0; j < segment.length; j++) if (bytes[start + j] !== segment[j]) return false
      }
    }
    if (at !== end) return false
    return decodeInto(bytes, userStart, userEnd, out)
  }
}

class RegexPattern implements UserPattern {
  readonly isFromPath = true
  readonly #regex: RegExp

  constructor(source: string) {
    this.#regex = new RegExp(source)
  }

  extract(bytes: Uint8Array, head: HeadSpans, out: UserBytes): boolean {
    const path = latin1(bytes, head.targetStart, head.pathEnd)
    const groups = this.#regex.exec(path === '' ? '/' : path)?.groups
    const user = groups?.['user'] ?? ''
    reserve(out, user.length)
    for (let i = 0; i < user.length; i++) out.bytes[i] = user.charCodeAt(i)
    return decodeInto(out.bytes, 0, user.length, out)
  }
}

class QueryPattern implements UserPattern {
  readonly isFromPath = false
  readonly #name: Uint8Array

  constructor(parameter: string) {
    this.#name = encode(parameter)
  }

  extract(bytes: Uint8Array, head: HeadSpans, out: UserBytes): boolean {
    const end = head.targetEnd
    let at = head.pathEnd + 1
    while (at < end) {
      const nameStart = at
      while (at < end && bytes[at] !== EQUALS && bytes[at] !== AMPERSAND) at++
      const nameEnd = at
      while (at < end && bytes[at] !== AMPERSAND) at++
      if (decodesTo(bytes, nameStart, nameEnd, this.#name))
        return decodeInto(bytes, Math.min(nameEnd + 1, at), at, out)
      at++
    }
    return false
  }
}

class HeaderPattern implements UserPattern {
  readonly isFromPath = false
  readonly #name: Uint8Array

  constructor(header: string) {
    this.#name = encode(header.toLowerCase())
  }

  extract(bytes: Uint8Array, head: HeadSpans, out: UserBytes): boolean {
    const fields = head.fields
    for (let i = 0; i < head.fieldCount; i++) {
      const at = i * FIELD_STRIDE
      if (!equalsLowerCase(bytes, fields[at]!, fields[at + 1]!, this.#name)) continue
      return decodeInto(bytes, fields[at + 2]!, fields[at + 3]!, out)
    }
    return false
  }
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!)
  return text
}

function reserve(out: UserBytes, length: number): void {
  if (out.bytes.length < length) out.bytes = new Uint8Array(length * 2)
}

const hexValue = (byte: number): number => {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

/** The byte that a `%xx` at `at` stands for, or -1 where there is none. */
function decodedByte(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] !== PERCENT || at + 2 >= end) return -1
  const high = hexValue(bytes[at + 1]!)
  const low = hexValue(bytes[at + 2]!)
  return high < 0 || low < 0 ? -1 : high * 16 + low
}

/** Percent-decodes into `out` (in place too); false when that leaves nothing. */
function decodeInto(bytes: Uint8Array, start: number, end: number, out: UserBytes): boolean {
  reserve(out, end - start)
  const to = out.bytes
  let length = 0
  for (let at = start; at < end; at++) {
    const byte = decodedByte(bytes, at, end)
    if (byte >= 0) at += 2
    to[length++] = byte >= 0 ? byte : bytes[at]!
  }
  out.length = length
  return length > 0
}

function decodesTo(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  let matched = 0
  for (let at = start; at < end; at++) {
    const byte = decodedByte(bytes, at, end)
    const is = byte >= 0 ? byte : bytes[at]!
    if (matched >= name.length || is !== name[matched]) return false
    if (byte >= 0) at += 2
    matched++
  }
  return matched === name.length
}

function equalsLowerCase(
  bytes: Uint8Array,
  start: number,
  end: number,
  lowerCase: Uint8Array,
): boolean {
  if (end - start !== lowerCase.length) return false
  for (let i = 0; i < lowerCase.length; i++) {
    const byte = bytes[start + i]!
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (lower !== lowerCase[i]) return false
  }
  return true
}
