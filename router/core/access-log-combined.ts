/** The access log in the combined format. */
import { END_WORDS, FALLBACK_WORDS, LANE_WORDS, RETRY_WORDS } from './access-record.ts'
import type { AccessRecord } from './access-record.ts'
import { LIMIT, SecondText, worstCase } from './access-log-format.ts'
import type { LineFormatter } from './access-log-format.ts'
import {
  ascii,
  COMMA,
  DASH,
  put,
  putHex,
  putInteger,
  putNameOrDash,
  putSeconds,
  putWord,
  SPACE,
} from './line-bytes.ts'

/**
 * nginx's and Apache's combined format, then ` name=value` for what a router knows beyond it; times in
 * seconds as nginx writes them, `-` where there is none. The time is UTC.
 */
export function createCombinedFormatter(): LineFormatter {
  const clock = new SecondText(20, combinedTime)
  return (record, out, start) => {
    if (start + worstCase(record, 4) > out.length) return -1
    let at = putNameOrDash(out, start, record.client)
    at = put(out, at, COMBINED_TIME)
    at = clock.put(out, at, record.startMs)
    at = put(out, at, COMBINED_ZONE)
    if (record.methodEnd > record.methodStart) {
      at = putHex(out, at, record.head, record.methodStart, record.methodEnd, LIMIT.method)
      at = put(out, at, SPACE)
      at = putHex(out, at, record.head, record.targetStart, record.targetEnd, LIMIT.target)
      if (record.versionMinor >= 0) {
        at = put(out, at, COMBINED_HTTP)
        at = putInteger(out, at, record.versionMinor)
      }
    } else at = put(out, at, DASH)
    at = put(out, at, COMBINED_STATUS)
    at = putInteger(out, at, record.status)
    at = put(out, at, SPACE)
    at = putInteger(out, at, record.bodyBytes)
    at = put(out, at, COMBINED_TEXT)
    at = putHexOrDash(out, at, record, record.refererStart, record.refererEnd, LIMIT.referer)
    at = put(out, at, COMBINED_BETWEEN)
    at = putHexOrDash(out, at, record, record.userAgentStart, record.userAgentEnd, LIMIT.userAgent)
    at = put(out, at, COMBINED_SHARD)
    at = record.slot >= 0 ? putInteger(out, at, record.slot) : put(out, at, DASH)
    at = put(out, at, COMBINED_CACHE)
    at = putNameOrDash(out, at, record.cache)
    at = put(out, at, COMBINED_RANK)
    at = record.rank >= 0 ? putInteger(out, at, record.rank) : put(out, at, DASH)
    at = put(out, at, COMBINED_FALLBACK)
    at = putWord(out, at, FALLBACK_TOKENS, record.fallback)
    at = put(out, at, COMBINED_ATTEMPTS)
    at = putInteger(out, at, record.attempts)
    at = put(out, at, COMBINED_RETRIES)
    if (record.retries === 0) at = put(out, at, DASH)
    for (let rest = record.retries; rest !== 0; rest >>>= 4) {
      if (rest !== record.retries) at = put(out, at, COMMA)
      at = putWord(out, at, RETRY_TOKENS, rest & 15)
    }
    at = put(out, at, COMBINED_UPSTREAM_STATUS)
    at = record.upstreamStatus > 0 ? putInteger(out, at, record.upstreamStatus) : put(out, at, DASH)
    at = put(out, at, COMBINED_CONNECT)
    at = putSeconds(out, at, record.connectUs)
    at = put(out, at, COMBINED_FIRST_BYTE)
    at = putSeconds(out, at, record.firstByteUs)
    at = put(out, at, COMBINED_UPSTREAM)
    at = putSeconds(out, at, record.upstreamUs)
    at = put(out, at, COMBINED_DURATION)
    at = putSeconds(out, at, record.durationUs)
    at = put(out, at, COMBINED_END)
    at = putWord(out, at, END_TOKENS, record.end)
    at = put(out, at, COMBINED_LANE)
    at = putWord(out, at, LANE_TOKENS, record.lane)
    at = put(out, at, COMBINED_ID)
    at = putHex(out, at, record.requestId, record.requestIdStart, record.requestIdEnd, LIMIT.id)
    return put(out, at, COMBINED_LINE_END)
  }
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

function combinedTime(ms: number): string {
  const date = new Date(ms)
  const day = String(date.getUTCDate()).padStart(2, '0')
  const month = MONTHS[date.getUTCMonth()] ?? ''
  return `${day}/${month}/${date.getUTCFullYear()}:${date.toISOString().slice(11, 19)}`
}

function putHexOrDash(
  out: Uint8Array,
  at: number,
  record: AccessRecord,
  from: number,
  to: number,
  limit: number,
): number {
  // A field that is there and empty is "", as nginx has it.
  return to > 0 ? putHex(out, at, record.head, from, to, limit) : put(out, at, DASH)
}

const tokens = (words: readonly string[]): Uint8Array[] =>
  words.map((word) => ascii(word === '' ? '-' : word.replaceAll(' ', '-')))

const END_TOKENS = tokens(END_WORDS)
const FALLBACK_TOKENS = tokens(FALLBACK_WORDS)
const RETRY_TOKENS = tokens(RETRY_WORDS)
const LANE_TOKENS = tokens(LANE_WORDS)
const COMBINED_TIME = ascii(' - - [')
const COMBINED_ZONE = ascii(' +0000] "')
const COMBINED_HTTP = ascii(' HTTP/1.')
const COMBINED_STATUS = ascii('" ')
const COMBINED_TEXT = ascii(' "')
const COMBINED_BETWEEN = ascii('" "')
const COMBINED_SHARD = ascii('" shard=')
const COMBINED_CACHE = ascii(' cache=')
const COMBINED_RANK = ascii(' rank=')
const COMBINED_FALLBACK = ascii(' fallback=')
const COMBINED_ATTEMPTS = ascii(' attempts=')
const COMBINED_RETRIES = ascii(' retries=')
const COMBINED_UPSTREAM_STATUS = ascii(' upstream_status=')
const COMBINED_CONNECT = ascii(' connect=')
const COMBINED_FIRST_BYTE = ascii(' first_byte=')
const COMBINED_UPSTREAM = ascii(' upstream=')
const COMBINED_DURATION = ascii(' duration=')
const COMBINED_END = ascii(' end=')
const COMBINED_LANE = ascii(' lane=')
const COMBINED_ID = ascii(' id="')
const COMBINED_LINE_END = ascii('"\n')
