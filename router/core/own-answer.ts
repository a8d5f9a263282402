import type { RouteAction } from '../../common/config/config.ts'
import { encodeText, put, putRange } from './ascii.ts'
import { REFUSAL } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import { CONNECTION } from './rewrite.ts'

/** The reason in words of every status that the router answers by itself. */
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  410: 'Gone',
  411: 'Length Required',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  418: "I'm a teapot",
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  451: 'Unavailable For Legal Reasons',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  508: 'Loop Detected',
}
const CLASSES = ['', 'Informational', 'Success', 'Redirection', 'Client Error', 'Server Error']

/** The reason phrase for a status; for one that has none here, its class in words. */
export const reasonPhrase = (status: number): string =>
  REASONS[status] ?? CLASSES[Math.floor(status / 100)] ?? 'Unknown'

/** An answer that the router gives by itself, ready to be copied out. */
export interface OwnAnswer {
  readonly status: number
  /** Status line and every field that is always the same. */
  readonly head: Uint8Array
  readonly body: Uint8Array
}

/** What differs from answer to answer. */
export interface OwnAnswerContext {
  /** From `httpDate`. */
  readonly date: Uint8Array
  /** One of `CONNECTION`. */
  readonly connection: number
  /** The request's method is HEAD: Content-Length says what GET would get, and no body follows. */
  readonly isHead: boolean
}

const CRLF = encodeText('\r\n')
const DATE = encodeText('Date: ')
const LOCATION = encodeText('Location: ')
const CLOSE = encodeText('Connection: close\r\n')
const KEEP_ALIVE = encodeText('Connection: keep-alive\r\n')

/** The most that `writeOwnAnswer` adds to an answer's own bytes. */
const SLACK = 128

/** No body, and no field that speaks of one (RFC 9110 8.6, 15.4.5). */
const isBodiless = (status: number): boolean => status === 204 || status === 304

/** Makes an answer ready; `fields` are further lines such as `['Retry-After', '1']`. */
export const compileAnswer = (
  status: number,
  contentType: string,
  body: string,
  fields: readonly (readonly [string, string])[] = [],
): OwnAnswer => {
  const bytes = isBodiless(status) ? new Uint8Array(0) : encodeText(body)
  const framing: readonly (readonly [string, string])[] = isBodiless(status)
    ? []
    : [
        ['Content-Type', contentType],
        ['Content-Length', String(bytes.length)],
      ]
  const lines = [...framing, ...fields].map(([name, value]) => `${name}: ${value}\r\n`)
  return {
    status,
    head: encodeText(`HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n${lines.join('')}`),
    body: bytes,
  }
}

/** An answer that says its own status and one sentence in plain text. */
export const compileMessage = (
  status: number,
  sentence: string,
  fields: readonly (readonly [string, string])[] = [],
): OwnAnswer =>
  compileAnswer(
    status,
    'text/plain; charset=utf-8',
    `${status} ${reasonPhrase(status)}\n${sentence}\n`,
    fields,
  )

/** Writes the answer; its end, or -1 when it does not fit. */
export const writeOwnAnswer = (
  out: Uint8Array,
  at: number,
  answer: OwnAnswer,
  context: OwnAnswerContext,
): number => {
  if (at + answer.head.length + answer.body.length + SLACK > out.length) return -1
  const o = putRange(out, at, answer.head, 0, answer.head.length)
  return putEnd(out, o, answer, context)
}

const putEnd = (
  out: Uint8Array,
  at: number,
  answer: OwnAnswer,
  context: OwnAnswerContext,
): number => {
  let o = put(out, at, DATE)
  o = put(out, o, context.date)
  o = put(out, o, CRLF)
  if (context.connection === CONNECTION.close) o = put(out, o, CLOSE)
  else if (context.connection === CONNECTION.keepAlive) o = put(out, o, KEEP_ALIVE)
  o = put(out, o, CRLF)
  return context.isHead ? o : putRange(out, o, answer.body, 0, answer.body.length)
}

