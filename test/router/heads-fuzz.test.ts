import fc from 'fast-check'
import t from 'tap'
import { CHUNKED_MODE, ChunkedDecoder } from '../../router/core/chunked.ts'
import { FIELD_STRIDE, PARSE } from '../../router/core/field-section.ts'
import type { FieldSection } from '../../router/core/field-section.ts'
import { compileHeaderRules } from '../../router/core/header-rules.ts'
import { compilePeer, compileVia } from '../../router/core/peer.ts'
import { RequestHead } from '../../router/core/request-head.ts'
import { ResponseHead } from '../../router/core/response-head.ts'
import {
  hasVia,
  rewriteResponseHead,
  writeNormalHead,
  writeRequestHead,
  writeResponseHead,
} from '../../router/core/rewrite.ts'
import { spellingFault } from '../../router/core/target.ts'
import { bytesOf, textOf } from './core/head-support.ts'

// Small everywhere, larger where machines have the time; the seed is printed to repeat a run.
const isLong = process.env['CI'] === 'true'
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const run = (numRuns: number) => ({
  seed,
  numRuns: isLong ? numRuns * 20 : numRuns,
  interruptAfterTimeLimit: isLong ? 1500 : 500,
})
t.comment(`FUZZ_SEED=${seed}`)

const LIMITS = { targetBytes: 60, headBytes: 400, fields: 8 }

const pick = (...texts: string[]): fc.Arbitrary<string> => fc.constantFrom(...texts)
const anyByte = fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte))
const method = pick('GET', 'HEAD', 'POST', 'OPTIONS', 'CONNECT', 'get', 'BREW', '', 'GE\x00T')
const target = fc.oneof(
  pick(
    '/',
    '/u/1/a.jpg?b',
    '*',
    'http://a',
    'http://a/x',
    'HTTPS://A:443?q',
    'http://',
    'a',
    '',
    '/#',
    '/ ',
  ),
  fc.array(anyByte, { maxLength: 70 }).map((bytes) => `/${bytes.join('')}`),
)
const version = pick('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'http/1.1', 'HTTP/1.', '')
const end = fc.oneof(
  { weight: 12, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: pick('\n', '\r', '', '\r\r\n', '\r\n ') },
)
const name = fc.oneof(
  pick(
    'Host',
    'Content-Length',
    'Transfer-Encoding',
    'Connection',
    'Expect',
    'Via',
    'Keep-Alive',
    'X-A',
    'x-forwarded-for',
    'X_A',
    'TE',
  ),
  fc.array(anyByte, { maxLength: 4 }).map((bytes) => bytes.join('')),
)
const value = fc.oneof(
  pick(
    'a',
    'a:80',
    '5',
    '0',
    'chunked',
    'gzip, chunked',
    'close',
    'keep-alive, x-a',
    'host',
    '100-continue',
    '1.1 router-1.edge',
    '',
    '\tb ',
  ),
  fc.array(anyByte, { maxLength: 12 }).map((bytes) => bytes.join('')),
)
const line = fc
  .tuple(name, fc.oneof({ weight: 12, arbitrary: pick(':', ': ') }, pick(' :', '')), value, end)
  .map((parts) => parts.join(''))
const lines = fc.array(line, { maxLength: 9 }).map((all) => all.join(''))
const good = fc.constant('Host: a\r\n')
const request = fc
  .tuple(
    pick('', '', '', '\r\n', '\r\n\r\n'),
    method,
    pick(' ', ' ', ' ', '  ', '\t'),
    target,
    pick(' ', ' ', ' ', '  '),
    version,
    end,
    fc.oneof(good, lines),
    lines,
    end,
  )
  .map((parts) => parts.join(''))
const goodLine = fc
  .tuple(
    pick(
      'A',
      'X_B',
      'x-a',
      'Via',
      'TE',
      'X-Forwarded-For',
      'X-Request-Id',
      'Keep-Alive',
      'Connection',
    ),
    pick(':', ': ', ':\t '),
    pick('', 'a', 'close', 'x-a, te', '1.0 fred', '\u00e4 b', 'a '.repeat(9)),
  )
  .map((parts) => `${parts.join('')}\r\n`)
const framingLine = pick(
  'Content-Length: 0\r\n',
  'content-length:5 \r\n',
  'Transfer-Encoding: Chunked\r\n',
  'Expect: 100-continue\r\nContent-Length: 3\r\n',
  '',
)
const wellFormed = fc
  .tuple(
    pick('GET ', 'HEAD ', '\r\nPUT '),
    pick('/', '/u/1/a.jpg?b', 'http://a', 'http://A/x', 'HTTP://a:80?q'),
    pick(' HTTP/1.1\r\n', ' HTTP/1.1\r\n', ' HTTP/1.0\r\n', ' HTTP/1.2\r\n'),
    fc.array(goodLine, { maxLength: 3 }).map((all) => all.join('')),
    pick('Host: a\r\n', 'host:A:80\r\n', ''),
    framingLine,
    fc.array(goodLine, { maxLength: 3 }).map((all) => all.join('')),
  )
  .map((parts) => `${parts.join('')}\r\n`)
const statusLine = fc.oneof(
  pick(
    'HTTP/1.1 200 OK',
    'HTTP/1.0 304 ',
    'HTTP/1.1 204',
    'HTTP/1.1 103 x',
    'HTTP/1.1 101 ',
    'HTTP/2 200',
  ),
  fc.array(anyByte, { maxLength: 9 }).map((bytes) => `HTTP/1.1 ${bytes.join('')}`),
)
const response = fc.tuple(statusLine, end, lines, end).map((parts) => parts.join(''))
const noise = fc.array(anyByte, { maxLength: 500 }).map((bytes) => bytes.join(''))
const anyRequest = fc.oneof(
  { weight: 4, arbitrary: request },
  { weight: 4, arbitrary: wellFormed },
  noise,
)
const anyResponse = fc.oneof({ weight: 9, arbitrary: response }, noise)
const cuts = fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 12 })

