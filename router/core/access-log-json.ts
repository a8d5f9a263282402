/**
 * The access log's JSON lines. Whatever bytes a client sent, a line is ASCII, parses, and has no raw
 * newline: a control character, `"`, `\` and every byte above 0x7e becomes `\u00XX`, so that the reader
 * sees each byte as the character of that number (Latin-1) and can have the bytes back.
 */
import { END_WORDS, FALLBACK_WORDS, LANE_WORDS, RETRY_WORDS } from './access-record.ts'
import type { AccessRecord } from './access-record.ts'
import { LIMIT, SecondText, worstCase } from './access-log-format.ts'
import type { LineFormatter } from './access-log-format.ts'
import {
  ascii,
  COMMA,
  put,
  putDigits,
  putInteger,
  putJson,
  putName,
  putWord,
  QUOTE,
} from './line-bytes.ts'

/** A formatter of its own (it keeps the last second's digits): one per log. */
export function createJsonFormatter(): LineFormatter {
  const clock = new SecondText(29, (ms) => `{"time":"${new Date(ms).toISOString()}`)
  return (record, out, start) => {
    if (start + worstCase(record, 6) > out.length) return -1
    let at = clock.put(out, start, record.startMs)
    at = putDigits(out, at, record.startMs % 1000, 3)
    at = put(out, at, ID)
    at = putJson(out, at, record.requestId, record.requestIdStart, record.requestIdEnd, LIMIT.id)
    at = putConnection(record, out, at)
    at = putRequest(record, out, at)
    at = putAnswer(record, out, at)
    if (record.group.length > 0) at = putWay(record, out, at)
    if (record.refererEnd > record.refererStart) {
      at = put(out, at, REFERER)
      at = putJson(out, at, record.head, record.refererStart, record.refererEnd, LIMIT.referer)
      at = put(out, at, QUOTE)
    }
    if (record.userAgentEnd > record.userAgentStart) {
      at = put(out, at, USER_AGENT)
      at = putJson(
        out,
        at,
        record.head,
        record.userAgentStart,
        record.userAgentEnd,
        LIMIT.userAgent,
      )
      at = put(out, at, QUOTE)
    }
    return put(out, at, LINE_END)
  }
}

function putConnection(record: AccessRecord, out: Uint8Array, start: number): number {
  const known = record.connection
  if (!known.isStale(record)) return put(out, start, known.text)
  let at = put(out, start, CLIENT)
  at = putName(out, at, record.client)
  at = put(out, at, PORT)
  at = putInteger(out, at, record.clientPort)
  at = put(out, at, LISTENER)
  at = putName(out, at, record.listener)
  if (record.tlsProtocol.length > 0) {
    at = put(out, at, TLS)
    at = putName(out, at, record.tlsProtocol)
    at = put(out, at, CIPHER)
    at = putName(out, at, record.tlsCipher)
  }
  known.text = out.slice(start, at)
  return at
}

function putRequest(record: AccessRecord, out: Uint8Array, start: number): number {
  let at = start
  if (record.methodEnd > record.methodStart) {
    at = put(out, at, METHOD)
    at = putJson(out, at, record.head, record.methodStart, record.methodEnd, LIMIT.method)
    at = put(out, at, TARGET)
    at = putJson(out, at, record.head, record.targetStart, record.targetEnd, LIMIT.target)
  }
  if (record.hostEnd > record.hostStart) {
    at = put(out, at, HOST)
    at = putJson(out, at, record.head, record.hostStart, record.hostEnd, LIMIT.host)
  }
  if (record.versionMinor >= 0) {
    at = put(out, at, HTTP)
    at = putInteger(out, at, record.versionMinor)
  }
  return at
}

function putAnswer(record: AccessRecord, out: Uint8Array, start: number): number {
  let at = put(out, start, STATUS)
  at = putInteger(out, at, record.status)
  at = put(out, at, BYTES)
  at = putInteger(out, at, record.bodyBytes)
  at = put(out, at, DURATION)
  at = putInteger(out, at, record.durationUs)
  return putWord(out, at, ENDED, record.end * LANE_WORDS.length + record.lane)
}

