import { SPACE, TAB, encodeText, put, putRange, spells } from './ascii.ts'
import { memberEnd, skipSpace } from './field-meaning.ts'
import { FIELD, FIELD_COUNT } from './field-names.ts'
import { FIELD_STRIDE } from './field-section.ts'
import { HOP_BY_HOP, isDropped } from './header-rules.ts'
import type { CompiledHeaderRules } from './header-rules.ts'
import type { Peer, Via } from './peer.ts'
import type { RequestHead } from './request-head.ts'
import { FRAMING } from './response-head.ts'
import type { ResponseHead } from './response-head.ts'

/** What a request's head gets on its way to a cache; one object can serve every request. */
export interface RequestContext {
  readonly rules: CompiledHeaderRules
  readonly peer: Peer
  readonly via: Via
  /** 32 hexadecimal digits. */
  readonly requestId: Uint8Array
  /** The cache's `address:port`, the Host of a request that has none. */
  readonly serverHost: Uint8Array
}

/** What the router says about the client's connection on an answer. */
export const CONNECTION = { silent: 0, close: 1, keepAlive: 2 } as const

/** What an answer's head gets on its way to the client; one object can serve every answer. */
export interface ResponseContext {
  readonly rules: CompiledHeaderRules
  /** One of `FRAMING`: of the body as it goes to the client. */
  readonly framing: number
  /** One of `CONNECTION`. */
  readonly connection: number
}

const SPACE_HTTP_10 = encodeText(' HTTP/1.0\r\n')
const SPACE_HTTP_11 = encodeText(' HTTP/1.1\r\n')
const HOST = encodeText('Host: ')
const FORWARDED_FOR = encodeText('X-Forwarded-For: ')
const FORWARDED_HOST = encodeText('X-Forwarded-Host: ')
const REQUEST_ID = encodeText('X-Request-Id: ')
const COMMA_SPACE = encodeText(', ')
const CRLF = encodeText('\r\n')
const SPACE_CRLF = encodeText(' \r\n')
const CHUNKED = encodeText('Transfer-Encoding: chunked\r\n')
const CLOSE = encodeText('Connection: close\r\n')
const KEEP_ALIVE = encodeText('Connection: keep-alive\r\n')
const VIA = encodeText('Via: ')
const COLON_SPACE = encodeText(': ')
const DIGIT_ONE = 49
/** Where the minor version's digit is in a status line. */
const MINOR_VERSION = 7

/** By field id: 1 where the general lane is not to see the field. */
const NORMAL_DROPS = new Uint8Array(FIELD_COUNT)
for (const id of [...HOP_BY_HOP, FIELD.underscored]) NORMAL_DROPS[id] = 1

/** Room for everything that the router adds and whose length is not counted one by one. */
const SLACK = 256

/**
 * Writes the head that asks a cache: HTTP/1.1, origin-form, without what belongs to the client's
 * hop or is the client's mere claim, with the router's own fields and the group's. The end of
 * what was written, or -1 (and nothing promised about `out`) when it does not fit.
 */