/** Throws, so that fast-check can shrink to the smallest case. */
const same = (found: unknown, wanted: unknown): void => {
  if (found !== wanted) throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(wanted)}`)
}

/** Everything that a parser says of a head, as one text. */
const said = (head: FieldSection, status: number): string => {
  if (status === PARSE.refused) return `${head.refusal.status} ${head.refusal.reason}`
  if (status === PARSE.incomplete) return 'incomplete'
  const hidden = [
    'fields',
    'limits',
    'refusal',
    'nameStart',
    'nameEnd',
    'valueStart',
    'isUnderscored',
    'nameId',
  ]
  const facts = Object.entries(head).filter(
    ([key, fact]) => !hidden.includes(key) && typeof fact !== 'object',
  )
  const fields = head.fields.subarray(0, head.fieldCount * FIELD_STRIDE)
  return `${JSON.stringify(facts)} ${fields.join()}`
}

/** Feeds up to each cut in turn, then all; stops at the first answer. */
const inPieces = (
  ends: readonly number[],
  length: number,
  parse: (end: number) => number,
): number => {
  let status: number = PARSE.incomplete
  for (const at of [...ends].sort((a, b) => a - b).concat(length)) {
    if (at > length) continue
    status = parse(at)
    if (status !== PARSE.incomplete) return status
  }
  return status
}

const requestIn = (text: string, ends: readonly number[]): string => {
  const head = new RequestHead(LIMITS)
  const bytes = bytesOf(text)
  head.reset()
  const status = inPieces(ends, bytes.length, (at) => head.parse(bytes, at))
  return `${said(head, status)} ${textOf(bytes)}`
}
const responseIn = (text: string, ends: readonly number[]): string => {
  const head = new ResponseHead(LIMITS)
  const bytes = bytesOf(`..${text}`)
  head.reset(2, 1)
  return said(
    head,
    inPieces(
      ends.map((at) => at + 2),
      bytes.length,
      (at) => head.parse(bytes, at),
    ),
  )
}
const everyByte = (text: string): readonly number[] =>
  Array.from({ length: text.length }, (_, i) => i)

void t.test('every split of a request head gives the same result', (t) => {
  fc.assert(
    fc.property(anyRequest, cuts, (text, ends) => {
      const whole = requestIn(text, [])
      return requestIn(text, ends) === whole && requestIn(text, everyByte(text)) === whole
    }),
    run(3000),
  )
  t.end()
})

void t.test("every split of an answer's head gives the same result", (t) => {
  fc.assert(
    fc.property(anyResponse, cuts, (text, ends) => {
      const whole = responseIn(text, [])
      return responseIn(text, ends) === whole && responseIn(text, everyByte(text)) === whole
    }),
    run(3000),
  )
  t.end()
})

void t.test('a head once refused stays refused whatever follows', (t) => {
  fc.assert(
    fc.property(anyRequest, noise, (text, more) => {
      const [status] = requestIn(text, []).split(' ')
      return (
        status === 'incomplete' ||
        status?.startsWith('[') === true ||
        requestIn(text + more, []).startsWith(`${status} `)
      )
    }),
    run(1000),
  )
  t.end()
})

const context = {
  rules: compileHeaderRules({ set: { 'X-Set': '1' }, remove: ['X-A'] }, 'request'),
  peer: compilePeer('192.0.2.7', true, true),
  via: compileVia('router-1', 'edge'),
  requestId: bytesOf('0'.repeat(32)),
  serverHost: bytesOf('10.0.0.1:80'),
}

void t.test('what is written upstream is a head that the strict parser accepts', (t) => {
  const head = new RequestHead(LIMITS)
  const again = new RequestHead({ targetBytes: 8192, headBytes: 32_768, fields: 200 })
  const out = new Uint8Array(4096)
  let accepted = 0
  fc.assert(
    fc.property(anyRequest, (text) => {
      const bytes = bytesOf(text)
      head.reset()
      if (head.parse(bytes, bytes.length) !== PARSE.complete) return
      accepted++
      spellingFault(bytes, head.targetStart, head.pathEnd)
      hasVia(head, bytes, context.via)
      const target = textOf(bytes, head.targetStart, head.targetEnd)
      for (const write of [writeRequestHead, writeNormalHead]) {
        const written = write(out, 0, head, bytes, context)
        again.reset()
        same(again.parse(out, written), PARSE.complete)
        same(again.length, written)
        same(textOf(out, again.targetStart, again.targetEnd), target)
        same(again.method, head.method)
        same(again.isAbsolute, false)
      }
      same(again.contentLength, head.contentLength)
      same(again.isChunked, head.isChunked)
      same(again.expectsContinue, head.expectsContinue)
    }),
    run(1500),
  )
  t.comment(`${accepted} heads were accepted`)
  t.ok(accepted > 0)
  t.end()
})

void t.test('what is written downstream is a head that the strict parser accepts', (t) => {
  const head = new ResponseHead(LIMITS)
  const again = new ResponseHead({ targetBytes: 8192, headBytes: 32_768, fields: 200 })
  const rules = compileHeaderRules({ set: { 'X-Set': '1' }, remove: ['X-A'] }, 'response')
  const out = new Uint8Array(4096)
  let accepted = 0
  fc.assert(
    fc.property(anyResponse, fc.integer({ min: 0, max: 2 }), (text, connection) => {
      const bytes = bytesOf('.'.repeat(200) + text)
      head.reset(200, 1)
      if (head.parse(bytes, bytes.length) !== PARSE.complete) return
      accepted++
      const answer = { rules, framing: head.framing, connection }
      const { end: bodyStart } = head
      const written = writeResponseHead(out, 0, head, bytes, answer)
      const start = rewriteResponseHead(bytes, 0, head, answer)
      same(textOf(bytes, start, bodyStart), textOf(out, 0, written))
      again.reset(0, 1)
      same(again.parse(out, written), PARSE.complete)
      same(again.framing, head.framing)
      same(again.status, head.status)
    }),
    run(1500),
  )
  t.comment(`${accepted} heads were accepted`)
  t.ok(accepted > 0)
  t.end()
})

/** A dumb decoder of the whole text, for texts without extensions and trailers. */
const dumbly = (text: string): string | undefined => {
  let rest = text
  let data = ''
  for (;;) {
    const size = /^([0-9a-fA-F]{1,16})\r\n/.exec(rest)
    if (size === null) return undefined
    const length = Number.parseInt(size[1] ?? '', 16)
    rest = rest.slice(size[0].length)
    if (length === 0) return rest.startsWith('\r\n') ? data : undefined
    data += rest.slice(0, length)
    if (rest.slice(length, length + 2) !== '\r\n') return undefined
    rest = rest.slice(length + 2)
  }
}

const chunkedText = fc
  .array(
    fc.oneof(
      pick(
        '0\r\n',
        '\r\n',
        '1\r\na\r\n',
        '3;x=y\r\nabc\r\n',
        '00a\r\n0123456789\r\n',
        'A: b\r\n',
        '2\r\n\r\n\r\n',
        '\n',
        'g',
      ),
      anyByte,
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''))

void t.test('every split of a chunked body gives the same result', (t) => {
  const decode = (text: string, mode: number, ends: readonly number[]): string => {
    const decoder = new ChunkedDecoder()
    const bytes = bytesOf(text)
    decoder.reset(mode)
    let ranges = ''
    let from = 0
    for (const at of [...ends].sort((a, b) => a - b).concat(bytes.length)) {
      if (at > bytes.length) continue
      decoder.feed(bytes, from, at)
      while (decoder.next()) ranges += textOf(bytes, decoder.rangeStart, decoder.rangeEnd)
      from = at
      if (decoder.isDone || decoder.isBroken) break
    }
    // How much of a broken body was passed on depends on the pieces it came in.
    if (decoder.isBroken) return 'broken'
    return `${decoder.isDone} ${ranges}`
  }
  fc.assert(
    fc.property(chunkedText, cuts, (text, ends) => {
      for (const mode of [CHUNKED_MODE.data, CHUNKED_MODE.wire]) {
        const whole = decode(text, mode, [])
        same(decode(text, mode, ends), whole)
        same(decode(text, mode, everyByte(text)), whole)
      }
      const plain = dumbly(text)
      if (plain !== undefined) same(decode(text, CHUNKED_MODE.data, ends), `true ${plain}`)
      const wire = decode(text, CHUNKED_MODE.wire, ends)
      if (wire.startsWith('true ')) {
        same(`true ${dumbly(wire.slice(5)) ?? 'invalid'}`, decode(text, CHUNKED_MODE.data, []))
      }
    }),
    run(3000),
  )
  t.end()
})

void t.test('a head that comes byte by byte costs its length, not its square', (t) => {
  const limits = { targetBytes: 8192, headBytes: 32_768, fields: 200 }
  const head = new RequestHead(limits)
  const texts = [
    `GET / HTTP/1.1\r\nHost: a\r\nA: ${'a'.repeat(32_000)}\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\nA:${' '.repeat(32_000)}\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\n${'a'.repeat(32_000)}: b\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\n${'_'.repeat(32_000)}: b\r\n\r\n`,
    `GET /?${'a'.repeat(8000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  ]
  for (const text of texts) {
    const bytes = bytesOf(text)
    let reads = 0
    const counting = new Proxy(bytes, {
      get: (target, key) => {
        reads++
        const found: unknown = Reflect.get(target, key, target)
        return found
      },
    })
    head.reset()
    let status: number = PARSE.incomplete
    for (let end = 1; end <= bytes.length && status === PARSE.incomplete; end++) {
      status = head.parse(counting, end)
    }
    t.equal(status, PARSE.complete)
    t.ok(reads < 10 * bytes.length, `${reads} reads of ${bytes.length} bytes`)
  }
  t.end()
})

void t.test('parsing keeps nothing: a parser has the size of its limits', (t) => {
  const head = new RequestHead(LIMITS)
  const { length } = head.fields
  fc.assert(
    fc.property(noise, (text) => {
      head.reset()
      const bytes = bytesOf(text)
      head.parse(bytes, bytes.length)
      return head.fields.length === length && head.fieldCount <= LIMITS.fields
    }),
    run(300),
  )
  t.end()
})
