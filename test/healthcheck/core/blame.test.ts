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
  { code: 'EPROTO', phase: 'tls', reason: 'TLS refused: boom', blame: 'server' },
  { code: 'EWHATEVER', phase: 'firstByte', reason: 'EWHATEVER boom', blame: 'server' },
] as const
for (const { code, phase, reason, blame } of failures) {
  void t.test(`${code} in phase ${phase} is "${reason}", blamed on: ${blame}`, (t) => {
    t.same(errorFailure(code, 'boom', phase), { reason, blame })
    t.end()
  })
}

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
      return line.length <= 201 && !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(line)
    }),
  )
  t.equal(printable('a\r\nb\t\tc '), 'a b c')
  t.equal(printable('x'.repeat(300)), `${'x'.repeat(200)}…`)
  t.end()
})

void t.test('spans are said in the unit that suits them', (t) => {
  t.same([50, 999, 1000, 2500].map(spanInWords), ['50 ms', '999 ms', '1 s', '2.5 s'])
  t.end()
})
