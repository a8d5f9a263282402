/**
 * IP addresses, prefixes and endpoints as text and as bytes. Every parser is total: any text gives
 * a value or undefined, none throws. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291
 * §2.5.5.2) is the IPv4 address that it stands for, everywhere.
 */

/** Four bytes or sixteen, in network order. */
export interface IpAddress {
  readonly family: 4 | 6
  readonly bytes: Uint8Array
}

/** `192.0.2.0/24`: the addresses whose first `length` bits are the base's. */
export interface Prefix {
  readonly base: IpAddress
  readonly length: number
}

/** `address` is canonical text without brackets; `port` is 1 to 65535. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** An address, or undefined: no zone, no brackets, no leading zeros in a decimal. */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(':')) {
    const bytes = parseIpv4(text)
    return bytes && { family: 4, bytes }
  }
  const bytes = parseIpv6(text)
  if (bytes === undefined) return undefined
  return isMapped(bytes) ? { family: 4, bytes: bytes.slice(12) } : { family: 6, bytes }
}

/** Canonical text: RFC 5952 for IPv6. */
export function formatIp(ip: IpAddress): string {
  return ip.family === 4 ? ip.bytes.join('.') : formatIpv6(ip.bytes)
}

/** The canonical text of an address, or undefined when it is none. */
export function canonicalIp(text: string): string | undefined {
  const ip = parseIp(text)
  return ip && formatIp(ip)
}

/** `10.0.0.0/8`, or an address alone (all its bits count); bits after the length must be zero. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address = '', bits, ...rest] = text.split('/')
  const base = parseIp(address)
  if (base === undefined || rest.length > 0) return undefined
  const width = base.bytes.length * 8
  if (bits === undefined) return { base, length: width }
  const given = parseDecimal(bits, address.includes(':') ? 128 : 32)
  if (given === undefined) return undefined
  const length = address.includes(':') && base.family === 4 ? given - 96 : given
  if (length < 0) return undefined
  for (let bit = length; bit < width; bit++) if (bitAt(base.bytes, bit) !== 0) return undefined
  return { base, length }
}

/** Always with its length: `10.0.0.1/32`. */
export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix.base)}/${prefix.length}`
}

/** Whether the address lies in the prefix; families never mix. */
export function prefixContains(prefix: Prefix, ip: IpAddress): boolean {
  if (prefix.base.family !== ip.family) return false
  for (let bit = 0; bit < prefix.length; bit++) {
    if (bitAt(prefix.base.bytes, bit) !== bitAt(ip.bytes, bit)) return false
  }
  return true
}

/** `192.0.2.1:80` or `[2001:db8::1]:80`; undefined for anything else, host names too. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const colon = text.lastIndexOf(':')
  const port = parsePort(text.slice(colon + 1))
  const host = text.slice(0, Math.max(colon, 0))
  const isBracketed = host.startsWith('[') && host.endsWith(']')
  if (port === undefined || isBracketed !== host.includes(':')) return undefined
  const address = canonicalIp(isBracketed ? host.slice(1, -1) : host)
  return address === undefined ? undefined : { address, port }
}

/** The inverse of `parseEndpoint`: brackets around IPv6. */
export function formatEndpoint(endpoint: Endpoint): string {
  const { address, port } = endpoint
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** A decimal port, 1 to 65535, without leading zeros. */
export function parsePort(text: string): number | undefined {
  const port = parseDecimal(text, 65_535)
  return port === 0 ? undefined : port
}

/** Whether the text is a DNS host name (RFC 1123 §2.1), one with a letter in it. */
export function isHostName(text: string): boolean {
  if (text.length > 253 || !/[a-z]/i.test(text)) return false
  return text.split('.').every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))
}

/** Whether the address is one that never leaves its machine: 127.0.0.0/8 or ::1. */
export function isLoopback(ip: IpAddress): boolean {
  if (ip.family === 4) return ip.bytes[0] === 127
  return ip.bytes.every((byte, index) => byte === (index === 15 ? 1 : 0))
}

/** Whether the address means every address of its family: 0.0.0.0 or ::. */
export function isAny(ip: IpAddress): boolean {
  return ip.bytes.every((byte) => byte === 0)
}

function parseDecimal(text: string, max: number): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,8})$/.test(text)) return undefined
  const value = Number(text)
  return value <= max ? value : undefined
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = parts.map((part) => parseDecimal(part, 255))
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : undefined
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = [
    parseGroups(halves[0] ?? '', halves.length === 1),
    parseGroups(halves[1] ?? '', true),
  ]
  if (head === undefined || tail === undefined) return undefined
  const gap = 16 - head.length - tail.length
  if (halves.length === 1 ? gap !== 0 : gap < 2) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

/** Sixteen-bit groups between colons; the last may be a dotted IPv4 where `isEnd` says so. */
function parseGroups(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [index, group] of groups.entries()) {
    const dotted = isEnd && index === groups.length - 1 ? parseIpv4(group) : undefined
    if (dotted) bytes.push(...dotted)
    else if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined
    else bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255)
  }
  return bytes.length <= 16 ? bytes : undefined
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 255))
}

/** RFC 5952 §4: lower case, no leading zeros, `::` for the first longest run of two or more. */
function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from(
    { length: 8 },
    (_, index) => byteAt(bytes, index * 2) * 256 + byteAt(bytes, index * 2 + 1),
  )
  const run = longestZeroRun(groups)
  const hex = groups.map((group) => group.toString(16))
  if (run.length < 2) return hex.join(':')
  return `${hex.slice(0, run.start).join(':')}::${hex.slice(run.start + run.length).join(':')}`
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  let length = 0
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0
    if (length > best.length) best = { start: index - length + 1, length }
  }
  return best
}

function bitAt(bytes: Uint8Array, bit: number): number {
  return (byteAt(bytes, bit >> 3) >> (7 - (bit & 7))) & 1
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0
}
