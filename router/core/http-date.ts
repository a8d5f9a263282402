import { encodeText } from './ascii.ts'

/** A time as IMF-fixdate (RFC 9110 5.6.7), 29 bytes; to be made once a second, not per answer. */
export const httpDate = (wallClockMs: number): Uint8Array =>
  encodeText(new Date(wallClockMs).toUTCString())
