import { Buffer } from 'node:buffer'

/**
 * Buffers for bytes that can't pass straight through: what a slow client leaves of a photo, a head
 * that comes in pieces. They go round; what is over the spare limit is the garbage collector's.
 */
export class BufferPool {
  readonly #small: Buffer[] = []
  readonly #large: Buffer[] = []

  /** A buffer of at least that length, with whatever was in it. */
  take(length: number): Buffer {
    if (length <= SMALL_BYTES) return this.#small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES)
    if (length <= LARGE_BYTES) return this.#large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES)
    return Buffer.allocUnsafeSlow(length)
  }

  /** Nobody reads or writes it any more. */
  give(buffer: Buffer): void {
    const spare = buffer.length === SMALL_BYTES ? this.#small : this.#large
    const isOurs = buffer.length === SMALL_BYTES || buffer.length === LARGE_BYTES
    if (isOurs && spare.length < SPARE_BUFFERS) spare.push(buffer)
  }
}

const SMALL_BYTES = 32 * 1024
const LARGE_BYTES = 256 * 1024
const SPARE_BUFFERS = 64
