import t from 'tap'
import type { Test } from 'tap'
import { METHODS } from '../../../router/core/methods.ts'
import { LIMITS, linesOf, parseRequest, textOf } from './head-support.ts'

const LINE = 'GET /u/1/a.jpg HTTP/1.1\r\n'
const HOST = 'Host: a.example\r\n'
/** A head with these field lines after a good request line and Host. */
const withLines = (...lines: string[]): string =>
  `${LINE}${HOST}${lines.map((line) => `${line}\r\n`).join('')}\r\n`
const outcome = (text: string, limits = LIMITS): string => parseRequest(text, limits).outcome

/** Every line: what it is, the head, what becomes of it. */
const check = (t: Test, cases: readonly (readonly [string, string, string])[]): void => {
  for (const [what, text, expected] of cases) t.equal(outcome(text), expected, what)
  t.end()
}

void t.test('a plain head is read in one call', (t) => {
  const { head, bytes, outcome } = parseRequest(
    'HEAD /u/1/a.jpg?s=1?2 HTTP/1.1\r\nHost: A.example.:8080\r\nX-a:\t b c \t\r\n\r\nrest',
  )
  t.equal(outcome, 'ok')
  t.equal(head.method, METHODS.HEAD)
  t.equal(textOf(bytes, head.methodStart, head.methodEnd), 'HEAD')
  t.equal(textOf(bytes, head.targetStart, head.targetEnd), '/u/1/a.jpg?s=1?2')
  t.equal(textOf(bytes, head.targetStart, head.pathEnd), '/u/1/a.jpg')
  t.equal(textOf(bytes, head.hostStart, head.hostEnd), 'A.example.:8080')
  t.equal(textOf(bytes, head.hostKeyStart, head.hostKeyEnd), 'A.example')
  t.equal(textOf(bytes, head.length), 'rest')
  t.strictSame(linesOf(head, bytes), ['Host: A.example.:8080', 'X-a: b c'])
  t.equal(head.versionMinor, 1)
  t.equal(head.contentLength, -1)
  t.equal(head.hasBody, false)
  t.equal(head.isKeepAlive, true)
  t.end()
})

void t.test('a Host is asked for in 1.1, once in any version, and must be a host', (t) => {
  const host = (value: string): string => `${LINE}Host: ${value}\r\n\r\n`
  check(t, [
    ['none in 1.1', `${LINE}\r\n`, '400 no_host'],
    ['none in 1.0', 'GET / HTTP/1.0\r\n\r\n', 'ok'],
    ['two in 1.1', withLines('host: a.example'), '400 many_hosts'],
    ['two in 1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n', '400 many_hosts'],
    ['empty', host(''), '400 host'],
    ['empty in 1.0', 'GET / HTTP/1.0\r\nHost:\r\n\r\n', '400 host'],
    ['path', host('a/b'), '400 host'],
    ['user', host('u@a'), '400 host'],
    ['list', host('a,b'), '400 host'],
    ['list with space', host('a, b'), '400 host'],
    ['space', host('a b'), '400 host'],
    ['query', host('a?b'), '400 host'],
    ['only a port', host(':80'), '400 host'],
    ['only a dot', host('.'), '400 host'],
    ['two dots', host('a..b'), '400 host'],
    ['a port that is no number', host('a:8o'), '400 host'],
    ['two ports', host('a:1:2'), '400 host'],
    ['a port too high', host('a:65536'), '400 host'],
    ['a long port', host('a:000080'), '400 host'],
    ['an unclosed literal', host('[::1'), '400 host'],
    ['no address in a literal', host('[a]'), '400 host'],
    ['rest after a literal', host('[::1]x'), '400 host'],
    ['half a percent escape', host('a%2'), '400 host'],
    ['not a percent escape', host('a%zz'), '400 host'],
    ['obs-text', host('\u00e4'), '400 host'],
    ['a name', host('photos.example.com'), 'ok'],
    ['a last dot', host('photos.example.com.'), 'ok'],
    ['a port', host('a:65535'), 'ok'],
    ['an empty port', host('a:'), 'ok'],
    ['underscore, tilde, escape', host('_a~b%41'), 'ok'],
    ['IPv4', host('192.0.2.1:80'), 'ok'],
    ['IPv6', host('[2001:db8::1]:8080'), 'ok'],
    ['IPv4 in IPv6', host('[::ffff:192.0.2.1]'), 'ok'],
  ])
})

