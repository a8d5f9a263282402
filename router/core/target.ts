import { HEX_VALUE } from './ascii.ts'
import { REFUSAL } from './refusal.ts'
import type { Refusal } from './refusal.ts'

const SLASH = 47
const BACKSLASH = 92
const PERCENT = 37
const DOT = 46
const INVALID_DIGIT = 255

/**
 * Whether the path `bytes[start..end)` (without its query) is spelled in the one way that a photo
 * has, where the path names the user: no dot segment, percent-encoded or not, no empty segment, no
 * encoded `/`, no `\` or NUL in either form, no malformed `%`. The first fault, or undefined.
 */
export const spellingFault = (
  bytes: Uint8Array,
  start: number,
  end: number,
): Refusal | undefined => {
  // Dots since the segment began, as long as there is nothing else in it.
  let dots = 0
  let length = 0
  for (let i = start + 1; i < end; i++) {
    let byte = bytes[i] ?? 0
    if (byte === SLASH) {
      if (length === 0) return REFUSAL.emptySegment
      if (dots === length && length <= 2) return REFUSAL.dotSegment
      dots = 0
      length = 0
      continue
    }
    if (byte === PERCENT) {
      if (end - i < 3) return REFUSAL.percent
      const high = HEX_VALUE[bytes[i + 1] ?? 0] ?? INVALID_DIGIT
      const low = HEX_VALUE[bytes[i + 2] ?? 0] ?? INVALID_DIGIT
      if (high === INVALID_DIGIT || low === INVALID_DIGIT) return REFUSAL.percent
      byte = high * 16 + low
      if (byte === SLASH || byte === 0) return REFUSAL.encodedSeparator
      i += 2
    }
    if (byte === BACKSLASH) return REFUSAL.encodedSeparator
    if (byte === DOT) dots++
    length++
  }
  return dots === length && length > 0 && length <= 2 ? REFUSAL.dotSegment : undefined
}