export const writeRequestHead = (
  out: Uint8Array,
  at: number,
  head: RequestHead,
  bytes: Uint8Array,
  context: RequestContext,
): number => {
  const { rules, peer, via } = context
  const hostLength = head.hostEnd - head.hostStart
  const most =
    head.length +
    rules.lines.length +
    peer.lines.length +
    peer.address.length +
    via.line.length +
    2 * hostLength +
    context.serverHost.length +
    SLACK
  if (at + most > out.length) return -1

  const lastByte = head.length - CRLF.length
  const addsHost = !head.hasHostField && rules.isRuled[FIELD.host] === 0
  let o = at
  let runStart = head.methodStart
  if (head.isAbsolute || addsHost) {
    o = putRange(out, o, bytes, head.methodStart, head.methodEnd + 1)
    o = putRange(out, o, bytes, head.targetStart, head.targetEnd)
    o = put(out, o, SPACE_HTTP_11)
    runStart = head.lineEnd
  }
  if (addsHost) {
    o = put(out, o, HOST)
    if (hostLength > 0) o = putRange(out, o, bytes, head.hostStart, head.hostEnd)
    else o = put(out, o, context.serverHost)
    o = put(out, o, CRLF)
  }
  const ownVia = head.versionMinor === 0 ? via.oldLine : via.line
  let addsVia = rules.isRuled[FIELD.via] === 0
  const { fields } = head
  for (let f = 0, last = head.fieldCount * FIELD_STRIDE; f < last; f += FIELD_STRIDE) {
    const id = fields[f + 4] ?? 0
    const nameStart = fields[f] ?? 0
    if (isDropped(rules, id, bytes, nameStart, fields[f + 1] ?? 0)) {
      if (runStart < nameStart) o = putRange(out, o, bytes, runStart, nameStart)
      runStart = f + FIELD_STRIDE < last ? (fields[f + FIELD_STRIDE] ?? 0) : lastByte
    } else if (id === FIELD.via && head.indexOf(FIELD.via, f / FIELD_STRIDE + 1) < 0) {
      const valueEnd = fields[f + 3] ?? 0
      o = putRange(out, o, bytes, runStart, valueEnd)
      if (valueEnd > (fields[f + 2] ?? 0)) o = put(out, o, COMMA_SPACE)
      o = putRange(out, o, ownVia, VIA.length, ownVia.length - CRLF.length)
      runStart = valueEnd
      addsVia = false
    }
  }
  if (runStart < lastByte) o = putRange(out, o, bytes, runStart, lastByte)
  if (!head.isAbsolute && !addsHost) out[at + head.lineEnd - head.methodStart - 3] = DIGIT_ONE

  o = putForwarded(out, o, head, bytes, context)
  if (hostLength > 0 && rules.isRuled[FIELD.xForwardedHost] === 0) {
    o = put(out, o, FORWARDED_HOST)
    o = putRange(out, o, bytes, head.hostStart, head.hostEnd)
    o = put(out, o, CRLF)
  }
  if (rules.isRuled[FIELD.xRequestId] === 0) {
    o = put(out, o, REQUEST_ID)
    const kept = peer.isTrusted ? head.indexOf(FIELD.xRequestId) * FIELD_STRIDE : -1
    const start = kept < 0 ? 0 : (fields[kept + 2] ?? 0)
    const end = kept < 0 ? 0 : (fields[kept + 3] ?? 0)
    if (start < end) o = putRange(out, o, bytes, start, end)
    else o = put(out, o, context.requestId)
    o = put(out, o, CRLF)
  }
  if (addsVia) o = put(out, o, ownVia)
  o = put(out, o, rules.lines)
  return put(out, o, CRLF)
}

/** X-Forwarded-For, X-Real-IP and X-Forwarded-Proto, but for those that a rule names. */
const putForwarded = (
  out: Uint8Array,
  at: number,
  head: RequestHead,
  bytes: Uint8Array,
  context: RequestContext,
): number => {
  const { rules, peer } = context
  if (!rules.rulesOwn && !peer.isTrusted) return put(out, at, peer.lines)
  let o = at
  if (rules.isRuled[FIELD.xForwardedFor] === 0) {
    o = put(out, o, FORWARDED_FOR)
    let i = peer.isTrusted ? head.indexOf(FIELD.xForwardedFor) : -1
    for (; i >= 0; i = head.indexOf(FIELD.xForwardedFor, i + 1)) {
      const start = head.fields[i * FIELD_STRIDE + 2] ?? 0
      const end = head.fields[i * FIELD_STRIDE + 3] ?? 0
      if (start === end) continue
      o = putRange(out, o, bytes, start, end)
      o = put(out, o, COMMA_SPACE)
    }
    o = put(out, o, peer.address)
    o = put(out, o, CRLF)
  }
  if (rules.isRuled[FIELD.xRealIp] === 0) o = put(out, o, peer.realIpLine)
  if (rules.isRuled[FIELD.xForwardedProto] === 0) o = put(out, o, peer.protoLine)
  return o
}

