import fc from 'fast-check'
import t from 'tap'
import { workerShare } from '../../../router/core/worker-share.ts'

const shares = (limit: number | undefined, workers: number): number[] =>
  Array.from({ length: workers }, (_, i) => workerShare(limit, workers, i + 1))

void t.test('the first workers have the remainder, and none is left without any', (t) => {
  t.strictSame(shares(7, 3), [3, 2, 2])
  t.strictSame(shares(8, 3), [3, 3, 2])
  t.strictSame(shares(9, 3), [3, 3, 3])
  t.strictSame(shares(2, 3), [1, 1, 1])
  t.strictSame(shares(undefined, 2), [Infinity, Infinity])
  t.end()
})

void t.test('together the workers have exactly the limit, or one each', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 256 }), (n, w) => {
      const all = shares(n, w)
      const sum = all.reduce((a, b) => a + b, 0)
      return sum === Math.max(n, w) && all[0]! - all.at(-1)! <= 1
    }),
  )
  t.end()
})
