import fc from 'fast-check'
import t from 'tap'
import type { Verdict } from '../../../common/model/health.ts'
import {
  SAVED_FOR_MS,
  decodeVerdicts,
  encodeVerdicts,
} from '../../../healthcheck/core/saved-verdicts.ts'

const verdict: Verdict = {
  pool: 'caches',
  server: 'c1',
  state: 'up',
  factor: 0.5,
  reason: 'status 200',
  sinceMs: 5,
  clearsSuspicion: false,
  held: 'no',
  outageCount: 3,
  returned: 'cold',
  boot: 'b',
  cache: undefined,
}
const located = {
  verdict,
  upCache: 'k',
  address: '10.0.0.1',
  port: undefined,
  confirmedMs: 900,
  keptUntilMs: 9000,
}

void t.test('what is kept comes back as it was, for as long as it may', (t) => {
  const text = encodeVerdicts(
    [located, { ...located, verdict: { ...verdict, state: 'unknown' } }],
    1000,
  )
  const saved = decodeVerdicts(text, 900 + SAVED_FOR_MS)
  t.equal(saved.size, 1)
  t.strictSame(saved.get('caches/c1'), {
    pool: 'caches',
    server: 'c1',
    address: '10.0.0.1',
    port: undefined,
    state: 'up',
    factor: 0.5,
    reason: 'status 200',
    sinceMs: 5,
    outageCount: 3,
    returned: 'cold',
    upCache: 'k',
    boot: 'b',
    cache: undefined,
    confirmedMs: 900,
    keptUntilMs: 9000,
  })
  t.equal(decodeVerdicts(text, 999).size, 0, 'of the future: the clock was set back')
  t.end()
})

void t.test('each is as old as its last confirmation, not as the file', (t) => {
  const other = { ...located, verdict: { ...verdict, server: 'c2' }, confirmedMs: 1000 }
  const text = encodeVerdicts([located, other], 1000)
  const names = (wallMs: number) => [...decodeVerdicts(text, wallMs).keys()]
  t.same(names(900 + SAVED_FOR_MS), ['caches/c1', 'caches/c2'])
  t.same(names(901 + SAVED_FOR_MS), ['caches/c2'])
  t.same(names(1001 + SAVED_FOR_MS), [])
  t.end()
})

void t.test('a file that does not say when they were confirmed is as old as it is', (t) => {
  const text = encodeVerdicts([located], 1000).replace('"confirmedMs":900,', '')
  t.match(decodeVerdicts(text, 1000 + SAVED_FOR_MS).get('caches/c1'), { confirmedMs: 1000 })
  t.equal(decodeVerdicts(text, 1001 + SAVED_FOR_MS).size, 0)
  t.end()
})

void t.test('any text at all is read without harm', (t) => {
  const text = encodeVerdicts([{ ...located, confirmedMs: 0 }], 0)
  t.equal(decodeVerdicts(text.replace('"version":1', '"version":2'), 0).size, 0)
  t.equal(decodeVerdicts(text.slice(0, -10), 0).size, 0)
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.json()),
      (garbage) => decodeVerdicts(garbage, 0).size === 0,
    ),
  )
  const entry = fc.record(
    {
      pool: fc.anything(),
      server: fc.anything(),
      address: fc.anything(),
      state: fc.anything(),
      factor: fc.anything(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(fc.array(entry), (verdicts) => {
      const file = JSON.stringify({ version: 1, savedAtMs: 0, verdicts })
      return decodeVerdicts(file, 0).size === 0
    }),
  )
  t.end()
})