void t.test('a host is routed by without port and last dot', (t) => {
  for (const [host, key] of [
    ['a.example', 'a.example'],
    ['a.example.', 'a.example'],
    ['a.example.:80', 'a.example'],
    ['[::1]:80', '[::1]'],
  ] as const) {
    const { head, bytes } = parseRequest(`${LINE}Host: ${host}\r\n\r\n`)
    t.equal(textOf(bytes, head.hostKeyStart, head.hostKeyEnd), key, host)
    t.equal(textOf(bytes, head.hostStart, head.hostEnd), host)
  }
  t.end()
})

void t.test('lines end with CR LF and nothing else', (t) => {
  check(t, [
    ['LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', '400 bare_lf'],
    ['LF in the target', 'GET /\nHost: a\r\n\r\n', '400 bare_lf'],
    ['LF after a field', `${LINE}Host: a\n`, '400 bare_lf'],
    ['LF in a name', `${LINE}Host\n`, '400 bare_lf'],
    ['LF as the empty line', `${LINE}${HOST}\n`, '400 bare_lf'],
    ['LF before the request', `\n${LINE}${HOST}\r\n`, '400 bare_lf'],
    ['LF after the method', 'GET\n', '400 bare_lf'],
    ['CR in the request line', 'GET / HTTP/1.1\rX', '400 bare_cr'],
    ['CR in a value', withLines('X: a\rb'), '400 bare_cr'],
    ['two CR after a value', withLines('X: a\r'), '400 bare_cr'],
    ['CR before the empty line', `${LINE}${HOST}\rX`, '400 bare_cr'],
    ['CR before the request', `\rG`, '400 bare_cr'],
  ])
})

void t.test('a fault is refused as soon as it is seen', (t) => {
  check(t, [
    ['bare LF', 'GET / HTTP/1.1\n', '400 bare_lf'],
    ['bare CR', 'GET / HTTP/1.1\rH', '400 bare_cr'],
    ['a TLS hello', '\x16', '400 method'],
    ['a lower-case version', 'GET / h', '400 request_line'],
    ['a method too long to be known', 'ABCDEFGH', '501 unknown_method'],
    ['an unknown method', 'GETS ', '501 unknown_method'],
    ['CONNECT', 'CONNECT ', '501 connect'],
    ['a folded line', `${LINE}${HOST} `, '400 obs_fold'],
    ['white space before a colon', `${LINE}Host `, '400 space_before_colon'],
    ['control character', `${LINE}Host: a\x01`, '400 field_value'],
    ['a fragment', 'GET /#', '400 target'],
    ['not yet a fault: method', 'GE', 'incomplete'],
    ['not yet a fault: CR', `${LINE}Host: a\r`, 'incomplete'],
    ['not yet a fault: no empty line', `${LINE}${HOST}`, 'incomplete'],
    ['nothing', '', 'incomplete'],
  ])
})