/** Whether one hop of the request's Via fields is this very router: the request runs in a loop. */
export const hasVia = (head: RequestHead, bytes: Uint8Array, via: Via): boolean => {
  for (let i = head.indexOf(FIELD.via); i >= 0; i = head.indexOf(FIELD.via, i + 1)) {
    const end = head.fields[i * FIELD_STRIDE + 3] ?? 0
    let at = head.fields[i * FIELD_STRIDE + 2] ?? 0
    while (at < end) {
      const next = memberEnd(bytes, at, end)
      // received-protocol, white space, received-by, and perhaps a comment (RFC 9110 7.6.3)
      const protocol = skipSpace(bytes, at, next)
      const by = skipSpace(bytes, skipWord(bytes, protocol, next), next)
      if (spells(bytes, by, skipWord(bytes, by, next), via.lowerName)) return true
      at = next + 1
    }
  }
  return false
}

const skipWord = (bytes: Uint8Array, start: number, end: number): number => {
  let i = start
  while (i < end && bytes[i] !== SPACE && bytes[i] !== TAB) i++
  return i
}

/** Bytes that an answer's head gets beyond its own. */
const addedLength = (head: ResponseHead, context: ResponseContext): number => {
  let length = head.isInterim ? 0 : context.rules.lines.length
  if (context.framing === FRAMING.chunked) length += CHUNKED.length
  if (context.connection === CONNECTION.close) length += CLOSE.length
  else if (context.connection === CONNECTION.keepAlive) length += KEEP_ALIVE.length
  return length
}

const putAdded = (
  out: Uint8Array,
  at: number,
  head: ResponseHead,
  context: ResponseContext,
): number => {
  let o = at
  if (!head.isInterim) o = put(out, o, context.rules.lines)
  if (context.framing === FRAMING.chunked) o = put(out, o, CHUNKED)
  if (context.connection === CONNECTION.close) return put(out, o, CLOSE)
  return context.connection === CONNECTION.keepAlive ? put(out, o, KEEP_ALIVE) : o
}

/** Neither a 1xx nor a 204 has a Content-Length (RFC 9110 8.6). */
const dropsLength = (head: ResponseHead): boolean => head.isInterim || head.status === 204

/**
 * Writes an answer's head for the client: HTTP/1.1, without what belongs to the upstream's hop,
 * with the group's fields and our own framing. The end of what was written, or -1 when it does not
 * fit. The router's fields stand before the upstream's.
 */
export const writeResponseHead = (
  out: Uint8Array,
  at: number,
  head: ResponseHead,
  bytes: Uint8Array,
  context: ResponseContext,
): number => {
  const own = head.end - head.start
  if (at + own + addedLength(head, context) + SPACE_CRLF.length > out.length) return -1
  const { rules } = context
  const withoutLength = dropsLength(head)
  const lastByte = head.end - CRLF.length
  let o = putRange(out, at, bytes, head.start, head.lineEnd - CRLF.length)
  o = put(out, o, head.lacksSpace ? SPACE_CRLF : CRLF)
  out[at + MINOR_VERSION] = DIGIT_ONE
  o = putAdded(out, o, head, context)
  const { fields } = head
  let runStart = head.lineEnd
  for (let f = 0, last = head.fieldCount * FIELD_STRIDE; f < last; f += FIELD_STRIDE) {
    const id = fields[f + 4] ?? 0
    const nameStart = fields[f] ?? 0
    if (
      isDropped(rules, id, bytes, nameStart, fields[f + 1] ?? 0) ||
      (withoutLength && id === FIELD.contentLength)
    ) {
      if (runStart < nameStart) o = putRange(out, o, bytes, runStart, nameStart)
      runStart = f + FIELD_STRIDE < last ? (fields[f + FIELD_STRIDE] ?? 0) : lastByte
    }
  }
  return putRange(out, o, bytes, runStart, head.end)
}

