/**
 * Bytes of text as heads are made of them: constants encoded once, comparison without strings,
 * copies. Nothing here allocates except `encodeText`.
 */

/** The byte of each character that a head's grammar names. */
export const CR = 13
export const LF = 10
export const TAB = 9
export const SPACE = 32
export const COLON = 58
export const COMMA = 44

const encoder = new TextEncoder()

/** UTF-8; for constants and per-connection values, never per request. */
export const encodeText = (text: string): Uint8Array => encoder.encode(text)

/** Each byte in lower case (ASCII letters only). */
export const LOWER = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 65 && byte <= 90 ? byte + 32 : byte,
)

/** 1 for the characters of a token (RFC 9110 5.6.2), else 0. */
export const IS_TOKEN = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(byte)) && byte < 128 ? 1 : 0,
)

/** The value of each hexadecimal digit; 255 for any other byte. */
export const HEX_VALUE = Uint8Array.from({ length: 256 }, (_, byte) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase())
  return digit < 0 || byte > 127 ? 255 : digit
})

/** Whether `bytes[start..end)` spells `lowerCase`, whatever its letters' case. */
export const spells = (
  bytes: Uint8Array,
  start: number,
  end: number,
  lowerCase: Uint8Array,
): boolean => {
  const length = lowerCase.length
  if (end - start !== length) return false
  for (let i = 0; i < length; i++) {
    if (LOWER[bytes[start + i] ?? 0] !== lowerCase[i]) return false
  }
  return true
}

/** Up to here a loop copies quicker than a call (`node bench/heads.ts`). */
const SHORT_BYTES = 64

/** Copies all of `from` to `out` at `at`; the end of the copy. The caller has made sure it fits. */
export const put = (out: Uint8Array, at: number, from: Uint8Array): number => {
  const length = from.length
  if (length < SHORT_BYTES) for (let i = 0; i < length; i++) out[at + i] = from[i] ?? 0
  else out.set(from, at)
  return at + length
}

/** Copies `from[start..end)` to `out` at `at`; the end of the copy. The caller has made sure it fits. */
export const putRange = (
  out: Uint8Array,
  at: number,
  from: Uint8Array,
  start: number,
  end: number,
): number => {
  if (out === from) {
    out.copyWithin(at, start, end)
  } else if (end - start < SHORT_BYTES) {
    for (let i = start, o = at; i < end; i++, o++) out[o] = from[i] ?? 0
  } else {
    out.set(from.subarray(start, end), at)
  }
  return at + end - start
}