void t.test('field lines are name, colon, value', (t) => {
  check(t, [
    ['obs-fold', withLines('X: a', ' b'), '400 obs_fold'],
    ['obs-fold with tab', withLines('X: a', '\tb'), '400 obs_fold'],
    ['white space before the first name', `${LINE} Host: a\r\n\r\n`, '400 obs_fold'],
    ['space before the colon', withLines('X : a'), '400 space_before_colon'],
    ['tab before the colon', withLines('X\t: a'), '400 space_before_colon'],
    ['no colon', withLines('X'), '400 no_colon'],
    ['no name', withLines(': a'), '400 field_name'],
    ['NUL in a name', withLines('X\0: a'), '400 field_name'],
    ['obs-text in a name', withLines('X\u00e4: a'), '400 field_name'],
    ['a quote in a name', withLines('X": a'), '400 field_name'],
    ['a slash in a name', withLines('X/a: a'), '400 field_name'],
    ['NUL in a value', withLines('X: a\0b'), '400 field_value'],
    ['a control character', withLines('X: a\x1fb'), '400 field_value'],
    ['DEL', withLines('X: a\x7f'), '400 field_value'],
    [
      'an escape among long text',
      withLines(`X: ${'a'.repeat(50)}\x1b${'a'.repeat(50)}`),
      '400 field_value',
    ],
    ['every token character', withLines("!#$%&'*+-.^_`|~09AZaz: a"), 'ok'],
  ])
})

void t.test('what is legal but rare is served', (t) => {
  check(t, [
    ['one empty line before', `\r\n${LINE}${HOST}\r\n`, 'ok'],
    ['two empty lines before', `\r\n\r\n${LINE}${HOST}\r\n`, '400 empty_lines'],
    ['obs-text in a value', withLines('X: \u0080\u00ff'), 'ok'],
    ['tab in a value', withLines('X: a\tb'), 'ok'],
    ['no white space after the colon', withLines('X:a'), 'ok'],
    ['much white space', withLines('X:\t  a \t '), 'ok'],
    ['an empty value', withLines('X:'), 'ok'],
    ['a value of white space', withLines('X:   '), 'ok'],
    ['Content-Length: 0', withLines('Content-Length: 0'), 'ok'],
    ['a higher minor version', `GET / HTTP/1.9\r\n${HOST}\r\n`, 'ok'],
    ['obs-text in the target', `GET /\u00e4 HTTP/1.1\r\n${HOST}\r\n`, 'ok'],
  ])
})

void t.test('an empty line before the request counts to its length', (t) => {
  const text = `\r\n${LINE}${HOST}\r\n`
  const { head, bytes } = parseRequest(text)
  t.equal(head.length, text.length)
  t.equal(textOf(bytes, head.methodStart, head.methodEnd), 'GET')
  t.end()
})

void t.test('Content-Length is one decimal number', (t) => {
  const length = (value: string): string => withLines(`Content-Length: ${value}`)
  check(t, [
    ['two', withLines('Content-Length: 5', 'content-length: 5'), '400 many_lengths'],
    ['a list', length('5, 5'), '400 content_length'],
    ['a plus', length('+5'), '400 content_length'],
    ['a minus', length('-5'), '400 content_length'],
    ['hex', length('0x5'), '400 content_length'],
    ['hex digits', length('a'), '400 content_length'],
    ['a fraction', length('5.0'), '400 content_length'],
    ['inner space', length('5 5'), '400 content_length'],
    ['empty', length(''), '400 content_length'],
    ['overflow of 2^53', length('9007199254740992'), '400 content_length'],
    ['overflow of 2^64', length('18446744073709551616'), '400 content_length'],
    ['the most there can be', length('9007199254740991'), 'ok'],
    ['in 1.0 too', 'POST / HTTP/1.0\r\nContent-Length: 1,1\r\n\r\n', '400 content_length'],
  ])
})

