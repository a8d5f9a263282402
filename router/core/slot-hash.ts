/**
 * The hash behind every placement: MurmurHash3_x86_32 (Austin Appleton, public domain), the same in
 * every process, on every box, in every release. docs/routing.md has it step by step with worked
 * values, so that it can be recomputed in any language. Nothing here may change: each change moves
 * users.
 */

/** Users are hashed to so many slots; the noise of fewer breaks the bounds on an even spread. */
export const SLOT_COUNT = 262_144

/** log2 of the count of bits that a slot leaves out of 32. */
const SLOT_SHIFT = 14

/** Seeds, one per use: a server's place in a slot must say nothing of its factor's threshold. */
const SEED = { user: 0, scoreHigh: 1, scoreLow: 2, factor: 3 } as const

const mixBlock = (block: number): number => {
  const k = Math.imul(block, 0xcc9e2d51)
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}

const addBlock = (hash: number, mixedBlock: number): number => {
  const h = hash ^ mixedBlock
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

const avalanche = (hash: number): number => {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** MurmurHash3_x86_32 of bytes[0, length), as an unsigned 32-bit number. */
export function murmur3(bytes: Uint8Array, length: number, seed: number): number {
  let hash = seed | 0
  const bodyEnd = length & ~3
  for (let i = 0; i < bodyEnd; i += 4) {
    const block = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    hash = addBlock(hash, mixBlock(block))
  }
  let tail = 0
  for (let i = length - 1; i >= bodyEnd; i--) tail = (tail << 8) | bytes[i]!
  // A tail of no bytes is 0, and mixBlock(0) is 0: it changes nothing.
  return avalanche(hash ^ mixBlock(tail) ^ length)
}

/** The slot, 0 to SLOT_COUNT - 1, of the user whose name is user[0, length). */
export function slotOf(user: Uint8Array, length: number): number {
  return murmur3(user, length, SEED.user) >>> SLOT_SHIFT
}

/**
 * A server's name, hashed as far as it goes without a slot. The hash of (slot, name) is
 * MurmurHash3_x86_32 of the name's UTF-8 bytes, padded with zero bytes to a multiple of four, then
 * the slot as four bytes, low byte first: so the name's part is made once and the slot's is cheap.
 */
export interface NameHash {
  readonly scoreHigh: number
  readonly scoreLow: number
  readonly factor: number
  /** Bytes hashed in all: the padded name and the slot. */
  readonly byteCount: number
}

/** Hashes a server's name once, for all slots. */
export function hashName(name: string): NameHash {
  const utf8 = new TextEncoder().encode(name)
  const padded = new Uint8Array((utf8.length + 3) & ~3)
  padded.set(utf8)
  const view = new DataView(padded.buffer)
  const state = (seed: number): number => {
    let hash = seed
    for (let i = 0; i < padded.length; i += 4)
      hash = addBlock(hash, mixBlock(view.getInt32(i, true)))
    return hash
  }
  return {
    scoreHigh: state(SEED.scoreHigh),
    scoreLow: state(SEED.scoreLow),
    factor: state(SEED.factor),
    byteCount: padded.length + 4,
  }
}

/** A slot, prepared for `hashSlot`: made once per slot, used with every server. */
export const slotKey = (slot: number): number => mixBlock(slot)

/** The hash of (slot, name) from the two prepared halves, as an unsigned 32-bit number. */
export const hashSlot = (nameState: number, key: number, byteCount: number): number =>
  avalanche(addBlock(nameState, key) ^ byteCount)

/** u of (slot, name): 53 bits, strictly between 0 and 1. */
export const unitOf = (high: number, low: number): number =>
  // 32 bits and 20, and a last one that is always set: never 0, never 1, always exact.
  (high * 2 ** 21 + (low >>> 12) * 2 + 1) / 2 ** 53

/**
 * True where a server with this factor serves this slot: the hash of (slot, name) lies below the
 * factor. A factor that grows only adds slots, one that shrinks only takes some away.
 */
export const isWithinFactor = (name: NameHash, slot: number, factor: number): boolean =>
  factor >= 1 ||
  (factor > 0 && hashSlot(name.factor, slotKey(slot), name.byteCount) < factor * 2 ** 32)
