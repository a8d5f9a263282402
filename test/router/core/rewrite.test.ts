import t from 'tap'
import type { HeaderRules } from '../../../common/config/config.ts'
import { compileHeaderRules, mayRule } from '../../../router/core/header-rules.ts'
import { compilePeer, compileVia, plainAddress } from '../../../router/core/peer.ts'
import { FRAMING } from '../../../router/core/response-head.ts'
import {
  CONNECTION,
  hasVia,
  rewriteResponseHead,
  writeNormalHead,
  writeRequestHead,
  writeResponseHead,
} from '../../../router/core/rewrite.ts'
import { bytesOf, parseRequest, parseResponse, textOf } from './head-support.ts'

const NO_RULES: HeaderRules = { set: {}, remove: [] }
const ID = '0123456789abcdef0123456789abcdef'
const OWN = [
  'X-Forwarded-For: 192.0.2.7',
  'X-Real-IP: 192.0.2.7',
  'X-Forwarded-Proto: http',
  'X-Forwarded-Host: a.example',
  `X-Request-Id: ${ID}`,
  'Via: 1.1 router-1.edge',
]

interface Options {
  readonly rules?: HeaderRules
  readonly isTrusted?: boolean
  readonly address?: string
  readonly isHttps?: boolean
}

const VIA = compileVia('router-1', 'edge')