void t.test('Transfer-Encoding is one chunked, at the end, in 1.1, without Content-Length', (t) => {
  const coding = (...values: string[]): string =>
    withLines(...values.map((value) => `Transfer-Encoding: ${value}`))
  check(t, [
    ['chunked', coding('chunked'), 'ok'],
    ['in any case', coding('ChunKed'), 'ok'],
    [
      'with Content-Length',
      withLines('Transfer-Encoding: chunked', 'Content-Length: 5'),
      '400 length_and_coding',
    ],
    [
      'with Content-Length first',
      withLines('Content-Length: 0', 'Transfer-Encoding: chunked'),
      '400 length_and_coding',
    ],
    ['in 1.0', 'GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', '400 old_transfer_coding'],
    ['another last', coding('gzip'), '400 transfer_coding'],
    ['chunked not last', coding('chunked, gzip'), '400 transfer_coding'],
    ['chunked twice', coding('chunked, chunked'), '400 transfer_coding'],
    ['chunked twice in two fields', coding('chunked', 'chunked'), '400 transfer_coding'],
    ['chunked, then another field', coding('chunked', 'identity'), '400 transfer_coding'],
    ['nothing', coding(''), '400 transfer_coding'],
    ['an empty member last', coding('chunked,'), '400 transfer_coding'],
    ['an empty member first', coding(', chunked'), '400 transfer_coding'],
    ['a parameter', coding('chunked;q=1'), '400 transfer_coding'],
    ['a prefix', coding('xchunked'), '400 transfer_coding'],
    ['quoted', coding('"chunked"'), '400 transfer_coding'],
    ['a vertical tab', coding('\x0bchunked'), '400 field_value'],
    ['a coding before', coding('gzip, chunked'), '501 unknown_coding'],
    ['a coding before, in its own field', coding('gzip', 'chunked'), '501 unknown_coding'],
    ['identity before', coding('identity, chunked'), '501 unknown_coding'],
  ])
})

void t.test('the request line is method, space, target, space, version', (t) => {
  const line = (text: string): string => `${text}\r\n${HOST}\r\n`
  check(t, [
    ['a tab', line('GET\t/ HTTP/1.1'), '400 method'],
    ['a tab before the version', line('GET /\tHTTP/1.1'), '400 target'],
    ['two spaces', line('GET  / HTTP/1.1'), '400 request_line'],
    ['two spaces before the version', line('GET /  HTTP/1.1'), '400 request_line'],
    ['a space after the version', line('GET / HTTP/1.1 '), '400 version'],
    ['a space before the method', line(' GET / HTTP/1.1'), '400 method'],
    ['a fragment', line('GET /#a HTTP/1.1'), '400 target'],
    ['a fragment in the query', line('GET /?a#b HTTP/1.1'), '400 target'],
    ['a space in the target', line('GET /a b HTTP/1.1'), '400 request_line'],
    ['a control character in the target', line('GET /\x01 HTTP/1.1'), '400 target'],
    ['NUL in the query', line('GET /?\0 HTTP/1.1'), '400 target'],
    ['DEL in the target', line('GET /\x7f HTTP/1.1'), '400 target'],
    ['lower-case http', line('GET / http/1.1'), '400 request_line'],
    ['no digit', line('GET / HTTP/1.x'), '400 version'],
    ['two digits', line('GET / HTTP/1.10'), '400 version'],
    ['two digits before the dot', line('GET / HTTP/11.1'), '400 version'],
    ['a comma', line('GET / HTTP/1,1'), '400 version'],
    ['another protocol', line('GET / ICY/1.1'), '400 request_line'],
    ['another word that begins alike', line('GET / HTCP/1.1'), '400 version'],
    ['only a method', line('GET'), '400 request_line'],
    ['no target', line('GET  HTTP/1.1'), '400 request_line'],
    ['no target and no version', line('GET '), '400 request_line'],
    ['a relative target', line('GET a HTTP/1.1'), '400 target_form'],
    ['an asterisk', line('GET * HTTP/1.1'), '400 target_form'],
    ['an asterisk and more', line('OPTIONS *a HTTP/1.1'), '400 target_form'],
    ['an authority', line('GET a.example:80 HTTP/1.1'), '400 target_form'],
    ['another scheme', line('GET ftp://a.example/ HTTP/1.1'), '400 target_form'],
  ])
})

void t.test('versions other than 1.x, and none, are 505', (t) => {
  check(t, [
    ['2.0', 'GET / HTTP/2.0\r\n', '505 unsupported_version'],
    ['0.9', 'GET / HTTP/0.9\r\n', '505 unsupported_version'],
    ['none', 'GET /\r\n', '505 unsupported_version'],
    ['none, with a query', 'GET /?a\r\n', '505 unsupported_version'],
  ])
})

