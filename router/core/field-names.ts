import { LOWER, encodeText } from './ascii.ts'

/**
 * The field names a photo router has an opinion on, as small integers. `other` is any name that
 * is not in the table. `xForwardedOther` is any further name that begins with `X-Forwarded-`;
 * `underscored` a name with an underscore (which CGI-like servers take for a hyphen);
 * `connectionNamed` whatever a Connection field names.
 */
export const FIELD = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  expect: 5,
  keepAlive: 6,
  proxyConnection: 7,
  te: 8,
  trailer: 9,
  upgrade: 10,
  http2Settings: 11,
  via: 12,
  forwarded: 13,
  xForwardedFor: 14,
  xForwardedProto: 15,
  xForwardedHost: 16,
  xForwardedOther: 17,
  xRealIp: 18,
  xRequestId: 19,
  underscored: 20,
  connectionNamed: 21,
  cacheControl: 22,
  userAgent: 23,
  referer: 24,
  date: 25,
  server: 26,
  contentType: 27,
  etag: 28,
  lastModified: 29,
  acceptRanges: 30,
  age: 31,
  expires: 32,
  vary: 33,
  location: 34,
  retryAfter: 35,
  setCookie: 36,
  cookie: 37,
  authorization: 38,
  range: 39,
  accept: 40,
  acceptEncoding: 41,
  acceptLanguage: 42,
  ifModifiedSince: 43,
  ifNoneMatch: 44,
  strictTransportSecurity: 45,
  accessControlAllowOrigin: 46,
  xCache: 47,
  xPoweredBy: 48,
  contentRange: 49,
  origin: 50,
} as const

/** How many ids there are: the length of a table indexed by id. */
export const FIELD_COUNT = 51

const NAMES: readonly (readonly [string, number])[] = [
  ['host', FIELD.host],
  ['content-length', FIELD.contentLength],
  ['transfer-encoding', FIELD.transferEncoding],
  ['connection', FIELD.connection],
  ['expect', FIELD.expect],
  ['keep-alive', FIELD.keepAlive],
  ['proxy-connection', FIELD.proxyConnection],
  ['te', FIELD.te],
  ['trailer', FIELD.trailer],
  ['upgrade', FIELD.upgrade],
  ['http2-settings', FIELD.http2Settings],
  ['via', FIELD.via],
  ['forwarded', FIELD.forwarded],
  ['x-forwarded-for', FIELD.xForwardedFor],
  ['x-forwarded-proto', FIELD.xForwardedProto],
  ['x-forwarded-host', FIELD.xForwardedHost],
  ['x-real-ip', FIELD.xRealIp],
  ['x-request-id', FIELD.xRequestId],
  ['cache-control', FIELD.cacheControl],
  ['user-agent', FIELD.userAgent],
  ['referer', FIELD.referer],
  ['date', FIELD.date],
  ['server', FIELD.server],
  ['content-type', FIELD.contentType],
  ['etag', FIELD.etag],
  ['last-modified', FIELD.lastModified],
  ['accept-ranges', FIELD.acceptRanges],
  ['age', FIELD.age],
  ['expires', FIELD.expires],
  ['vary', FIELD.vary],
  ['location', FIELD.location],
  ['retry-after', FIELD.retryAfter],
  ['set-cookie', FIELD.setCookie],
  ['cookie', FIELD.cookie],
  ['authorization', FIELD.authorization],
  ['range', FIELD.range],
  ['accept', FIELD.accept],
  ['accept-encoding', FIELD.acceptEncoding],
  ['accept-language', FIELD.acceptLanguage],
  ['if-modified-since', FIELD.ifModifiedSince],
  ['if-none-match', FIELD.ifNoneMatch],
  ['strict-transport-security', FIELD.strictTransportSecurity],
  ['access-control-allow-origin', FIELD.accessControlAllowOrigin],
  ['x-cache', FIELD.xCache],
  ['x-powered-by', FIELD.xPoweredBy],
  ['content-range', FIELD.contentRange],
  ['origin', FIELD.origin],
]

const FORWARDED_PREFIX = encodeText('x-forwarded-')
const LONGEST = Math.max(...NAMES.map(([name]) => name.length))
const SLOTS = 512

/** All known names, one after another; `NAME_START[id]` and `NAME_LENGTH[id]` say where. */
const NAME_BYTES = encodeText(NAMES.map(([name]) => name).join(''))
const NAME_START = new Int32Array(FIELD_COUNT)
const NAME_LENGTH = new Int32Array(FIELD_COUNT)
NAMES.reduce((start, [name, id]) => {
  NAME_START[id] = start
  NAME_LENGTH[id] = name.length
  return start + name.length
}, 0)

const slotOf = (length: number, first: number, middle: number, last: number, seed: number) =>
  ((length * 7 + (first | 32) * 31 + (middle | 32)) * seed + (last | 32)) & (SLOTS - 1)

