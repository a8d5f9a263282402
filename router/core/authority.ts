import { COLON, HEX_VALUE } from './ascii.ts'

const PERCENT = 37
const DOT = 46
const LEFT_BRACKET = 91
const RIGHT_BRACKET = 93

/** RFC 3986's reg-name characters without `%`, and without the comma, which makes a list of hosts. */
const IS_HOST = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 128 && /[-._~!$&'()*+;=0-9A-Za-z]/.test(String.fromCharCode(byte)) ? 1 : 0,
)

/**
 * The length of the host in the authority `bytes[start..end)`, which is a host with an optional
 * port (RFC 9110 7.2, RFC 3986 3.2); -1 when it is anything else: empty, with a path, a user, a
 * list, a space, two dots in a row, a port that is no number up to 65535.
 */
export const splitAuthority = (bytes: Uint8Array, start: number, end: number): number => {
  const hostEnd =
    bytes[start] === LEFT_BRACKET && start < end
      ? endOfLiteral(bytes, start, end)
      : endOfName(bytes, start, end)
  if (hostEnd < 0 || hostEnd === start) return -1
  if (hostEnd < end && !isPort(bytes, hostEnd, end)) return -1
  return hostEnd - start
}

const endOfName = (bytes: Uint8Array, start: number, end: number): number => {
  let i = start
  let before = 0
  for (; i < end; i++) {
    const byte = bytes[i] ?? 0
    if (IS_HOST[byte] === 0) {
      if (byte === COLON) break
      if (byte !== PERCENT || end - i < 3) return -1
      if (HEX_VALUE[bytes[i + 1] ?? 0] === 255 || HEX_VALUE[bytes[i + 2] ?? 0] === 255) return -1
    }
    if (byte === DOT && before === DOT) return -1
    before = byte
  }
  return i === start + 1 && before === DOT ? -1 : i
}

/** The end of `[…]` with an IPv6 address's characters inside; -1 when it is no such literal. */
const endOfLiteral = (bytes: Uint8Array, start: number, end: number): number => {
  let colons = 0
  for (let i = start + 1; i < end; i++) {
    const byte = bytes[i] ?? 0
    if (byte === RIGHT_BRACKET) return colons < 2 ? -1 : i + 1
    if (byte === COLON) colons++
    else if (byte !== DOT && HEX_VALUE[byte] === 255) return -1
  }
  return -1
}

/** `:` and digits up to 65535, or none (RFC 3986 allows an empty port). */
const isPort = (bytes: Uint8Array, start: number, end: number): boolean => {
  if (bytes[start] !== COLON || end - start > 6) return false
  let port = 0
  for (let i = start + 1; i < end; i++) {
    const digit = (bytes[i] ?? 0) - 48
    if (digit < 0 || digit > 9) return false
    port = port * 10 + digit
  }
  return port <= 65535
}
