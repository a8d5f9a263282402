import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { score } from '../../../router/core/rendezvous.ts'
import {
  hashName,
  hashSlot,
  isWithinFactor,
  murmur3,
  SLOT_COUNT,
  slotKey,
  slotOf,
  unitOf,
} from '../../../router/core/slot-hash.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const slotOfText = (text: string): number => slotOf(encode(text), encode(text).length)

/** MurmurHash3_x86_32 written once more, on big integers, as its definition reads. */
function plainMurmur3(bytes: Uint8Array, seed: number): number {
  const M = 0xffff_ffffn
  const rotl = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (32n - by))) & M
  let h = BigInt(seed)
  for (let at = 0; at < bytes.length; at += 4) {
    const block = bytes.subarray(at, at + 4)
    const value = block.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    h ^= (rotl((value * 0xcc9e2d51n) & M, 15n) * 0x1b873593n) & M
    if (block.length === 4) h = (rotl(h, 13n) * 5n + 0xe6546b64n) & M
  }
  h ^= BigInt(bytes.length)
  h = ((h ^ (h >> 16n)) * 0x85ebca6bn) & M
  h = ((h ^ (h >> 13n)) * 0xc2b2ae35n) & M
  return Number(h ^ (h >> 16n))
}

void t.test('the hash is MurmurHash3_x86_32', (t) => {
  t.equal(murmur3(encode(''), 0, 0), 0)
  t.equal(murmur3(encode(''), 0, 1), 0x514e28b7)
  t.equal(murmur3(encode('hello'), 5, 0), 0x248bfa47)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(), (bytes, seed) => {
      return murmur3(bytes, bytes.length, seed) === plainMurmur3(bytes, seed)
    }),
  )
  t.end()
})

void t.test('a prepared name and slot hash as their bytes in a row do', (t) => {
  const name = fc.string({ unit: 'grapheme', maxLength: 30 })
  fc.assert(
    fc.property(name, fc.nat(SLOT_COUNT - 1), (name, slot) => {
      const utf8 = encode(name)
      const row = new Uint8Array(((utf8.length + 3) & ~3) + 4)
      row.set(utf8)
      new DataView(row.buffer).setUint32(row.length - 4, slot, true)
      const hashed = hashName(name)
      const at = (state: number): number => hashSlot(state, slotKey(slot), hashed.byteCount)
      return (
        at(hashed.scoreHigh) === plainMurmur3(row, 1) &&
        at(hashed.scoreLow) === plainMurmur3(row, 2) &&
        at(hashed.factor) === plainMurmur3(row, 3)
      )
    }),
  )
  t.end()
})

void t.test('u has 53 bits and is neither 0 nor 1', (t) => {
  t.equal(unitOf(0, 0), 2 ** -53)
  t.equal(unitOf(0xffff_ffff, 0xffff_ffff), 1 - 2 ** -53)
  t.equal(unitOf(0, 1 << 12), 3 * 2 ** -53)
  t.end()
})

void t.test('the worked values of docs/routing.md', (t) => {
  const page = readFileSync(new URL('../../../docs/routing.md', import.meta.url), 'utf8')
  const users = [...page.matchAll(/^\| `([^`]+)` +\| `0x([0-9a-f]{8})` +\| (\d+) +\|$/gm)]
  t.equal(users.length, 5)
  for (const [, user, hash, slot] of users) {
    const bytes = encode(user!)
    t.equal(murmur3(bytes, bytes.length, 0), Number.parseInt(hash!, 16), user!)
    t.equal(slotOfText(user!), Number(slot), user!)
  }
  const row =
    /^\| `(cache-\d)` +\| (\d) +\| `(\w{8})` +\| `(\w{8})` +\| `(\w{8})` +\| ([\d.]+) +\| ([\d.]+) +\| ([\d.]+) +\|$/gm
  const caches = [...page.matchAll(row)]
  t.equal(caches.length, 4)
  for (const [, cache, weight, high, low, factor, u, scored, threshold] of caches) {
    const hashed = hashName(cache!)
    const at = (state: number): number => hashSlot(state, slotKey(20_116), hashed.byteCount)
    t.equal(at(hashed.scoreHigh), Number.parseInt(high!, 16))
    t.equal(at(hashed.scoreLow), Number.parseInt(low!, 16))
    t.equal(at(hashed.factor), Number.parseInt(factor!, 16))
    t.equal(unitOf(at(hashed.scoreHigh), at(hashed.scoreLow)), Number(u))
    t.equal(score(hashed, Number(weight), 20_116), Number(scored))
    t.equal(at(hashed.factor) / 2 ** 32, Number(threshold))
  }
  t.end()
})

void t.test('each bit of a short decimal id moves each bit of its slot half of the time', (t) => {
  const flips = new Float64Array(18)
  let pairs = 0
  for (let id = 100_000; id < 103_000; id++) {
    const text = encode(String(id))
    const slot = slotOf(text, 6)
    for (let digit = 0; digit < 6; digit++) {
      for (let bit = 0; bit < 4; bit++) {
        text[digit]! ^= 1 << bit
        const changed = slot ^ slotOf(text, 6)
        text[digit]! ^= 1 << bit
        for (let i = 0; i < 18; i++) flips[i]! += (changed >> i) & 1
        pairs++
      }
    }
  }
  t.ok(flips.every((count) => Math.abs(count / pairs - 0.5) < 0.01))
  t.end()
})

void t.test('a million users in a row fill the slots as dice would', (t) => {
  const counts = new Int32Array(SLOT_COUNT)
  const encoder = new TextEncoder()
  const user = new Uint8Array(8)
  for (let id = 0; id < 1_000_000; id++) {
    const { written } = encoder.encodeInto(String(id), user)
    counts[slotOf(user, written)]! += 1
  }
  const mean = 1_000_000 / SLOT_COUNT
  const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / SLOT_COUNT
  t.ok(variance / mean > 0.97 && variance / mean < 1.03, `variance to mean ${variance / mean}`)
  t.end()
})

void t.test('a factor serves its share of the slots, and a smaller one a part of those', (t) => {
  const name = hashName('cache-17')
  const steps = [0, 0.1, 0.5, 7 / 8, 1]
  const counts = steps.map(() => 0)
  let wrong = 0
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const within = steps.map((factor) => isWithinFactor(name, slot, factor))
    if (within.some((is, i) => is && within[i + 1] === false)) wrong++
    within.forEach((is, i) => (counts[i]! += is ? 1 : 0))
  }
  t.equal(wrong, 0)
  counts.forEach((count, i) => {
    t.ok(Math.abs(count / SLOT_COUNT - steps[i]!) < 0.005, `${count} slots at ${steps[i]!}`)
  })
  t.equal(counts[0], 0)
  t.equal(counts[4], SLOT_COUNT)
  t.end()
})
