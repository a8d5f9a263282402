import { UNPRINTABLE } from '../../common/net/unprintable.ts'
import { isShortage, shortageInWords } from '../../common/model/shortage.ts'

/** How far a probe had come. */
export type ProbePhase = 'connect' | 'tls' | 'firstByte' | 'lastByte'

/** A failure in words, and whose fault it can be (see `NotPassed`). */
export interface Failure {
  readonly reason: string
  readonly blame: 'server' | 'doubtful' | 'prober'
}

/** A deadline passed: which phase, in words. `withinMs` counts from the probe's start. */
export function timeoutFailure(phase: ProbePhase, withinMs: number, lateMs: number): Failure {
  const within = `within ${spanInWords(withinMs)}`
  const reason = {
    connect: `connect timeout: no connection ${within}`,
    tls: `no TLS handshake ${within}`,
    firstByte: `no first byte ${within}`,
    lastByte: `no last byte ${within}`,
  }[phase]
  if (lateMs < Math.max(LATE_MS, withinMs / 2)) return { reason, blame: 'doubtful' }
  return {
    reason: `${reason}, but the prober itself was late by ${Math.round(lateMs)} ms`,
    blame: 'prober',
  }
}

/** The error of a socket or of a parser, by its code. */
export function errorFailure(code: string, message: string, phase: ProbePhase): Failure {
  if (isShortage(code)) return own(shortageInWords(code))
  const known = KNOWN[code]
  if (known !== undefined) return known
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return { reason: RESET_IN[phase], blame: 'server' }
  }
  if (code === 'HPE_HEADER_OVERFLOW') return { reason: 'head too large', blame: 'server' }
  if (code.startsWith('HPE_')) return { reason: `not an HTTP answer (${code})`, blame: 'server' }
  const tls = tlsFailureInWords(message)
  if (tls !== undefined) {
    const what = phase === 'tls' ? 'the TLS handshake failed' : 'TLS failed'
    return { reason: `${what}: ${tls}`, blame: 'server' }
  }
  if (/CERT|ISSUER|SIGNED|SIGNATURE/.test(code)) {
    // Without Node's advice to its own users.
    const [why = ''] = message.split(';')
    return { reason: `certificate refused: ${printable(why)}`, blame: 'server' }
  }
  if (phase === 'tls') {
    return { reason: `the TLS handshake failed: ${printable(message)}`, blame: 'server' }
  }
  return { reason: printable(`${code} ${message}`), blame: 'server' }
}

/** What OpenSSL's `error:NUMBER:library:function:reason:file:line:data` means to an operator. */
function tlsFailureInWords(message: string): string | undefined {
  const [, reason, data = ''] = OPENSSL_ERROR.exec(message) ?? []
  if (reason === undefined) return undefined
  if (!data.startsWith('SSL alert')) return `${printable(reason)}${TLS_HINTS[reason] ?? ''}`
  const alert = reason.replace(/^(?:ssl|tls)\S* (?:alert )?/, '')
  return `the server says "${printable(alert)}"${TLS_HINTS[alert] ?? ''}`
}

/** A part of a weight, as people read it: at most three digits. */
export const partInWords = (part: number): string => String(Math.round(part * 1000) / 1000)

/** `500 ms`, `1.5 s`. */
export function spanInWords(ms: number): string {
  return ms >= 1000 ? `${ms / 1000} s` : `${Math.round(ms)} ms`
}

/** Text from a server, fit for a log line: one line, bounded, nothing that a terminal obeys or hides. */
export function printable(text: string): string {
  const line = text.slice(0, LONGEST).replace(UNPRINTABLE, ' ')
  return line.replaceAll(/ {2,}/g, ' ').trim() + (text.length > LONGEST ? '…' : '')
}

const OPENSSL_ERROR = /\berror:[0-9A-F]+:[^:]*:[^:]*:([^:]+):[^:]*:\d+:(.*)/

const TLS_HINTS: Readonly<Record<string, string>> = {
  'wrong version number': ' (is it a plain HTTP port?)',
  'unrecognized name': ' (is sni right?)',
  'certificate required': ' (it wants one of its clients: a check has none)',
}

const LONGEST = 200

/** A smaller lateness of our own is made up for by waiting longer, and needs no excuse. */
const LATE_MS = 100

const RESET_IN: Record<ProbePhase, string> = {
  connect: 'connection reset while connecting',
  tls: 'connection closed during the TLS handshake',
  firstByte: 'connection closed before the answer',
  lastByte: 'connection closed within the answer',
}

const own = (reason: string): Failure => ({
  reason: `${reason} (the prober's own)`,
  blame: 'prober',
})

const KNOWN: Readonly<Record<string, Failure>> = {
  ECONNREFUSED: { reason: 'connect refused', blame: 'server' },
  EHOSTUNREACH: { reason: 'host unreachable', blame: 'doubtful' },
  ENETUNREACH: { reason: 'network unreachable', blame: 'doubtful' },
  EHOSTDOWN: { reason: 'host unreachable', blame: 'doubtful' },
  ETIMEDOUT: { reason: 'connection timed out', blame: 'doubtful' },
  ENETDOWN: own('network down'),
  // What Linux says of a `blackhole` route; `prohibit` is EACCES.
  EINVAL: own('the local routing table sends it nowhere'),
  EPERM: own('not permitted to connect'),
  EACCES: own('not permitted to connect'),
}
