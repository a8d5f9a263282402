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
}

export const HEAD_ROOM_BYTES = 1024

/** Makes a landing for reads of up to `length` bytes. */
export function createLanding(length: number): Landing {
  const bytes = Buffer.allocUnsafeSlow(HEAD_ROOM_BYTES + length)
  return { bytes, target: bytes.subarray(HEAD_ROOM_BYTES) }
}
