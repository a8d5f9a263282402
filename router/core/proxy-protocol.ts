import { HEX_VALUE, LF } from './ascii.ts'

/** Read HAProxy's "The PROXY protocol, versions 1 & 2" first. */

/** What the bytes at a connection's beginning say of the peer behind the load balancer. */
export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly reason: string }
  | {
      readonly kind: 'complete'
      /** Where HTTP, or TLS, begins. */
      readonly length: number
      /** undefined: `UNKNOWN` or `LOCAL`, or a family without addresses: the connection's own peer counts. */
      readonly source: { readonly address: string; readonly port: number } | undefined
    }

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' }
const refused = (reason: string): ProxyHeader => ({ kind: 'refused', reason })

const V1_BYTES = 107
const V1_PREFIX = 'PROXY '
const V2_SIGNATURE = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10] as const
const V2_HEAD = 16
/** Addresses and type-length-values; the format allows 65,535, nobody sends more than some hundred. */
const V2_PAYLOAD_BYTES = 4096

/** Reads a header of the listener's version in `bytes[0..end)`. Total: any bytes, any length. */
export const parseProxyHeader = (
  version: 'v1' | 'v2',
  bytes: Uint8Array,
  end: number,
): ProxyHeader => (version === 'v1' ? parseV1(bytes, end) : parseV2(bytes, end))

/** `PROXY TCP4 192.0.2.1 192.0.2.2 5000 80` CR LF, 107 bytes at most. */
const parseV1 = (bytes: Uint8Array, end: number): ProxyHeader => {
  const seen = Math.min(end, V1_BYTES)
  let text = ''
  for (let i = 0; i < seen; i++) {
    const byte = bytes[i] ?? 0
    if (byte === LF)
      return text.endsWith('\r') ? readV1(text.slice(0, -1), i + 1) : refused('no CRLF')
    text += String.fromCharCode(byte)
    if (i < V1_PREFIX.length && text[i] !== V1_PREFIX[i]) return refused('not a PROXY line')
  }
  return end >= V1_BYTES ? refused('line too long') : INCOMPLETE
}

const readV1 = (line: string, length: number): ProxyHeader => {
  const words = line.split(' ')
  const [, protocol, source, destination, sourcePort, destinationPort] = words
  if (protocol === 'UNKNOWN') return { kind: 'complete', length, source: undefined }
  const isAddress = protocol === 'TCP4' ? isIpv4 : protocol === 'TCP6' ? isIpv6 : undefined
  if (isAddress === undefined) return refused('unknown protocol')
  if (words.length !== 6 || source === undefined || destination === undefined) {
    return refused('not six words')
  }
  if (!isAddress(source) || !isAddress(destination)) return refused('invalid address')
  if (!isPort(sourcePort) || !isPort(destinationPort)) return refused('invalid port')
  return { kind: 'complete', length, source: { address: source, port: Number(sourcePort) } }
}

/**
 * ```
 * 0..11 signature | 12 version, command | 13 family, protocol | 14..15 length | addresses, TLVs
 * ```
 */
const parseV2 = (bytes: Uint8Array, end: number): ProxyHeader => {
  const signed = Math.min(end, V2_SIGNATURE.length)
  for (let i = 0; i < signed; i++) {
    if (bytes[i] !== V2_SIGNATURE[i]) return refused('no signature')
  }
  if (end > 12) {
    const versionAndCommand = bytes[12] ?? 0
    if (versionAndCommand >> 4 !== 2) return refused('unknown version')
    if ((versionAndCommand & 15) > 1) return refused('unknown command')
  }
  if (end < V2_HEAD) return INCOMPLETE
  const payload = (bytes[14] ?? 0) * 256 + (bytes[15] ?? 0)
  if (payload > V2_PAYLOAD_BYTES) return refused('header too long')
  const family = bytes[13] ?? 0
  if (family >> 4 > 3 || (family & 15) > 2) return refused('unknown family')
  const isLocal = (bytes[12] ?? 0) === 0x20
  const isTcp4 = family === 0x11
  const isTcp6 = family === 0x21
  if (!isLocal && payload < (isTcp4 ? 12 : isTcp6 ? 36 : 0)) return refused('addresses cut short')
  const length = V2_HEAD + payload
  if (end < length) return INCOMPLETE
  if (isLocal || (!isTcp4 && !isTcp6)) return { kind: 'complete', length, source: undefined }
  const address = isTcp4 ? ipv4At(bytes, V2_HEAD) : ipv6At(bytes, V2_HEAD)
  const portAt = V2_HEAD + (isTcp4 ? 8 : 32)
  const port = (bytes[portAt] ?? 0) * 256 + (bytes[portAt + 1] ?? 0)
  return { kind: 'complete', length, source: { address, port } }
}

const isPort = (text: string | undefined): boolean =>
  text !== undefined && /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65535

const isIpv4 = (text: string): boolean =>
  /^\d{1,3}(\.\d{1,3}){3}$/.test(text) &&
  text.split('.').every((part) => String(Number(part)) === part && Number(part) <= 255)

const isIpv6 = (text: string): boolean => {
  const halves = text.split('::')
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  const last = groups.at(-1)
  const hasIpv4 = last !== undefined && last.includes('.') && isIpv4(last)
  const hex = hasIpv4 ? groups.slice(0, -1) : groups
  if (!hex.every((group) => group.length <= 4 && group !== '' && isHex(group))) return false
  const count = hex.length + (hasIpv4 ? 2 : 0)
  return halves.length === 2 ? count <= 7 : count === 8
}

const isHex = (text: string): boolean => {
  for (let i = 0; i < text.length; i++)
    if ((HEX_VALUE[text.charCodeAt(i)] ?? 255) === 255) return false
  return true
}

const ipv4At = (bytes: Uint8Array, at: number): string => bytes.subarray(at, at + 4).join('.')

/** RFC 5952: lower case, the longest run of zeros shortened. */
const ipv6At = (bytes: Uint8Array, at: number): string => {
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((bytes[at + 2 * i] ?? 0) * 256 + (bytes[at + 2 * i + 1] ?? 0)).toString(16),
  )
  if (groups.slice(0, 5).every((group) => group === '0') && groups[5] === 'ffff') {
    return `::ffff:${ipv4At(bytes, at + 12)}`
  }
  const text = groups.join(':')
  const runs = text.match(/(^|:)0(:0)+(?=:|$)/g) ?? []
  const longest = runs.reduce((best, run) => (zeros(run) > zeros(best) ? run : best), '')
  if (longest === '') return text
  const before = text.slice(0, text.indexOf(longest))
  const after = text.slice(text.indexOf(longest) + longest.length)
  return `${before}::${after.replace(/^:/, '')}`
}

const zeros = (run: string): number => run.replaceAll(':', '').length
