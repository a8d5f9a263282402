import { Buffer } from 'node:buffer'

/**
 * The buffer that all answers of a worker land in, one read at a time: no byte stays in it from one
 * read to the next, so it is always the one that the processor's cache holds. A head starts at
 * `HEAD_ROOM_BYTES`: the room before it lets a rewritten head that grew still end where the body
 * starts, so that both go out in one write.
 */
export interface Landing {
  readonly bytes: Buffer
  /** `bytes` from `HEAD_ROOM_BYTES` on. */
  readonly target: Buffer
  /** As much of `target` as is read where the rest can be passed on without reading it. */
  readonly first: Buffer
}

/** A small photo and its head are whole in it; of a large one no more is copied than this. */
const FIRST_READ_BYTES = 24 * 1024

export const HEAD_ROOM_BYTES = 1024

/** Makes a landing for reads of up to `length` bytes. */
export function createLanding(length: number): Landing {
  const bytes = Buffer.allocUnsafeSlow(HEAD_ROOM_BYTES + length)
  const target = bytes.subarray(HEAD_ROOM_BYTES)
  return { bytes, target, first: target.subarray(0, FIRST_READ_BYTES) }
}