function putWay(record: AccessRecord, out: Uint8Array, start: number): number {
  let at = put(out, start, GROUP)
  at = putName(out, at, record.group)
  at = put(out, at, QUOTE)
  if (record.slot >= 0) {
    at = put(out, at, SHARD)
    at = putInteger(out, at, record.slot)
  }
  if (record.cache.length > 0) {
    at = put(out, at, CACHE)
    at = putName(out, at, record.cache)
    at = put(out, at, RANK)
    at = putInteger(out, at, Math.max(record.rank, 0))
  }
  if (record.fallback > 0) {
    at = put(out, at, FALLBACK_REASON)
    at = putWord(out, at, FALLBACK_BYTES, record.fallback)
    at = put(out, at, QUOTE)
  }
  at = put(out, at, ATTEMPTS)
  at = putInteger(out, at, record.attempts)
  if (record.retries !== 0) {
    at = put(out, at, RETRIES)
    for (let rest = record.retries; rest !== 0; rest >>>= 4) {
      if (rest !== record.retries) at = put(out, at, COMMA)
      at = put(out, at, QUOTE)
      at = putWord(out, at, RETRY_BYTES, rest & 15)
      at = put(out, at, QUOTE)
    }
    at = put(out, at, BRACKET)
  }
  if (record.upstreamStatus > 0 && record.upstreamStatus !== record.status) {
    at = put(out, at, UPSTREAM_STATUS)
    at = putInteger(out, at, record.upstreamStatus)
  }
  if (record.connectUs >= 0) {
    at = put(out, at, CONNECT)
    at = putInteger(out, at, record.connectUs)
  }
  if (record.firstByteUs >= 0) {
    at = put(out, at, FIRST_BYTE)
    at = putInteger(out, at, record.firstByteUs)
  }
  if (record.upstreamUs >= 0) {
    at = put(out, at, UPSTREAM)
    at = putInteger(out, at, record.upstreamUs)
  }
  return at
}

/** End and lane together, `end * LANE_WORDS.length + lane`. */
const ENDED = END_WORDS.flatMap((end) =>
  LANE_WORDS.map((lane) => ascii(`,"end":"${end}"${lane === '' ? '' : `,"lane":"${lane}"`}`)),
)
const FALLBACK_BYTES = FALLBACK_WORDS.map(ascii)
const RETRY_BYTES = RETRY_WORDS.map(ascii)
const BRACKET = ascii(']')
const ID = ascii('Z","id":"')
const CLIENT = ascii('","client":"')
const PORT = ascii('","port":')
const LISTENER = ascii(',"listener":"')
const TLS = ascii('","tls":"')
const CIPHER = ascii('","cipher":"')
const METHOD = ascii('","method":"')
const TARGET = ascii('","target":"')
const HOST = ascii('","host":"')
const HTTP = ascii('","http":"1.')
const STATUS = ascii('","status":')
const BYTES = ascii(',"bytes":')
const DURATION = ascii(',"durationUs":')
const GROUP = ascii(',"group":"')
const SHARD = ascii(',"shard":')
const CACHE = ascii(',"cache":"')
const RANK = ascii('","rank":')
const FALLBACK_REASON = ascii(',"fallback":"')
const ATTEMPTS = ascii(',"attempts":')
const RETRIES = ascii(',"retries":[')
const UPSTREAM_STATUS = ascii(',"upstreamStatus":')
const CONNECT = ascii(',"connectUs":')
const FIRST_BYTE = ascii(',"firstByteUs":')
const UPSTREAM = ascii(',"upstreamUs":')
const REFERER = ascii(',"referer":"')
const USER_AGENT = ascii(',"userAgent":"')
const LINE_END = ascii('}\n')
