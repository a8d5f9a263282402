import t from 'tap'
import { httpDate } from '../../../router/core/http-date.ts'
import {
  ANSWER,
  compileAnswer,
  compileNotAllowed,
  compileOptions,
  compileRedirect,
  compileRespond,
  reasonPhrase,
  refusalAnswer,
  writeOwnAnswer,
  writeRedirect,
} from '../../../router/core/own-answer.ts'
import type { OwnAnswer, OwnAnswerContext } from '../../../router/core/own-answer.ts'
import { REFUSAL } from '../../../router/core/refusal.ts'
import { CONNECTION } from '../../../router/core/rewrite.ts'
import { bytesOf, parseResponse, textOf } from './head-support.ts'

const CONTEXT: OwnAnswerContext = {
  date: httpDate(784_111_777_000),
  connection: CONNECTION.close,
  isHead: false,
}
const written = (answer: OwnAnswer, context = CONTEXT): string => {
  const out = new Uint8Array(4096)
  return textOf(out, 7, writeOwnAnswer(out, 7, answer, context))
}

void t.test('dates are IMF-fixdate', (t) => {
  t.equal(textOf(httpDate(784_111_777_000)), 'Sun, 06 Nov 1994 08:49:37 GMT')
  t.equal(httpDate(0).length, 29)
  t.end()
})

void t.test('an own answer is whole, to the byte', (t) => {
  t.equal(
    written(refusalAnswer(REFUSAL.noHost)),
    'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 48\r\n' +
      'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\r\n' +
      '400 Bad Request\nAn HTTP/1.1 request has no Host\n',
  )
  t.end()
})

void t.test(
  'every own answer carries Date, Content-Length, Content-Type and the reason in words',
  (t) => {
    const refusals = Object.values(REFUSAL).map(refusalAnswer)
    for (const answer of [...Object.values(ANSWER), ...refusals, compileNotAllowed(['GET'])]) {
      const text = written(answer)
      const { head, outcome } = parseResponse(text)
      t.equal(outcome, 'ok')
      t.equal(head.status, answer.status)
      t.match(text, /^HTTP\/1\.1 \d{3} [A-Z][A-Za-z ]+\r\n/)
      t.match(text, /\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n/)
      t.match(text, /\r\nContent-Type: text\/plain; charset=utf-8\r\n/)
      t.equal(head.contentLength, answer.body.length)
      t.equal(text.length, head.end - head.start + head.contentLength)
    }
    t.end()
  },
)

void t.test('every refusal has an answer with its own status', (t) => {
  for (const refusal of Object.values(REFUSAL)) {
    t.equal(refusalAnswer(refusal).status, refusal.status)
    t.match(refusal.reason, /^[a-z_]+$/)
  }
  t.end()
})

void t.test('503 says when to come back', (t) => {
  const { noCache, cachesFull, overBudget, outOfResources, tooManyConnections, draining } = ANSWER
  for (const answer of [
    ...[noCache, cachesFull, overBudget],
    ...[outOfResources, tooManyConnections, draining],
  ]) {
    t.equal(answer.status, 503)
    t.match(written(answer), /\r\nRetry-After: 1\r\n/)
  }
  t.end()
})

void t.test('405 and OPTIONS * name the methods that are allowed', (t) => {
  t.match(
    written(compileNotAllowed(['GET', 'HEAD'])),
    /^HTTP\/1\.1 405 .*\r\nAllow: GET, HEAD\r\n/s,
  )
  const options = written(compileOptions(['GET', 'HEAD']))
  t.match(options, /^HTTP\/1\.1 204 No Content\r\nAllow: GET, HEAD\r\nDate: /)
  t.notMatch(options, /Content-/, 'RFC 9110 8.6: no Content-Length in a 204')
  t.end()
})

void t.test('an answer to HEAD has the length but not the body', (t) => {
  const text = written(ANSWER.healthy, { ...CONTEXT, isHead: true })
  t.match(text, /Content-Length: 3\r\n/)
  t.ok(text.endsWith('\r\n\r\n'))
  t.ok(written(ANSWER.healthy).endsWith('\r\n\r\nok\n'))
  t.end()
})

void t.test('what is said of the connection', (t) => {
  const says = (connection: number): string => written(ANSWER.notFound, { ...CONTEXT, connection })
  t.match(says(CONNECTION.close), /\r\nConnection: close\r\n/)
  t.match(says(CONNECTION.keepAlive), /\r\nConnection: keep-alive\r\n/)
  t.notMatch(says(CONNECTION.silent), /Connection/)
  t.end()
})

void t.test('the health answers are 200 and, while draining, 503', (t) => {
  t.equal(ANSWER.healthy.status, 200)
  t.equal(ANSWER.draining.status, 503)
  t.end()
})

void t.test('a redirect carries the target of the request', (t) => {
  const target = bytesOf('..../old/a.jpg?b=1')
  const write = (to: string, out = new Uint8Array(1024)): string => {
    const redirect = compileRedirect({ type: 'redirect', status: 301, to })
    const end = writeRedirect(out, 0, redirect, target, 4, target.length, CONTEXT)
    return end < 0 ? 'too long' : textOf(out, 0, end)
  }
  t.match(
    write('https://b{target}'),
    /^HTTP\/1\.1 301 .*\r\nLocation: https:\/\/b\/old\/a\.jpg\?b=1\r\n/s,
  )
  t.match(write('https://b/'), /\r\nLocation: https:\/\/b\/\r\n/)
  t.match(write('/x{target}{target}y'), /Location: \/x\/old\/a\.jpg\?b=1\/old\/a\.jpg\?b=1y\r\n/)
  t.equal(parseResponse(write('https://b{target}')).outcome, 'ok')
  t.equal(write('/', new Uint8Array(200)), 'too long')
  t.end()
})

void t.test('a route answers by itself', (t) => {
  const answer = compileRespond({
    type: 'respond',
    status: 200,
    contentType: 'text/plain',
    body: 'User-agent: \u00e4\n',
  })
  t.match(written(answer), /Content-Type: text\/plain\r\nContent-Length: 15\r\n/)
  t.end()
})

void t.test('204 and 304 carry nothing that speaks of a body', (t) => {
  for (const status of [204, 304]) {
    const text = written(compileAnswer(status, 'text/plain', 'body'))
    t.notMatch(text, /Content-|body/)
  }
  t.end()
})

void t.test('an answer that does not fit is not written', (t) => {
  t.equal(writeOwnAnswer(new Uint8Array(100), 0, ANSWER.notFound, CONTEXT), -1)
  t.end()
})

void t.test('every status has words', (t) => {
  t.equal(reasonPhrase(404), 'Not Found')
  t.equal(reasonPhrase(299), 'Success')
  t.equal(reasonPhrase(999), 'Unknown')
  t.end()
})
