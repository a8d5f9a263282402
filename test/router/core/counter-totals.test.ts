import t from 'tap'
import { CounterTotals } from '../../../router/core/counter-totals.ts'
import { Counters, GLOBAL, SERVER } from '../../../router/core/counters.ts'
import { RateWindow } from '../../../router/core/rate-window.ts'

void t.test('workers are summed, server by server, whatever their rows order', (t) => {
  const one = new Counters()
  const other = new Counters()
  one.add(GLOBAL.requests, 3)
  other.add(GLOBAL.requests, 4)
  one.addServer(one.serverRow('p', 'a') + SERVER.requests, 1)
  one.addServer(one.serverRow('p', 'b') + SERVER.requests, 2)
  other.addServer(other.serverRow('p', 'b') + SERVER.requests, 10)
  other.addServer(other.serverRow('p', 'a') + SERVER.requests, 20)
  one.countRefusal('bad_host')
  other.countRefusal('bad_host')
  one.countDuration(600)
  const totals = new CounterTotals()
  totals.update(1, 101, one.snapshot())
  totals.update(2, 102, other.snapshot())
  const sums = totals.total()
  t.equal(sums.global[GLOBAL.requests], 7)
  t.equal(sums.server('p', 'a')[SERVER.requests], 21)
  t.equal(sums.server('p', 'b')[SERVER.requests], 12)
  t.equal(sums.server('p', 'never asked')[SERVER.requests], 0)
  t.equal(sums.refusals.get('bad_host'), 2)
  t.equal(sums.durations[1], 1)
  t.strictSame(
    [...totals.requestsByIncarnation()],
    [
      [101, 3],
      [102, 4],
    ],
  )
  t.end()
})

void t.test('a dead worker: its counts stay, its gauges go', (t) => {
  const counters = new Counters()
  const row = counters.serverRow('p', 'a')
  counters.add(GLOBAL.requests, 5)
  counters.add(GLOBAL.connectionsActive, 9)
  counters.addServer(row + SERVER.requests, 5)
  counters.addServer(row + SERVER.active, 2)
  counters.addServer(row + SERVER.suspect, 1)
  const totals = new CounterTotals()
  totals.update(1, 101, counters.snapshot())
  t.strictSame(totals.suspectIn('p', 'a'), [1])
  t.equal(totals.total().global[GLOBAL.connectionsActive], 9)
  totals.bury(101)
  totals.bury(101)
  totals.bury(999)
  const afterDeath = totals.total()
  t.equal(afterDeath.global[GLOBAL.requests], 5)
  t.equal(afterDeath.global[GLOBAL.connectionsActive], 0)
  t.equal(afterDeath.server('p', 'a')[SERVER.requests], 5)
  t.equal(afterDeath.server('p', 'a')[SERVER.active], 0)
  t.strictSame(totals.suspectIn('p', 'a'), [])
  const successor = new Counters()
  successor.add(GLOBAL.requests, 1)
  totals.update(1, 103, successor.snapshot())
  totals.update(1, 103, successor.snapshot())
  t.equal(totals.total().global[GLOBAL.requests], 6, 'a newer snapshot replaces, it does not add')
  t.equal(totals.total().global[GLOBAL.requests], 6, 'asking changes nothing')
  t.end()
})

void t.test('a rate looks ten seconds back, and less at the beginning', (t) => {
  const rates = new RateWindow()
  t.equal(rates.perSecond('x'), 0)
  rates.sample(0, new Map([['x', 100]]))
  t.equal(rates.perSecond('x'), 0, 'one sample is no rate')
  rates.sample(1_000, new Map([['x', 150]]))
  t.equal(rates.perSecond('x'), 50)
  for (let second = 2; second <= 30; second++) {
    rates.sample(second * 1_000, new Map([['x', 150]]))
  }
  t.equal(rates.perSecond('x'), 0, 'what is long ago is forgotten')
  rates.sample(
    31_000,
    new Map([
      ['x', 250],
      ['new', 40],
    ]),
  )
  t.equal(rates.perSecond('x'), 10)
  t.equal(rates.perSecond('new'), 4, 'a new name rose from 0')
  t.equal(rates.increase('x'), 100)
  t.end()
})
