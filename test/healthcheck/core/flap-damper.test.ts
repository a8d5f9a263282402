import t from 'tap'
import { monotonicMs } from '../../../common/net/units.ts'
import { CALM, holdDownMs, recordOutage } from '../../../healthcheck/core/flap-damper.ts'
import type { FlapHistory } from '../../../healthcheck/core/flap-damper.ts'

/** Outages at these seconds; up again two seconds after each. */
function afterOutages(...seconds: number[]): FlapHistory {
  let history = CALM
  let upSince = 0
  for (const second of seconds) {
    history = recordOutage(history, monotonicMs(upSince), monotonicMs(second * 1000))
    upSince = (second + 2) * 1000
  }
  return history
}

void t.test('two outages within a minute are no flapping, three are', (t) => {
  t.equal(holdDownMs(afterOutages(100, 110)), 0)
  t.equal(holdDownMs(afterOutages(100, 110, 159)), 10_000)
  t.equal(holdDownMs(afterOutages(100, 110, 160)), 0, 'the first is a minute ago')
  t.end()
})

void t.test('each further outage doubles the hold-down, up to five minutes', (t) => {
  const times = [100, 110, 120, 130, 140, 150, 160, 170, 180]
  const holds = times.map((_, index) => holdDownMs(afterOutages(...times.slice(0, index + 1))))
  t.same(holds, [0, 0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000])
  t.end()
})

void t.test('outages count on until it once stayed up for a minute', (t) => {
  t.equal(holdDownMs(afterOutages(100, 110, 120, 181)), 20_000)
  t.equal(holdDownMs(afterOutages(100, 110, 120, 182)), 0, 'up from 122 to 182')
  t.end()
})
