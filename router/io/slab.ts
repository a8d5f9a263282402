import { Buffer } from 'node:buffer'

/**
 * Buffers cut one after the other from large ones. Parsers and the collector have then few array
 * buffers to deal with, however many connections there are.
 */
export class Slab {
  readonly #bytes: number
  #rest = Buffer.alloc(0)

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  /** A buffer of that length, with whatever was there; at most the slab's own size. */
  cut(length: number): Buffer {
    if (this.#rest.length < length) this.#rest = Buffer.allocUnsafeSlow(this.#bytes)
    const piece = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    return piece
  }
}
