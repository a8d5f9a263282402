import t from 'tap'
import type { ShortageCode } from '../../../common/model/shortage.ts'
import { isShortage } from '../../../common/model/shortage.ts'
import { isTowardsOneServer, ShortageTeller } from '../../../router/core/shortage-teller.ts'

const CODES = ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL', 'EAGAIN'] as const

void t.test('what lacks is told once a minute', (t) => {
  const teller = new ShortageTeller(60)
  const isTold = (code: ShortageCode, nowMs: number): boolean =>
    teller.tell(code, 'caches/c1', nowMs) !== undefined
  t.ok(isTold('EMFILE', 5_000), 'at once')
  t.notOk(isTold('EMFILE', 5_001))
  t.notOk(isTold('ENFILE', 64_999), 'of whatever kind')
  t.ok(isTold('EMFILE', 65_000))
  t.notOk(isTold('EMFILE', 124_999), 'a minute from the last word')
  t.ok(isTold('EMFILE', 1e9))
  t.end()
})

void t.test('it says what, towards whom, and what to raise', (t) => {
  t.equal(
    new ShortageTeller(60).tell('EMFILE', 'caches/c1', 0),
    'No more file descriptors (EMFILE) when connecting to caches/c1, which is not to blame: this worker may have 60 files open; raise LimitNOFILE (ulimit -n) or lower maxConnections of the listeners',
  )
  const remedies = { ENFILE: /fs\.file-max/, ENOBUFS: /tcp_mem/, ENOMEM: /tcp_mem/ }
  const ports = { EADDRNOTAVAIL: /ip_local_port_range/, EAGAIN: /ip_local_port_range/ }
  for (const [code, remedy] of Object.entries({ ...remedies, ...ports }))
    t.match(new ShortageTeller(undefined).tell(code as ShortageCode, 'caches/c1', 0), remedy)
  t.match(new ShortageTeller(undefined).tell('EMFILE', 'c', 0), 'may have too few files open')
  t.end()
})

void t.test('only ports lack towards one server alone', (t) => {
  t.strictSame(CODES.filter(isTowardsOneServer), ['EADDRNOTAVAIL', 'EAGAIN'])
  t.end()
})

void t.test("what is a server's fault, or the way's, is no shortage", (t) => {
  t.ok(CODES.every(isShortage))
  for (const code of ['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'toString', '', undefined])
    t.notOk(isShortage(code))
  t.end()
})
