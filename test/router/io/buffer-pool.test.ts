import t from 'tap'
import { monotonicMs } from '../../../common/net/units.ts'
import { BufferPool } from '../../../router/io/buffer-pool.ts'

void t.test('a buffer holds what was asked for, and not much more', (t) => {
  const pool = new BufferPool()
  for (const length of [1, 32_768, 32_769, 65_536, 100_000, 131_073, 262_144, 262_145, 5e6]) {
    const buffer = pool.take(length)
    t.ok(buffer.length >= length)
    t.ok(buffer.length <= Math.max(32_768, 2 * length), `${buffer.length} for ${length}`)
    pool.give(buffer)
    t.equal(pool.take(length) === buffer, length <= 262_144, 'goes round up to 256 KB')
  }
  t.end()
})

void t.test('as many as were needed at once lately are kept, not more', (t) => {
  const pool = new BufferPool()
  const many = Array.from({ length: 500 }, () => pool.take(40_000))
  for (const buffer of many) pool.give(buffer)
  pool.trim(monotonicMs(10_000))
  const again = new Set(Array.from({ length: 500 }, () => pool.take(40_000)))
  t.ok(many.every((buffer) => again.has(buffer)))
  for (const buffer of many) pool.give(buffer)
  pool.trim(monotonicMs(12_000))
  const three = [1, 2, 3].map(() => pool.take(40_000))
  for (const buffer of three) pool.give(buffer)
  pool.trim(monotonicMs(13_999))
  pool.trim(monotonicMs(14_000))
  const known = new Set(many)
  const left = Array.from({ length: 500 }, () => pool.take(40_000)).filter((b) => known.has(b))
  t.equal(left.length, 3)
  t.end()
})
