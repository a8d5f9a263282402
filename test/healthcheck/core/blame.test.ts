import fc from 'fast-check'
import t from 'tap'
import {
  errorFailure,
  printable,
  spanInWords,
  timeoutFailure,
} from '../../../healthcheck/core/blame.ts'

const failures = [
  { code: 'ECONNREFUSED', phase: 'connect', reason: 'connect refused', blame: 'server' },
  { code: 'EHOSTUNREACH', phase: 'connect', reason: 'host unreachable', blame: 'doubtful' },
  { code: 'ENETUNREACH', phase: 'connect', reason: 'network unreachable', blame: 'doubtful' },
  {
    code: 'ECONNRESET',
    phase: 'connect',
    reason: 'connection reset while connecting',
    blame: 'server',
  },
  {
    code: 'ECONNRESET',
    phase: 'lastByte',
    reason: 'connection closed within the answer',
    blame: 'server',
  },
  {
    code: 'EPIPE',
    phase: 'firstByte',
    reason: 'connection closed before the answer',
    blame: 'server',
  },
  {
    code: 'HPE_INVALID_VERSION',
    phase: 'firstByte',
    reason: 'not an HTTP answer (HPE_INVALID_VERSION)',
    blame: 'server',
  },
  {
    code: 'EMFILE',
    phase: 'connect',
    reason: "no more file descriptors (the prober's own)",
    blame: 'prober',
  },
  {
    code: 'ENETDOWN',
    phase: 'connect',
    reason: "network down (the prober's own)",
    blame: 'prober',
  },
  {
    code: 'EINVAL',
    phase: 'connect',
    reason: "the local routing table sends it nowhere (the prober's own)",
    blame: 'prober',
  },
  { code: 'CERT_HAS_EXPIRED', phase: 'tls', reason: 'certificate refused: boom', blame: 'server' },
  { code: 'EPROTO', phase: 'tls', reason: 'the TLS handshake failed: boom', blame: 'server' },
  { code: 'EWHATEVER', phase: 'firstByte', reason: 'EWHATEVER boom', blame: 'server' },
] as const
for (const { code, phase, reason, blame } of failures) {
  void t.test(`${code} in phase ${phase} is "${reason}", blamed on: ${blame}`, (t) => {
    t.same(errorFailure(code, 'boom', phase), { reason, blame })
    t.end()
  })
}

// What Node 24 says, word for word.
const alertOf = (what: string, number: number) =>
  `write EPROTO 400D25AAEE7F0000:error:0A000410:SSL routines:ssl3_read_bytes:${what}:../deps/openssl/openssl/ssl/record/rec_layer_s3.c:918:SSL alert number ${number}\n`
const tlsFailures = [
  [
    'write EPROTO 400D25AAEE7F0000:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../deps/openssl/openssl/ssl/record/methods/tlsany_meth.c:77:\n',
    'wrong version number (is it a plain HTTP port?)',
  ],
  [alertOf('tlsv1 alert unknown ca', 48), 'the server says "unknown ca"'],
  [alertOf('ssl/tls alert handshake failure', 40), 'the server says "handshake failure"'],
  [alertOf('tlsv1 alert protocol version', 70), 'the server says "protocol version"'],
  [alertOf('tlsv1 unrecognized name', 112), 'the server says "unrecognized name" (is sni right?)'],
] as const
for (const [message, words] of tlsFailures) {
  void t.test(`OpenSSL's own text becomes: ${words}`, (t) => {
    const reason = `the TLS handshake failed: ${words}`
    t.same(errorFailure('EPROTO', message, 'tls'), { reason, blame: 'server' })
    t.end()
  })
}

void t.test('a server that wants a client certificate says so behind the handshake', (t) => {
  const message =
    '400D25AAEE7F0000:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/openssl/openssl/ssl/record/rec_layer_s3.c:918:SSL alert number 116\n'
  t.same(errorFailure('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', message, 'firstByte'), {
    reason:
      'TLS failed: the server says "certificate required" (it wants one of its clients: a check has none)',
    blame: 'server',
  })
  t.end()
})

void t.test('a timeout names its phase, and is in doubt unless the prober was late', (t) => {
  t.same(timeoutFailure('connect', 250, 0), {
    reason: 'connect timeout: no connection within 250 ms',
    blame: 'doubtful',
  })
  t.same(timeoutFailure('lastByte', 1500, 749), {
    reason: 'no last byte within 1.5 s',
    blame: 'doubtful',
  })
  t.match(timeoutFailure('tls', 1500, 751), { blame: 'prober' })
  t.match(timeoutFailure('tls', 100, 99), { blame: 'doubtful' })
  t.end()
})

void t.test('whatever a server writes becomes one bounded line', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 500 }), (text) => {
      const line = printable(text)
      return line.length <= 201 && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(line)
    }),
  )
  t.equal(printable('a\r\nb\t\tc '), 'a b c')
  // Characters that turn the direction of a terminal's text, or that it does not show.
  for (const hidden of ['\u202e', '\u2066', '\u200b', '\u00ad', '\ufeff', '\u{e0041}'])
    t.equal(printable(`a${hidden}b${hidden}`), 'a b')
  t.equal(printable('é 写真 😀'), 'é 写真 😀')
  t.equal(printable('x'.repeat(300)), `${'x'.repeat(200)}…`)
  t.end()
})

void t.test('spans are said in the unit that suits them', (t) => {
  t.same([50, 999, 1000, 2500].map(spanInWords), ['50 ms', '999 ms', '1 s', '2.5 s'])
  t.end()
})
