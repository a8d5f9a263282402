import t from 'tap'
import { monotonicMs } from '../../../common/net/units.ts'
import { createLatenessMeter } from '../../../healthcheck/core/lateness.ts'

const at = monotonicMs

void t.test('a beat that comes late counts, whoever asks first, and once', (t) => {
  const meter = createLatenessMeter()
  t.equal(meter.nextBeat(), undefined)
  meter.watch(true, at(1000))
  t.equal(meter.nextBeat(), 1050)
  meter.watch(true, at(1020))
  t.equal(meter.nextBeat(), 1050, 'other events put no beat off')
  t.same(meter.read(at(1050)), { worstMs: 0, totalMs: 0 })
  t.same(meter.read(at(2550)), { worstMs: 1500, totalMs: 1500 }, 'before its timer fires')
  meter.note(at(1050), at(2551))
  t.same(meter.read(at(2551)), { worstMs: 1501, totalMs: 1500 }, 'its timer tells nothing new')
  t.equal(meter.nextBeat(), 2601)
  meter.note(at(2601), at(2700))
  t.same(meter.read(at(2700)), { worstMs: 1501, totalMs: 1599 })
  t.end()
})

void t.test('what a timer is late by at best does not add up', (t) => {
  const meter = createLatenessMeter()
  for (let now = 0; now < 10_000; now += 100) meter.note(at(now), at(now + 5))
  t.same(meter.read(at(10_000)), { worstMs: 5, totalMs: 0 })
  t.end()
})

void t.test('while nothing is under way only what was due can be late', (t) => {
  const meter = createLatenessMeter()
  meter.watch(true, at(0))
  meter.watch(false, at(10))
  t.equal(meter.nextBeat(), undefined)
  t.same(meter.read(at(5000)), { worstMs: 0, totalMs: 0 })
  meter.note(at(6000), at(6100))
  t.same(meter.read(at(6100)), { worstMs: 100, totalMs: 100 })
  t.equal(meter.nextBeat(), undefined)
  t.end()
})