/** The head that a cache gets, as lines without the empty one. */
const upstream = (text: string, options: Options = {}): readonly string[] => {
  const { head, bytes, outcome } = parseRequest(text)
  t.equal(outcome, 'ok')
  const out = new Uint8Array(8192)
  const end = writeRequestHead(out, 5, head, bytes, {
    rules: compileHeaderRules(options.rules ?? NO_RULES, 'request'),
    peer: compilePeer(
      options.address ?? '192.0.2.7',
      options.isHttps === true,
      options.isTrusted === true,
    ),
    via: VIA,
    requestId: bytesOf(ID),
    serverHost: bytesOf('10.0.0.21:80'),
  })
  const lines = textOf(out, 5, end).split('\r\n')
  t.strictSame(lines.slice(-2), ['', ''], 'the head ends with one empty line')
  return lines.slice(0, -2)
}
const get = (...lines: string[]): string =>
  `GET /u/1 HTTP/1.1\r\nHost: a.example\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
/** What is left of these field lines: the head without request line, Host, and the router's own. */
const kept = (lines: readonly string[], options: Options = {}): readonly string[] =>
  upstream(get(...lines), options).filter((line, i) => i > 1 && !OWN.includes(line))

void t.test('a cache is asked as the client asked, with the fields of the router after it', (t) => {
  t.strictSame(
    upstream('GET /u/1?a=b HTTP/1.1\r\nHost: a.example\r\naccept:  */* \r\nCookie: a\r\n\r\n'),
    ['GET /u/1?a=b HTTP/1.1', 'Host: a.example', 'accept:  */* ', 'Cookie: a', ...OWN],
  )
  t.end()
})

void t.test('caches are always asked in HTTP/1.1', (t) => {
  for (const version of ['1.0', '1.1', '1.7']) {
    const lines = upstream(`\r\nHEAD / HTTP/${version}\r\nHost: A.example:80\r\n\r\n`)
    t.equal(lines[0], 'HEAD / HTTP/1.1')
    t.equal(lines[1], 'Host: A.example:80', 'byte for byte')
  }
  t.end()
})

void t.test('a cache gets a Host even where the client sent none', (t) => {
  t.strictSame(upstream('GET / HTTP/1.0\r\nA: b\r\n\r\n'), [
    'GET / HTTP/1.1',
    'Host: 10.0.0.21:80',
    'A: b',
    ...OWN.slice(0, 3),
    OWN[4],
    'Via: 1.0 router-1.edge',
  ])
  t.strictSame(upstream('GET http://B.example:8080?x HTTP/1.0\r\n\r\n').slice(0, 2), [
    'GET /?x HTTP/1.1',
    'Host: B.example:8080',
  ])
  t.strictSame(
    upstream('GET http://a.example/x HTTP/1.1\r\nHost: A.example:80\r\n\r\n').slice(0, 2),
    ['GET /x HTTP/1.1', 'Host: A.example:80'],
  )
  t.end()
})

void t.test('what belongs to one hop is removed from requests', (t) => {
  t.strictSame(
    kept([
      'Connection: keep-alive, x-Mine, TE',
      'A: 1',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'TE: trailers',
      'B: 2',
      'C: 3',
      'Trailer: X',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABk',
      'X-Mine: secret',
      'x-mine: again',
      'D: 4',
    ]),
    ['A: 1', 'B: 2', 'C: 3', 'D: 4'],
  )
  t.strictSame(kept(['Connection: close']), [])
  t.strictSame(kept(['Expect: 100-continue']), [], 'the client has no body to wait with')
  t.end()
})

void t.test('what a client claims is removed', (t) => {
  const claims = [
    'X-Forwarded-For: 1.1.1.1',
    'x-forwarded-for: 1.1.1.2',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: evil.example',
    'X-Forwarded-Port: 1',
    'X-Forwarded-Prefix: /x',
    'Forwarded: for=1.1.1.1',
    'X-Real-IP: 1.1.1.1',
    'X-Request-Id: evil',
  ]
  t.strictSame(upstream(get(...claims)), ['GET /u/1 HTTP/1.1', 'Host: a.example', ...OWN])
  t.strictSame(kept(['X_Forwarded_For: 1.1.1.1', 'X_Mine: 1']), [], 'nor in the spelling of CGI')
  t.strictSame(kept(['X-Forwarded: 1']), ['X-Forwarded: 1'])
  t.end()
})

void t.test('from a trusted peer X-Forwarded-For is appended to and the id is kept', (t) => {
  const lines = upstream(
    get(
      'X-Forwarded-For: 1.1.1.1',
      'x-forwarded-for: 1.1.1.2, 1.1.1.3',
      'X-Request-Id: theirs',
      'Forwarded: for=x',
    ),
    { isTrusted: true },
  )
  t.strictSame(lines.slice(2), [
    'X-Forwarded-For: 1.1.1.1, 1.1.1.2, 1.1.1.3, 192.0.2.7',
    ...OWN.slice(1, 4),
    'X-Request-Id: theirs',
    OWN[5],
  ])
  t.strictSame(
    upstream(get('X-Forwarded-For:', 'X-Request-Id:'), { isTrusted: true }).slice(2),
    OWN,
  )
  t.end()
})

void t.test('an IPv4 peer on an IPv6 socket is forwarded as IPv4', (t) => {
  t.ok(upstream(get(), { address: '::ffff:192.0.2.7' }).includes('X-Forwarded-For: 192.0.2.7'))
  t.ok(upstream(get(), { address: '2001:db8::1' }).includes('X-Real-IP: 2001:db8::1'))
  t.ok(upstream(get(), { isHttps: true }).includes('X-Forwarded-Proto: https'))
  t.equal(plainAddress('::FFFF:10.0.0.1'), '10.0.0.1')
  t.equal(plainAddress('::ffff:a00:1'), '::ffff:a00:1')
  t.end()
})

void t.test('Via is appended to, in the version received', (t) => {
  const via = (...lines: string[]): readonly string[] =>
    upstream(get(...lines)).filter((line) => line.toLowerCase().startsWith('via'))
  t.strictSame(via(), ['Via: 1.1 router-1.edge'])
  t.strictSame(via('via: 1.0 fred'), ['via: 1.0 fred, 1.1 router-1.edge'])
  t.strictSame(via('Via: 1.0 fred ', 'A: b', 'Via: 1.1 x'), [
    'Via: 1.0 fred ',
    'Via: 1.1 x, 1.1 router-1.edge',
  ])
  t.strictSame(via('Via:'), ['Via:1.1 router-1.edge'])
  t.strictSame(via('Connection: via', 'Via: 1.0 fred'), ['Via: 1.1 router-1.edge'])
  t.end()
})

void t.test('a request that has been here before is noticed', (t) => {
  const isLoop = (...lines: string[]): boolean => {
    const { head, bytes } = parseRequest(get(...lines))
    return hasVia(head, bytes, VIA)
  }
  t.equal(isLoop(), false)
  t.equal(isLoop('Via: 1.1 router-1.edge'), true)
  t.equal(isLoop('Via: 1.0 fred, 1.1 ROUTER-1.Edge (comment)', 'A: b'), true)
  t.equal(isLoop('Via: 1.0 fred', 'Via: HTTP/1.1\t router-1.edge,1.1 x'), true)
  t.equal(isLoop('Via: 1.1 router-2.edge'), false, 'two tiers are fine')
  t.equal(isLoop('Via: 1.1 router-1.edge.example'), false)
  t.equal(isLoop('Via: 1.1 xrouter-1.edge'), false)
  t.equal(isLoop('Via: 1.1 fred (router-1.edge)'), false)
  t.equal(isLoop('Via: router-1.edge'), false)
  t.equal(isLoop('X: 1.1 router-1.edge'), false)
  t.end()
})

void t.test("a group's requestHeaders set and remove fields", (t) => {
  const rules = {
    set: { 'X-Mine': 'a', 'Accept-Language': 'en' },
    remove: ['cookie', 'X-Theirs', 'x-forwarded-foo'],
  }
  t.strictSame(
    kept(['Cookie: a', 'x-mine: b', 'A: 1', 'X-THEIRS: c', 'accept-language: de'], { rules }),
    ['A: 1', 'X-Mine: a', 'Accept-Language: en'],
  )
  t.end()
})

void t.test("a rule's word about the router's own fields is final", (t) => {
  const rules = {
    set: { 'X-Real-IP': 'hidden', Host: 'origin.example', 'X-Request-Id': '1' },
    remove: ['X-Forwarded-For', 'X-Forwarded-Host', 'Via', 'x-forwarded-proto'],
  }
  const expected = [
    'GET /u/1 HTTP/1.1',
    'X-Real-IP: hidden',
    'Host: origin.example',
    'X-Request-Id: 1',
  ]
  t.strictSame(upstream(get('Via: 1.1 x'), { rules }), expected)
  t.strictSame(upstream(get('Via: 1.1 x'), { rules, isTrusted: true }), expected)
  t.strictSame(upstream('GET /u/1 HTTP/1.0\r\n\r\n', { rules }), expected)
  t.end()
})

void t.test('rules do not touch what frames a message', (t) => {
  for (const name of [
    'Connection',
    'content-length',
    'Transfer-Encoding',
    'Upgrade',
    'TE',
    'keep-alive',
  ]) {
    t.equal(mayRule(name), false, name)
  }
  t.equal(mayRule('Server'), true)
  t.equal(mayRule(''), true)
  const rules = { set: { 'Content-Length': '5', Connection: 'close' }, remove: ['content-length'] }
  t.strictSame(kept(['Content-Length: 0'], { rules }), ['Content-Length: 0'])
  t.end()
})

void t.test('a head that does not fit is not written', (t) => {
  const { head, bytes } = parseRequest(get(`A: ${'a'.repeat(500)}`))
  const context = {
    rules: compileHeaderRules(NO_RULES, 'request'),
    peer: compilePeer('192.0.2.7', false, false),
    via: VIA,
    requestId: bytesOf(ID),
    serverHost: bytesOf('10.0.0.21:80'),
  }
  t.equal(writeRequestHead(new Uint8Array(600), 0, head, bytes, context), -1)
  t.equal(writeNormalHead(new Uint8Array(600), 0, head, bytes), -1)
  const answer = parseResponse(`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(100)}\r\n\r\n`)
  const plain = { rules: context.rules, framing: FRAMING.close, connection: CONNECTION.silent }
  t.equal(writeResponseHead(new Uint8Array(100), 0, answer.head, answer.bytes, plain), -1)
  const before = textOf(answer.bytes)
  t.equal(rewriteResponseHead(answer.bytes, 511, answer.head, plain), -1)
  t.equal(textOf(answer.bytes), before, 'nothing has changed')
  t.end()
})

interface AnswerOptions {
  readonly rules?: HeaderRules
  readonly framing?: number
  readonly connection?: number
  readonly method?: number
}

/** The head that a client gets, written anew and rewritten in place: both must be the same. */
const downstream = (text: string, options: AnswerOptions = {}): string => {
  const { head, bytes, outcome } = parseResponse(`${text}body`, options.method)
  t.equal(outcome, 'ok')
  const context = {
    rules: compileHeaderRules(options.rules ?? NO_RULES, 'response'),
    framing: options.framing ?? FRAMING.length,
    connection: options.connection ?? CONNECTION.silent,
  }
  const out = new Uint8Array(8192)
  const anew = textOf(out, 3, writeResponseHead(out, 3, head, bytes, context))
  const inPlace = textOf(bytes, rewriteResponseHead(bytes, 0, head, context))
  t.equal(inPlace, `${anew}body`)
  return anew
}
const answer = (...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`

