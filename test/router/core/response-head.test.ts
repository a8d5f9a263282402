import t from 'tap'
import type { Test } from 'tap'
import { PARSE } from '../../../router/core/field-section.ts'
import { METHODS } from '../../../router/core/methods.ts'
import { FRAMING, ResponseHead } from '../../../router/core/response-head.ts'
import { LIMITS, bytesOf, linesOf, parseResponse, textOf } from './head-support.ts'

const OK = 'HTTP/1.1 200 OK\r\n'
const withLines = (...lines: string[]): string =>
  `${OK}${lines.map((line) => `${line}\r\n`).join('')}\r\n`

const check = (t: Test, cases: readonly (readonly [string, string, string])[]): void => {
  for (const [what, text, expected] of cases) t.equal(parseResponse(text).outcome, expected, what)
  t.end()
}

void t.test('an answer is read where it lies', (t) => {
  const { head, bytes, outcome } = parseResponse(
    `${withLines('Server: nginx', 'Content-Length: 4', 'ETag:  "a" ')}body`,
  )
  t.equal(outcome, 'ok')
  t.equal(head.start, 512)
  t.equal(textOf(bytes, head.end), 'body')
  t.equal(textOf(bytes, head.start, head.lineEnd), OK)
  t.equal(head.status, 200)
  t.equal(head.framing, FRAMING.length)
  t.equal(head.contentLength, 4)
  t.equal(head.isKeepAlive, true)
  t.equal(head.isInterim, false)
  t.strictSame(linesOf(head, bytes), ['Server: nginx', 'Content-Length: 4', 'ETag: "a"'])
  t.end()
})

void t.test('a status line is HTTP/1.x, three digits and a reason', (t) => {
  check(t, [
    ['1.0', 'HTTP/1.0 200 OK\r\n\r\n', 'ok'],
    ['an empty reason', 'HTTP/1.1 200 \r\n\r\n', 'ok'],
    ['no reason and no space', 'HTTP/1.1 200\r\n\r\n', 'ok'],
    ['obs-text and tab in the reason', 'HTTP/1.1 200 \u00e4\tb c\r\n\r\n', 'ok'],
    ['an unusual status', 'HTTP/1.1 599 \r\n\r\n', 'ok'],
    ['2.0', 'HTTP/2.0 200 OK\r\n\r\n', '502 status_line'],
    ['lower case', 'http/1.1 200 OK\r\n\r\n', '502 status_line'],
    ['no HTTP', 'ICY 200 OK\r\n\r\n', '502 status_line'],
    ['a body alone', '<html>', '502 status_line'],
    ['two digits', 'HTTP/1.1 20 OK\r\n\r\n', '502 status_line'],
    ['four digits', 'HTTP/1.1 2000 OK\r\n\r\n', '502 status_line'],
    ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n', '502 status_line'],
    ['two spaces', 'HTTP/1.1  200 OK\r\n\r\n', '502 status_line'],
    ['a tab', 'HTTP/1.1\t200 OK\r\n\r\n', '502 status_line'],
    ['a control character in the reason', 'HTTP/1.1 200 O\x01\r\n\r\n', '502 status_line'],
    ['LF alone', 'HTTP/1.1 200 OK\n', '502 status_line'],
    ['CR alone', 'HTTP/1.1 200 OK\rX', '400 bare_cr'],
    ['an empty line before', '\r\nHTTP/1.1 200 OK\r\n\r\n', '502 status_line'],
  ])
})

void t.test('an invalid answer is refused', (t) => {
  check(t, [
    ['obs-fold', withLines('X: a', ' b'), '400 obs_fold'],
    ['space before the colon', withLines('X : a'), '400 space_before_colon'],
    ['no colon', withLines('X'), '400 no_colon'],
    ['a bare LF', `${OK}X: a\n`, '400 bare_lf'],
    ['a bare CR', withLines('X: a\rb'), '400 bare_cr'],
    ['a control character', withLines('X: \0'), '400 field_value'],
    ['two lengths', withLines('Content-Length: 5', 'Content-Length: 5'), '400 many_lengths'],
    ['a list of lengths', withLines('Content-Length: 5, 5'), '400 content_length'],
    ['an invalid length', withLines('Content-Length: -1'), '400 content_length'],
    [
      'length and coding',
      withLines('Content-Length: 5', 'Transfer-Encoding: chunked'),
      '400 length_and_coding',
    ],
    ['another coding', withLines('Transfer-Encoding: gzip'), '400 transfer_coding'],
    [
      'a coding before chunked',
      withLines('Transfer-Encoding: gzip, chunked'),
      '400 transfer_coding',
    ],
    ['chunked twice', withLines('Transfer-Encoding: chunked, chunked'), '400 transfer_coding'],
    [
      'a coding in 1.0',
      'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      '400 old_transfer_coding',
    ],
    ['101', 'HTTP/1.1 101 Switching\r\n\r\n', '502 switching'],
  ])
})