/**
 * As `writeResponseHead`, but in the buffer where the head lies, so that it still ends where the
 * body begins and both go out in one write. The offset where the head now begins, or -1, with
 * nothing changed, when it might begin before `least`. Where nothing is removed or added, nothing
 * moves.
 */
export const rewriteResponseHead = (
  bytes: Uint8Array,
  least: number,
  head: ResponseHead,
  context: ResponseContext,
): number => {
  const added = addedLength(head, context)
  if (head.start - added - SPACE_CRLF.length < least) return -1
  const { rules } = context
  const withoutLength = dropsLength(head)
  const { fields } = head
  // Kept runs move right, the last first, so that none is overwritten before it has moved.
  let o = head.end
  let runEnd = head.end
  let lineStart = head.end - CRLF.length
  for (let f = (head.fieldCount - 1) * FIELD_STRIDE; f >= 0; f -= FIELD_STRIDE) {
    const id = fields[f + 4] ?? 0
    const nameStart = fields[f] ?? 0
    if (
      isDropped(rules, id, bytes, nameStart, fields[f + 1] ?? 0) ||
      (withoutLength && id === FIELD.contentLength)
    ) {
      o -= runEnd - lineStart
      if (o !== lineStart) bytes.copyWithin(o, lineStart, runEnd)
      runEnd = nameStart
    }
    lineStart = nameStart
  }
  o -= runEnd - head.lineEnd
  if (o !== head.lineEnd) bytes.copyWithin(o, head.lineEnd, runEnd)

  const line = head.lineEnd - head.start + (head.lacksSpace ? 1 : 0)
  const start = o - added - line
  if (start !== head.start) bytes.copyWithin(start, head.start, head.lineEnd)
  if (head.lacksSpace) put(bytes, start + line - SPACE_CRLF.length, SPACE_CRLF)
  bytes[start + MINOR_VERSION] = DIGIT_ONE
  if (added > 0) putAdded(bytes, start + line, head, context)
  return start
}

/**
 * Writes the request's head as the strict parser understood it, in a form that every other parser
 * reads the same way: origin-form, single spaces, one Host, the framing fields normalised and
 * `Connection: close`. For the general lane. The end, or -1 when it does not fit.
 */
export const writeNormalHead = (
  out: Uint8Array,
  at: number,
  head: RequestHead,
  bytes: Uint8Array,
): number => {
  if (at + 2 * head.length + SLACK > out.length) return -1
  let o = putRange(out, at, bytes, head.methodStart, head.methodEnd + 1)
  o = putRange(out, o, bytes, head.targetStart, head.targetEnd)
  o = put(out, o, head.versionMinor === 0 ? SPACE_HTTP_10 : SPACE_HTTP_11)
  const { fields } = head
  for (let f = 0, last = head.fieldCount * FIELD_STRIDE; f < last; f += FIELD_STRIDE) {
    const id = fields[f + 4] ?? 0
    if (NORMAL_DROPS[id] === 1 || (id === FIELD.expect && !head.expectsContinue)) continue
    o = putRange(out, o, bytes, fields[f] ?? 0, fields[f + 1] ?? 0)
    o = put(out, o, COLON_SPACE)
    o = putRange(out, o, bytes, fields[f + 2] ?? 0, fields[f + 3] ?? 0)
    o = put(out, o, CRLF)
  }
  if (!head.hasHostField && head.hostEnd > head.hostStart) {
    o = put(out, o, HOST)
    o = putRange(out, o, bytes, head.hostStart, head.hostEnd)
    o = put(out, o, CRLF)
  }
  if (head.isChunked) o = put(out, o, CHUNKED)
  o = put(out, o, CLOSE)
  return put(out, o, CRLF)
}