void t.test('methods outside RFC 9110 and PATCH, and CONNECT, are 501', (t) => {
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH']) {
    const { outcome, head } = parseRequest(`${method} / HTTP/1.1\r\n${HOST}\r\n`)
    t.equal(outcome, 'ok', method)
    t.equal(head.method, METHODS[method as keyof typeof METHODS])
  }
  for (const method of ['get', 'Get', 'GETX', 'G', 'PROPFIND', 'PRI', 'PURGE', 'A'.repeat(9999)]) {
    t.equal(outcome(`${method} / HTTP/1.1\r\n`), '501 unknown_method', method)
  }
  t.equal(outcome('CONNECT a.example:443 HTTP/1.1\r\n'), '501 connect')
  t.end()
})

void t.test('OPTIONS * is told from every other target', (t) => {
  const { head, outcome } = parseRequest(`OPTIONS * HTTP/1.1\r\n${HOST}\r\n`)
  t.equal(outcome, 'ok')
  t.equal(head.isAsterisk, true)
  t.equal(parseRequest(`OPTIONS / HTTP/1.1\r\n${HOST}\r\n`).head.isAsterisk, false)
  t.end()
})

void t.test('a target, a head and its fields have limits of their own', (t) => {
  const limits = { targetBytes: 20, headBytes: 100, fields: 3 }
  const target = (length: number): string =>
    `GET /${'a'.repeat(length - 1)} HTTP/1.1\r\n${HOST}\r\n`
  t.equal(outcome(target(20), limits), 'ok')
  t.equal(outcome(target(21), limits), '414 target_too_long')
  t.equal(outcome(`GET /${'a'.repeat(20)}`, limits), '414 target_too_long', 'as soon as exceeded')
  t.equal(outcome(`GET /${'a'.repeat(19)}`, limits), 'incomplete')
  t.equal(outcome(`GET /?${'a'.repeat(19)}`, limits), '414 target_too_long', 'the query counts')
  const head = (length: number): string => {
    const rest = `${LINE}${HOST}X: \r\n\r\n`
    return `${LINE}${HOST}X: ${'a'.repeat(length - rest.length)}\r\n\r\n`
  }
  t.equal(outcome(head(100), limits), 'ok')
  t.equal(outcome(head(101), limits), '431 head_too_long')
  t.equal(outcome(head(300).slice(0, 99), limits), 'incomplete')
  t.equal(outcome(head(300).slice(0, 100), limits), '431 head_too_long', 'as soon as exceeded')
  t.equal(outcome(withLines('A: 1', 'B: 2'), limits), 'ok')
  t.equal(outcome(withLines('A: 1', 'B: 2', 'C: 3'), limits), '431 too_many_fields')
  t.equal(outcome(`${LINE}${HOST}A: 1\r\nB: 2\r\nC`, limits), '431 too_many_fields')
  t.end()
})

void t.test('a parser takes new limits between heads', (t) => {
  const { head } = parseRequest(withLines())
  head.setLimits({ targetBytes: 5, headBytes: 1000, fields: 300 })
  head.reset()
  const many = parseRequest(withLines(...Array.from({ length: 250 }, (_, i) => `X${i}: 1`)), {
    targetBytes: 8192,
    headBytes: 32_768,
    fields: 300,
  })
  t.equal(many.outcome, 'ok')
  head.reset()
  t.equal(head.parse(many.bytes, many.bytes.length), 2)
  t.equal(head.refusal.status, 414)
  t.end()
})

void t.test('only the expectation 100-continue is known', (t) => {
  check(t, [
    ['another', withLines('Expect: 200-ok'), '417 expectation'],
    ['a list with another', withLines('Expect: 100-continue, x'), '417 expectation'],
    [
      'a second field with another',
      withLines('Expect: 100-continue', 'Expect: x'),
      '417 expectation',
    ],
    ['empty', withLines('Expect:'), '417 expectation'],
    ['another in 1.0', 'GET / HTTP/1.0\r\nExpect: x\r\n\r\n', 'ok'],
    ['in any case', withLines('Expect: 100-Continue'), 'ok'],
  ])
})