void t.test("an answer's head has the same limits as a request's", (t) => {
  const limits = { targetBytes: 10, headBytes: 60, fields: 2 }
  t.equal(parseResponse(withLines('A: 1', 'B: 2'), 1, limits).outcome, 'ok')
  t.equal(
    parseResponse(withLines('A: 1', 'B: 2', 'C: 3'), 1, limits).outcome,
    '431 too_many_fields',
  )
  const fill = 60 - withLines('A: ').length
  t.equal(parseResponse(withLines(`A: ${'a'.repeat(fill)}`), 1, limits).outcome, 'ok')
  t.equal(
    parseResponse(withLines(`A: ${'a'.repeat(fill + 1)}`), 1, limits).outcome,
    '431 head_too_long',
  )
  t.end()
})

void t.test('HEAD, 204, 304 and 1xx have no body, whatever the fields say', (t) => {
  const framing = (status: number, method: number, ...lines: string[]): number =>
    parseResponse(
      `HTTP/1.1 ${status} X\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
      method,
    ).head.framing
  const { GET, HEAD } = METHODS
  t.equal(framing(200, HEAD, 'Content-Length: 5'), FRAMING.none)
  t.equal(framing(200, HEAD, 'Transfer-Encoding: chunked'), FRAMING.none)
  t.equal(framing(200, HEAD), FRAMING.none)
  t.equal(framing(204, GET, 'Content-Length: 5'), FRAMING.none)
  t.equal(framing(304, GET, 'Content-Length: 5'), FRAMING.none)
  t.equal(framing(304, GET), FRAMING.none)
  t.equal(framing(103, GET, 'Transfer-Encoding: chunked'), FRAMING.none)
  t.equal(framing(200, GET, 'Content-Length: 0'), FRAMING.length)
  t.equal(framing(404, GET, 'Content-Length: 5'), FRAMING.length)
  t.equal(framing(200, GET, 'Transfer-Encoding: chunked'), FRAMING.chunked)
  t.equal(framing(500, GET), FRAMING.close)
  t.end()
})

void t.test('whether the upstream keeps its connection', (t) => {
  const keeps = (text: string): boolean => parseResponse(text).head.isKeepAlive
  const length = 'Content-Length: 0\r\n'
  t.equal(keeps(`HTTP/1.1 200 OK\r\n${length}\r\n`), true)
  t.equal(keeps(`HTTP/1.1 200 OK\r\n${length}Connection: close\r\n\r\n`), false)
  t.equal(keeps(`HTTP/1.0 200 OK\r\n${length}\r\n`), false)
  t.equal(keeps(`HTTP/1.0 200 OK\r\n${length}Connection: keep-alive\r\n\r\n`), true)
  t.equal(keeps('HTTP/1.1 200 OK\r\n\r\n'), false, 'close-delimited')
  t.end()
})

void t.test('a final answer is read after an interim one', (t) => {
  const head = new ResponseHead(LIMITS)
  const bytes = bytesOf(
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${withLines('Content-Length: 0')}`,
  )
  head.reset(0, METHODS.GET)
  t.equal(head.parse(bytes, bytes.length), PARSE.complete)
  t.equal(head.isInterim, true)
  t.equal(head.status, 103)
  head.reset(head.end, METHODS.GET)
  t.equal(head.parse(bytes, bytes.length), PARSE.complete)
  t.equal(head.isInterim, false)
  t.equal(head.status, 200)
  t.equal(head.end, bytes.length)
  t.end()
})
