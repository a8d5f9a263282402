import { Buffer } from 'node:buffer'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'

/**
 * Buffers for bytes that can't pass straight through: what a slow client leaves of a photo, a head
 * that comes in pieces. They go round, for with many clients at once new ones would keep the
 * garbage collector busier than the photos; `trim` lets go of those that nobody needed of late.
 */
export class BufferPool {
  readonly #classes = SIZES.map((bytes) => ({ bytes, spare: [] as Buffer[], leastSpare: 0 }))
  #trimAt = monotonicMs(0)

  /** A buffer of at least that length, with whatever was in it. */
  take(length: number): Buffer {
    const size = this.#classes[classOf(length)]
    if (size === undefined) return Buffer.allocUnsafeSlow(length)
    const buffer = size.spare.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(size.bytes)
    size.leastSpare = Math.min(size.leastSpare, size.spare.length)
    return buffer
  }

  /** Nobody reads or writes it any more. */
  give(buffer: Buffer): void {
    const size = this.#classes[classOf(buffer.length)]
    if (size?.bytes === buffer.length) size.spare.push(buffer)
  }

  /** Called now and then: what lay unused for the last seconds is the garbage collector's. */
  trim(now: MonotonicMs): void {
    if (now < this.#trimAt) return
    this.#trimAt = monotonicMs(now + TRIM_EVERY_MS)
    for (const size of this.#classes) {
      size.spare.splice(0, size.leastSpare)
      size.leastSpare = size.spare.length
    }
  }
}

const SIZES = [32, 64, 128, 256].map((kilobytes) => kilobytes * 1024)
const TRIM_EVERY_MS = 2_000

/** Index of the smallest size that such a length goes into; one past the last: none. */
const classOf = (length: number): number => 32 - Math.clz32((length - 1) >> 15)
