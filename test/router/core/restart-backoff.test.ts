import t from 'tap'
import { afterDeath, NO_DEATHS } from '../../../router/core/restart-backoff.ts'

void t.test('the first is replaced at once, those that die young wait ever longer', (t) => {
  let backoff = NO_DEATHS
  const delays = Array.from({ length: 9 }, () => {
    const next = afterDeath(backoff, 100, false)
    backoff = next.backoff
    return next.delayMs
  })
  t.strictSame(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000])
  t.end()
})

void t.test('a healthy life makes the next replacement immediate again', (t) => {
  const young = afterDeath(afterDeath(NO_DEATHS, 10, true).backoff, 10, true)
  t.equal(young.delayMs, 100)
  const healthy = afterDeath(young.backoff, 500, true)
  t.strictSame(healthy, { backoff: NO_DEATHS, delayMs: 0 })
  t.equal(afterDeath(young.backoff, 5000, false).delayMs, 200, 'long, but it never served')
  t.end()
})