void t.test('Expect counts only with a body and in 1.1', (t) => {
  const expects = (...lines: string[]): boolean =>
    parseRequest(withLines(...lines)).head.expectsContinue
  t.equal(expects('Expect: 100-continue'), false)
  t.equal(expects('Expect: 100-continue', 'Content-Length: 0'), false)
  t.equal(expects('Expect: 100-continue', 'Content-Length: 5'), true)
  t.equal(expects('Expect: 100-continue', 'Transfer-Encoding: chunked'), true)
  const old = parseRequest('PUT / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
  t.equal(old.head.expectsContinue, false)
  t.end()
})

void t.test('a body is noticed', (t) => {
  const body = (...lines: string[]): readonly [boolean, boolean, number] => {
    const { head } = parseRequest(withLines(...lines))
    return [head.hasBody, head.isChunked, head.contentLength]
  }
  t.strictSame(body(), [false, false, -1])
  t.strictSame(body('Content-Length: 0'), [false, false, 0])
  t.strictSame(body('Content-Length: 7'), [true, false, 7])
  t.strictSame(body('Transfer-Encoding: chunked'), [true, true, -1])
  t.end()
})

void t.test('Connection must not name what is for the whole way', (t) => {
  const names = (value: string): string => withLines(`Connection: ${value}`)
  check(t, [
    ['Host', names('Host'), '400 connection_names'],
    ['Content-Length', names('close, content-length'), '400 connection_names'],
    ['Transfer-Encoding', names('TRANSFER-ENCODING,close'), '400 connection_names'],
    ['Cache-Control', names('cache-control'), '400 connection_names'],
    [
      'in a second field',
      withLines('Connection: close', 'Connection: host'),
      '400 connection_names',
    ],
    ['X-Forwarded-For', names('X-Forwarded-For'), 'ok'],
    ['empty members', names(', ,close,'), 'ok'],
    ['empty', names(''), 'ok'],
  ])
})

void t.test('keep-alive is the default of 1.1 and the wish of 1.0', (t) => {
  const keeps = (version: string, ...lines: string[]): boolean => {
    const fields = lines.map((line) => `${line}\r\n`).join('')
    return parseRequest(`GET / HTTP/${version}\r\n${HOST}${fields}\r\n`).head.isKeepAlive
  }
  t.equal(keeps('1.1'), true)
  t.equal(keeps('1.1', 'Connection: close'), false)
  t.equal(keeps('1.1', 'Connection: x, Close'), false)
  t.equal(keeps('1.1', 'Connection: keep-alive', 'Connection: close'), false)
  t.equal(keeps('1.0'), false)
  t.equal(keeps('1.0', 'Connection: Keep-Alive'), true)
  t.equal(keeps('1.0', 'Connection: x, keep-alive'), true)
  t.equal(keeps('1.0', 'Connection: keep-alive, close'), false)
  t.end()
})

void t.test('an absolute-form is read as its origin-form', (t) => {
  for (const [target, host, origin, path] of [
    ['http://a.example/u/1?x', 'a.example', '/u/1?x', '/u/1'],
    ['HTTP://A.EXAMPLE/u', 'a.example', '/u', '/u'],
    ['http://a.example:80/u', 'a.example', '/u', '/u'],
    ['http://a.example/u', 'a.example:80', '/u', '/u'],
    ['http://a.example:/u', 'a.example:80', '/u', '/u'],
    ['https://a.example:443/u', 'a.example', '/u', '/u'],
    ['http://a.example:8080/u', 'a.example:8080', '/u', '/u'],
    ['http://a.example', 'a.example', '/', '/'],
    ['https://a.example?x=/y', 'a.example', '/?x=/y', '/'],
    ['http://[::1]/', '[::1]', '/', '/'],
  ] as const) {
    const { head, bytes, outcome } = parseRequest(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    t.equal(outcome, 'ok', target)
    t.equal(head.isAbsolute, true)
    t.equal(textOf(bytes, head.targetStart, head.targetEnd), origin, target)
    t.equal(textOf(bytes, head.targetStart, head.pathEnd), path, target)
    t.equal(textOf(bytes, head.hostStart, head.hostEnd), host, 'Host byte for byte')
  }
  t.end()
})

void t.test('the authority of an absolute-form equals Host', (t) => {
  const pair = (target: string, host: string): string =>
    `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
  check(t, [
    ['another host', pair('http://b.example/', 'a.example'), '400 authority'],
    ['another port', pair('http://a.example:81/', 'a.example'), '400 authority'],
    ["the other scheme's port", pair('http://a.example:443/', 'a.example'), '400 authority'],
    ['http port in https', pair('https://a.example/', 'a.example:80'), '400 authority'],
    ['a prefix', pair('http://a.exampl/', 'a.example'), '400 authority'],
    ['a user', pair('http://u@a.example/', 'a.example'), '400 authority'],
    ['no authority', pair('http:///a', 'a.example'), '400 authority'],
    ['nothing', pair('http://', 'a.example'), '400 target_form'],
    ['no Host in 1.1', 'GET http://a.example/ HTTP/1.1\r\n\r\n', '400 no_host'],
    ['no Host in 1.0', 'GET http://a.example/ HTTP/1.0\r\n\r\n', 'ok'],
    ['a bad authority in 1.0', 'GET http://u@a.example/ HTTP/1.0\r\n\r\n', '400 host'],
  ])
})

void t.test('a 1.0 request without Host has the authority of its absolute-form', (t) => {
  const { head, bytes } = parseRequest('GET http://A.example:8080?q HTTP/1.0\r\n\r\n')
  t.equal(textOf(bytes, head.hostStart, head.hostEnd), 'A.example:8080')
  t.equal(textOf(bytes, head.hostKeyStart, head.hostKeyEnd), 'A.example')
  t.equal(textOf(bytes, head.targetStart, head.targetEnd), '/?q')
  t.equal(head.hasHostField, false)
  t.end()
})

void t.test('an upgrade is noted and the request is served', (t) => {
  const { head, outcome } = parseRequest(
    withLines('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'),
  )
  t.equal(outcome, 'ok')
  t.equal(head.isConnectUpgrade, true)
  t.equal(head.isKeepAlive, true)
  t.end()
})

void t.test('a parser can be used again after a complete and after a refused head', (t) => {
  const { head } = parseRequest(withLines('Connection: close', 'Content-Length: 5'))
  const broken = parseRequest('GET / HTTP/1.1\n').bytes
  const good = parseRequest(withLines('Cookie: a')).bytes
  head.reset()
  t.equal(head.parse(broken, broken.length), 2)
  head.reset()
  t.equal(head.parse(good, good.length), 1)
  t.equal(head.isKeepAlive, true)
  t.equal(head.hasBody, false)
  t.strictSame(linesOf(head, good), ['Host: a.example', 'Cookie: a'])
  t.end()
})

void t.test('a control character is seen at every place of a value', (t) => {
  for (const bad of ['\0', '\n', '\x1f', '\x7f']) {
    for (let at = 0; at < 12; at++) {
      const value = `${'a'.repeat(at)}${bad}${'a'.repeat(12 - at)}`
      t.match(
        outcome(withLines(`X: ${value}`)),
        /^400 (field_value|bare_lf)$/,
        JSON.stringify(value),
      )
    }
  }
  for (let at = 0; at < 12; at++) {
    const value = `${'\u00ff'.repeat(at)}\t~\u0080${' '.repeat(12 - at)}a`
    t.equal(outcome(withLines(`X: ${value}`)), 'ok', JSON.stringify(value))
  }
  t.end()
})