const slotsWith = (seed: number): Uint8Array | undefined => {
  const slots = new Uint8Array(SLOTS)
  for (const [name, id] of NAMES) {
    const { length } = name
    const slot = slotOf(
      length,
      name.charCodeAt(0),
      name.charCodeAt(length >> 1),
      name.charCodeAt(length - 1),
      seed,
    )
    if (slots[slot] !== 0) return undefined
    slots[slot] = id
  }
  return slots
}

/** The first seed that gives every name a slot of its own. */
const perfectHash = (): { readonly seed: number; readonly slots: Uint8Array } => {
  for (let seed = 1; seed < 1_000_000; seed += 2) {
    const slots = slotsWith(seed)
    if (slots !== undefined) return { seed, slots }
  }
  throw new RangeError('No seed separates the field names: two of them look alike to slotOf')
}

const { seed: SEED, slots: SLOT_ID } = perfectHash()

/** The id of the field name `bytes[start..end)` in any case; `FIELD.other` when not in the table. */
export const fieldId = (bytes: Uint8Array, start: number, end: number): number => {
  const length = end - start
  if (length === 0) return FIELD.other
  const first = bytes[start] ?? 0
  if (length <= LONGEST) {
    const slot = slotOf(length, first, bytes[start + (length >> 1)] ?? 0, bytes[end - 1] ?? 0, SEED)
    const id = SLOT_ID[slot] ?? 0
    if (id !== 0 && NAME_LENGTH[id] === length) {
      const name = (NAME_START[id] ?? 0) - start
      let i = start
      while (i < end && LOWER[bytes[i] ?? 0] === NAME_BYTES[name + i]) i++
      if (i === end) return id
    }
  }
  if ((first | 32) !== 120) return FIELD.other
  return beginsWithForwarded(bytes, start, length) ? FIELD.xForwardedOther : FIELD.other
}

/**
 * The names once more, four bytes at a time: `NAME_WORDS[8 * id + n]`, and in `NAME_CASES` the bit
 * that makes a letter lower case, for the bytes that are letters.
 */
const WORDS_PER_NAME = 8
const NAME_WORDS = new Int32Array(FIELD_COUNT * WORDS_PER_NAME)
const NAME_CASES = new Int32Array(FIELD_COUNT * WORDS_PER_NAME)
for (const [name, id] of NAMES) {
  const text = encodeText(name.padEnd(4 * WORDS_PER_NAME))
  const cases = text.map((byte) => (byte >= 97 && byte <= 122 ? 32 : 0))
  NAME_WORDS.set(new Int32Array(text.buffer), id * WORDS_PER_NAME)
  NAME_CASES.set(new Int32Array(cases.buffer), id * WORDS_PER_NAME)
}

/** `knownName` gives an offset and an id in one number: id in the lowest bits. */
export const NAME_ID_BITS = 6

/**
 * The known field name at `start`, in any case, found four bytes at a time: the offset of the colon
 * that ends it and its id, see `NAME_ID_BITS`; 0 when the name is not in the table, or is not all
 * there. What it finds needs no look at single bytes: a known name has no invalid ones.
 */
export const knownName = (view: DataView, start: number, end: number): number => {
  const last = Math.min(end, start + LONGEST + 4) - 4
  let colon = start
  let found = 0
  for (; colon <= last; colon += 4) {
    const mixed = view.getInt32(colon, true) ^ FOUR_COLONS
    found = (mixed - 0x01010101) & ~mixed & 0x80808080
    if (found !== 0) break
  }
  // The lowest bit is the first colon's; those above may lie.
  colon += (31 - Math.clz32(found & -found)) >> 3
  const length = colon - start
  if (found === 0 || length === 0 || colon + 4 > end) return 0
  const middle = view.getUint8(start + (length >> 1))
  const slot = slotOf(length, view.getUint8(start), middle, view.getUint8(colon - 1), SEED)
  const id = SLOT_ID[slot] ?? 0
  if (id === 0 || NAME_LENGTH[id] !== length) return 0
  let word = id * WORDS_PER_NAME
  let at = start
  for (; at + 4 <= colon; at += 4, word++) {
    if ((view.getInt32(at, true) | (NAME_CASES[word] ?? 0)) !== NAME_WORDS[word]) return 0
  }
  // Of the last word only the name's own bytes count.
  const mask = (1 << ((colon - at) * 8)) - 1
  const rest = (view.getInt32(at, true) | (NAME_CASES[word] ?? 0)) ^ (NAME_WORDS[word] ?? 0)
  return (rest & mask) === 0 ? (colon << NAME_ID_BITS) | id : 0
}

const FOUR_COLONS = 0x3a3a3a3a

const beginsWithForwarded = (bytes: Uint8Array, start: number, length: number): boolean => {
  const prefix = FORWARDED_PREFIX.length
  if (length < prefix) return false
  for (let i = 0; i < prefix; i++) {
    if (LOWER[bytes[start + i] ?? 0] !== FORWARDED_PREFIX[i]) return false
  }
  return true
}
