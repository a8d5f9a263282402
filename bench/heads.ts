/**
 * What a head costs: `node bench/heads.ts`. Prints nanoseconds per call (the best of several
 * rounds; compare within one run) for parsing and rewriting a browser's request and a cache's answer,
 * and for the ways to copy a run of bytes that rewriting could use.
 */
import { compileHeaderRules } from '../router/core/header-rules.ts'
import { putRange } from '../router/core/ascii.ts'
import { METHODS } from '../router/core/methods.ts'
import { compilePeer, compileVia } from '../router/core/peer.ts'
import { RequestHead } from '../router/core/request-head.ts'
import { FRAMING, ResponseHead } from '../router/core/response-head.ts'
import {
  CONNECTION,
  rewriteResponseHead,
  writeRequestHead,
  writeResponseHead,
} from '../router/core/rewrite.ts'

const LIMITS = { targetBytes: 8192, headBytes: 32_768, fields: 200 }
const ROUNDS = 15
const CALLS = 20_000
const ANSWER_AT = 512

const REQUEST = [
  'GET /u/8231764/holiday/2024-07-16_184512_large.jpg?w=1024 HTTP/1.1',
  'Host: photos.example.com',
  'Connection: keep-alive',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
  'Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8',
  'Referer: https://www.example.com/albums/8231764/holiday',
  'Accept-Encoding: gzip, deflate, br',
  'Accept-Language: en-GB,en;q=0.9',
]
const ANSWER = [
  'HTTP/1.1 200 OK',
  'Server: nginx/1.22.1',
  'Date: Sun, 22 Nov 2026 17:00:00 GMT',
  'Content-Type: image/jpeg',
  'Content-Length: 131072',
  'Last-Modified: Sun, 22 Nov 2026 16:00:00 GMT',
  'Connection: keep-alive',
  'ETag: "6560a1b0-20000"',
  'Accept-Ranges: bytes',
]

const bufferOf = (lines: readonly string[], at: number): Buffer => {
  const buffer = Buffer.alloc(4096)
  buffer.write(`${lines.join('\r\n')}\r\n\r\n`, at, 'latin1')
  return buffer
}

const measure = (what: string, call: () => number): void => {
  let sum = 0
  let best = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < CALLS; i++) sum += call()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / CALLS)
  }
  process.stdout.write(`${best.toFixed(0).padStart(6)} ns  ${what}${sum === 0.5 ? '!' : ''}\n`)
}

const bytes = bufferOf(REQUEST, 0)
const answerBytes = bufferOf(ANSWER, ANSWER_AT)
const fresh = Buffer.from(answerBytes)
const length = bytes.indexOf('\r\n\r\n') + 4
const answerEnd = answerBytes.indexOf('\r\n\r\n') + 4
const out = Buffer.alloc(4096)
const head = new RequestHead(LIMITS)
const answer = new ResponseHead(LIMITS)
const context = {
  rules: compileHeaderRules({ set: {}, remove: [] }, 'request'),
  peer: compilePeer('10.1.2.3', false, false),
  via: compileVia('router-1', 'photos'),
  requestId: Buffer.alloc(32, '0'),
  serverHost: Buffer.from('10.0.0.21:80'),
}
const answerContext = {
  rules: compileHeaderRules({ set: {}, remove: [] }, 'response'),
  framing: FRAMING.length,
  connection: CONNECTION.silent,
}

measure(`parse a request of ${length} bytes`, () => {
  head.reset()
  return head.parse(bytes, length)
})
measure('write it for the cache', () => writeRequestHead(out, 0, head, bytes, context))
measure(`parse an answer of ${answerEnd - ANSWER_AT} bytes`, () => {
  answer.reset(ANSWER_AT, METHODS.GET)
  return answer.parse(answerBytes, answerEnd)
})
measure('write it for the client', () =>
  writeResponseHead(out, 0, answer, answerBytes, answerContext),
)
measure('rewrite it in place (with putting it back)', () => {
  answerBytes.set(fresh)
  return rewriteResponseHead(answerBytes, 0, answer, answerContext)
})
measure('(putting it back)', () => {
  answerBytes.set(fresh)
  return 1
})
const views = { from: new DataView(bytes.buffer), to: new DataView(out.buffer) }
for (const size of [16, 32, 64, 128, 350]) {
  const end = 20 + size
  measure(`copy ${size} bytes: byte by byte`, () => {
    for (let i = 20, o = 3; i < end; i++, o++) out[o] = bytes[i] ?? 0
    return 1
  })
  measure(`copy ${size} bytes: by words`, () => {
    const from = bytes.byteOffset
    let o = out.byteOffset + 3
    let i = from + 20
    for (; i + 4 <= from + end; i += 4, o += 4) views.to.setUint32(o, views.from.getUint32(i))
    for (; i < from + end; i++, o++) views.to.setUint8(o, views.from.getUint8(i))
    return 1
  })
  measure(`copy ${size} bytes: set(subarray)`, () => {
    out.set(bytes.subarray(20, end), 3)
    return 1
  })
  measure(`copy ${size} bytes: copyWithin`, () => {
    bytes.copyWithin(1003, 20, end)
    return 1
  })
  measure(`copy ${size} bytes: putRange`, () => putRange(out, 3, bytes, 20, end))
}