/** A route's `redirect`, made ready. */
export interface CompiledRedirect {
  readonly answer: OwnAnswer
  /** `to`, cut where the request's target belongs. */
  readonly pieces: readonly Uint8Array[]
}

export const compileRedirect = (
  action: Extract<RouteAction, { readonly type: 'redirect' }>,
): CompiledRedirect => ({
  answer: compileMessage(action.status, 'The photo is elsewhere'),
  pieces: action.to.split('{target}').map(encodeText),
})

/** Writes a redirect for the target `bytes[targetStart..targetEnd)`; its end, or -1 when it does not fit. */
export const writeRedirect = (
  out: Uint8Array,
  at: number,
  redirect: CompiledRedirect,
  bytes: Uint8Array,
  targetStart: number,
  targetEnd: number,
  context: OwnAnswerContext,
): number => {
  const { answer, pieces } = redirect
  let most = answer.head.length + answer.body.length + SLACK
  for (const piece of pieces) most += piece.length + targetEnd - targetStart
  if (at + most > out.length) return -1
  let o = putRange(out, at, answer.head, 0, answer.head.length)
  o = put(out, o, LOCATION)
  for (let i = 0; i < pieces.length; i++) {
    if (i > 0) o = putRange(out, o, bytes, targetStart, targetEnd)
    const piece = pieces[i]
    if (piece !== undefined) o = put(out, o, piece)
  }
  o = put(out, o, CRLF)
  return putEnd(out, o, answer, context)
}

/** A route's `respond`, made ready. */
export const compileRespond = (
  action: Extract<RouteAction, { readonly type: 'respond' }>,
): OwnAnswer => compileAnswer(action.status, action.contentType, action.body)

/** 405 with the methods that are allowed (RFC 9110 15.5.6). */
export const compileNotAllowed = (methods: readonly string[]): OwnAnswer =>
  compileMessage(405, 'The method is not allowed here', [['Allow', methods.join(', ')]])

/** The answer to `OPTIONS *`. */
export const compileOptions = (methods: readonly string[]): OwnAnswer =>
  compileAnswer(204, '', '', [['Allow', methods.join(', ')]])

const RETRY_AFTER = [['Retry-After', '1']] as const

/** The router's answers that depend on nothing. */
export const ANSWER = {
  healthy: compileAnswer(200, 'text/plain; charset=utf-8', 'ok\n', [['Cache-Control', 'no-store']]),
  draining: compileAnswer(503, 'text/plain; charset=utf-8', 'draining\n', [
    ['Cache-Control', 'no-store'],
    ...RETRY_AFTER,
  ]),
  bodyNotAllowed: compileMessage(400, 'A body does not belong to this method here'),
  notFound: compileMessage(404, 'No route leads there'),
  noUser: compileMessage(404, 'The request names no user'),
  bodyTimeout: compileMessage(408, 'The body took too long'),
  bodyTooLarge: compileMessage(413, 'The body is too large'),
  badGateway: compileMessage(502, 'No cache gave a valid answer'),
  noCache: compileMessage(503, 'No cache is up', RETRY_AFTER),
  cachesFull: compileMessage(503, 'Every cache has all the connections it may have', RETRY_AFTER),
  overBudget: compileMessage(503, 'Too many requests are being tried again', RETRY_AFTER),
  outOfResources: compileMessage(503, 'This router can make no more connections', RETRY_AFTER),
  tooManyConnections: compileMessage(503, 'Too many connections', RETRY_AFTER),
  gatewayTimeout: compileMessage(504, 'No cache answered in time'),
  loop: compileMessage(508, 'The request has been through this router before'),
} as const satisfies Readonly<Record<string, OwnAnswer>>

const REFUSAL_ANSWERS: ReadonlyMap<Refusal, OwnAnswer> = new Map(
  Object.values(REFUSAL).map((refusal) => [
    refusal,
    compileMessage(refusal.status, refusal.message),
  ]),
)

/** The answer for a refused head. */
export const refusalAnswer = (refusal: Refusal): OwnAnswer =>
  REFUSAL_ANSWERS.get(refusal) ?? ANSWER.badGateway
