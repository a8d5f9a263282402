import t from 'tap'
import {
  NO_OVERRIDES,
  readOverrides,
  runtimeWeights,
  withDrained,
  withWeight,
} from '../../../router/core/overrides.ts'

void t.test('drains and weights are set and taken back, each key once', (t) => {
  const drained = withDrained(withDrained(NO_OVERRIDES, 'p/b', true), 'p/a', true)
  t.strictSame(withDrained(drained, 'p/a', true).drained, ['p/a', 'p/b'])
  t.strictSame(withDrained(drained, 'p/b', false).drained, ['p/a'])
  const weighted = withWeight(withWeight(NO_OVERRIDES, 'p/a', 2), 'p/a', 0)
  t.strictSame(weighted.weights, { 'p/a': 0 })
  t.strictSame(withWeight(weighted, 'p/a', undefined), NO_OVERRIDES)
  t.end()
})

void t.test('a pool sees its own weights only, by the names of its servers', (t) => {
  const overrides = { drained: [], weights: { 'p/a': 2, 'pq/a': 3, 'p/b': 0 } }
  t.strictSame(
    [...runtimeWeights(overrides, 'p')],
    [
      ['a', 2],
      ['b', 0],
    ],
  )
  t.end()
})

void t.test('whatever a state file holds, what is right in it is taken', (t) => {
  for (const value of [undefined, null, 7, 'x', [], {}, { drained: 1, weights: 2 }])
    t.strictSame(readOverrides(value), NO_OVERRIDES)
  t.strictSame(
    readOverrides({ drained: ['p/a', 1], weights: { 'p/a': 2, 'p/b': -1, 'p/c': 'x' } }),
    { drained: ['p/a'], weights: { 'p/a': 2 } },
  )
  t.end()
})