void t.test('an answer that needs no change is passed on as it is', (t) => {
  const text = answer('Server: nginx', 'Content-Length: 4', 'ETag:"a" ')
  t.equal(downstream(text), text)
  t.equal(downstream(answer()), answer())
  t.end()
})

void t.test('what belongs to one hop is removed from answers', (t) => {
  for (const name of [
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'TE',
    'Trailer',
    'Upgrade',
    'HTTP2-Settings',
  ]) {
    t.equal(downstream(answer('A: 1', `${name}: x`, 'B: 2')), answer('A: 1', 'B: 2'), name)
    t.equal(downstream(answer(`${name}: x`, 'B: 2')), answer('B: 2'), `${name} first`)
    t.equal(downstream(answer('A: 1', `${name}: x`)), answer('A: 1'), `${name} last`)
    t.equal(downstream(answer(`${name}: x`)), answer(), `${name} alone`)
  }
  t.equal(
    downstream(
      answer(
        'A: 1',
        'Connection: x-mine, keep-alive',
        'B: 2',
        'X-Mine: 3',
        'C: 4',
        'Keep-Alive: 1',
      ),
    ),
    answer('A: 1', 'B: 2', 'C: 4'),
  )
  t.equal(downstream(answer('X_Mine: 1')), answer('X_Mine: 1'))
  t.end()
})

