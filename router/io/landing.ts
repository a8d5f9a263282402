import { Buffer } from 'node:buffer'

/**
 * The buffer that all answers of a worker land in, one read at a time: no byte stays in it from one
 * read to the next, so it is always the one that the processor's cache holds. A head starts at
 * `HEAD_ROOM_BYTES`: the room before it lets a rewritten head that grew still end where the body
 * starts, so that both go out in one write.
 */
export class Landing {
  readonly bytes: Buffer
  /** `bytes` from `HEAD_ROOM_BYTES` on. */
  readonly target: Buffer
  readonly #short: Buffer
  readonly #middle: Buffer
  #middlePhotos = 0

  /** For reads of up to `length` bytes. */
  constructor(length: number) {
    this.bytes = Buffer.allocUnsafeSlow(HEAD_ROOM_BYTES + length)
    this.target = this.bytes.subarray(HEAD_ROOM_BYTES)
    this.#short = this.target.subarray(0, SHORT_READ_BYTES)
    this.#middle = this.target.subarray(0, MIDDLE_READ_BYTES)
  }

  /**
   * As much of `target` as is read where the rest can be passed on without reading it: of a large
   * photo as little as may be, but of one that a few more bytes make whole, all. The photos of late
   * tell which it will be.
   */
  get first(): Buffer {
    return this.#middlePhotos > 0 ? this.#middle : this.#short
  }

  /** An answer of so many bytes, head and body, comes. */
  note(bytes: number): void {
    if (bytes <= SHORT_READ_BYTES) return
    const step = bytes <= MIDDLE_READ_BYTES ? 1 : -1
    this.#middlePhotos = Math.max(-MOST_NOTED, Math.min(MOST_NOTED, this.#middlePhotos + step))
  }
}

export const HEAD_ROOM_BYTES = 1024

/** What `first` takes: a head and a small photo, or a middle one too. */
export const SHORT_READ_BYTES = 8 * 1024
export const MIDDLE_READ_BYTES = 24 * 1024

/** So many photos of late outweigh all that were before. */
const MOST_NOTED = 8
