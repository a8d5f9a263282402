import { createHash } from 'node:crypto'
import { crc32 as zlibCrc32 } from 'node:zlib'

/** The hashes that the peers use, so that each is measured with its own. */
export const crc32 = (bytes: Uint8Array): number => zlibCrc32(bytes)

/** The last four bytes of SHA-256, as Varnish's shard director takes them. */
export function sha256Last4(data: string | Uint8Array): number {
  return createHash('sha256').update(data).digest().readUInt32BE(28)
}

/** HAProxy's full_hash of a number: Bob Jenkins' integer mix, times a prime. */
export function fullHash(value: number): number {
  let a = value | 0
  a = (a + 0x7ed55d16 + (a << 12)) | 0
  a = a ^ 0xc761c23c ^ (a >>> 19)
  a = (a + 0x165667b1 + (a << 5)) | 0
  a = ((a + 0xd3a2646c) ^ (a << 9)) | 0
  a = (a + 0xfd7046c5 + (a << 3)) | 0
  a = a ^ 0xb55a4f09 ^ (a >>> 16)
  return Math.imul(a, 3_221_225_473) >>> 0
}

/** sdbm, HAProxy's default for strings, then its avalanche. */
export function sdbmAvalanche(bytes: Uint8Array): number {
  let hash = 0
  for (const byte of bytes) hash = (byte + (hash << 6) + (hash << 16) - hash) | 0
  return fullHash(hash)
}