void t.test('framing is our own', (t) => {
  t.equal(
    downstream(answer('A: 1', 'Transfer-Encoding: chunked'), { framing: FRAMING.chunked }),
    answer('Transfer-Encoding: chunked', 'A: 1'),
  )
  t.equal(
    downstream(answer('A: 1', 'Transfer-Encoding: chunked'), {
      framing: FRAMING.close,
      connection: CONNECTION.close,
    }),
    answer('Connection: close', 'A: 1'),
    'de-chunked for a 1.0 client',
  )
  t.equal(
    downstream(answer('Transfer-Encoding: chunked'), { framing: FRAMING.none, method: 2 }),
    answer(),
  )
  t.end()
})

void t.test('an answer says when the connection ends, and to 1.0 when it does not', (t) => {
  const text = answer('A: 1', 'Connection: keep-alive')
  t.equal(downstream(text, { connection: CONNECTION.close }), answer('Connection: close', 'A: 1'))
  t.equal(
    downstream(text, { connection: CONNECTION.keepAlive }),
    answer('Connection: keep-alive', 'A: 1'),
  )
  t.equal(downstream(text), answer('A: 1'))
  t.end()
})

void t.test('answers go out as HTTP/1.1 with a well-formed status line', (t) => {
  t.equal(
    downstream('HTTP/1.0 404 Not Found\r\nA: 1\r\n\r\n'),
    'HTTP/1.1 404 Not Found\r\nA: 1\r\n\r\n',
  )
  t.equal(downstream('HTTP/1.1 200\r\nA: 1\r\n\r\n'), 'HTTP/1.1 200 \r\nA: 1\r\n\r\n')
  t.equal(
    downstream('HTTP/1.0 200\r\nConnection: x\r\nA: 1\r\n\r\n', { connection: CONNECTION.close }),
    'HTTP/1.1 200 \r\nConnection: close\r\nA: 1\r\n\r\n',
  )
  t.end()
})

void t.test('neither 204 nor 1xx carries a Content-Length', (t) => {
  const without = (status: number): string =>
    downstream(`HTTP/1.1 ${status} X\r\nA: 1\r\nContent-Length: 5\r\nB: 2\r\n\r\n`, {
      framing: FRAMING.none,
    })
  t.equal(without(204), 'HTTP/1.1 204 X\r\nA: 1\r\nB: 2\r\n\r\n')
  t.equal(without(103), 'HTTP/1.1 103 X\r\nA: 1\r\nB: 2\r\n\r\n')
  t.match(without(304), /Content-Length: 5/)
  t.end()
})

void t.test("a group's responseHeaders set and remove fields", (t) => {
  const rules = {
    set: { 'Cache-Control': 'public', 'X-Edge': 'a' },
    remove: ['Server', 'x-powered'],
  }
  t.equal(
    downstream(
      answer('Server: nginx', 'A: 1', 'cache-control: private', 'X-Powered: b', 'x-edge: 2'),
      { rules },
    ),
    answer('Cache-Control: public', 'X-Edge: a', 'A: 1'),
  )
  t.equal(
    downstream('HTTP/1.1 103 Hints\r\nServer: x\r\nLink: a\r\n\r\n', {
      rules,
      framing: FRAMING.none,
    }),
    'HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n',
    'an interim answer gets none set',
  )
  t.end()
})

void t.test('the general lane gets the head as the strict parser understood it', (t) => {
  const normal = (text: string): string => {
    const { head, bytes } = parseRequest(text)
    const out = new Uint8Array(4096)
    return textOf(out, 0, writeNormalHead(out, 0, head, bytes))
  }
  t.equal(
    normal(
      '\r\nPOST http://a.example?x HTTP/1.1\r\nhost:a.example\r\nContent-Length:\t 5 \r\nConnection: keep-alive, X-Mine\r\n' +
        'X-Mine: 1\r\nX_Under: 1\r\nUpgrade: h2c\r\nExpect: 100-Continue\r\nA:\r\n\r\n',
    ),
    'POST /?x HTTP/1.1\r\nhost: a.example\r\nContent-Length: 5\r\nExpect: 100-Continue\r\nA: \r\nConnection: close\r\n\r\n',
  )
  t.equal(
    normal('PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:  Chunked\r\n\r\n'),
    'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
  )
  t.equal(
    normal('PUT http://b/x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n'),
    'PUT /x HTTP/1.0\r\nContent-Length: 1\r\nHost: b\r\nConnection: close\r\n\r\n',
  )
  t.end()
})
