// A decoder for the tests of the demo's JPEG encoder: baseline, unsampled, as slow and plain as
// ITU-T T.81 annex F tells it. Throws where the file is not as the standard wants it.

import { ZIGZAG } from '../../bin/demo/jpeg-tables.ts'

export interface Decoded {
  readonly width: number
  readonly height: number
  readonly comments: readonly string[]
  readonly rgb: Uint8Array
}

type Table = Map<string, number>

/** The pixels of a baseline JPEG file. */
export function decodeJpeg(file: Uint8Array): Decoded {
  const tables = new Map<number, Table>()
  const steps = new Map<number, readonly number[]>()
  const comments: string[] = []
  let size = { width: 0, height: 0 }
  let at = 2
  if (word(file, 0) !== 0xffd8) throw new Error('no SOI')
  for (;;) {
    const marker = word(file, at)
    const content = file.subarray(at + 4, at + 2 + word(file, at + 2))
    at += 2 + word(file, at + 2)
    if (marker === 0xfffe) comments.push(Buffer.from(content).toString())
    if (marker === 0xffdb) {
      for (let start = 0; start < content.length; start += 65) {
        steps.set(content[start] ?? -1, [...content.subarray(start + 1, start + 65)])
      }
    }
    if (marker === 0xffc0) size = { height: word(content, 1), width: word(content, 3) }
    if (marker === 0xffc4) readTables(content, tables)
    if (marker === 0xffda) break
  }
  if (word(file, file.length - 2) !== 0xffd9) throw new Error('no EOI')
  const bits = new Bits(file.subarray(at, file.length - 2))
  return { ...size, comments, rgb: decodeScan(bits, size, tables, steps) }
}

function readTables(content: Uint8Array, tables: Map<number, Table>): void {
  for (let at = 0; at < content.length;) {
    const table: Table = new Map()
    tables.set(content[at] ?? -1, table)
    const counts = content.subarray(at + 1, at + 17)
    at += 17
    let code = 0
    for (const [index, count] of counts.entries()) {
      for (let taken = 0; taken < count; taken += 1) {
        table.set(code.toString(2).padStart(index + 1, '0'), content[at] ?? 0)
        code += 1
        at += 1
      }
      code *= 2
    }
  }
}

function decodeScan(
  bits: Bits,
  { width, height }: { readonly width: number; readonly height: number },
  tables: Map<number, Table>,
  steps: Map<number, readonly number[]>,
): Uint8Array {
  const rgb = new Uint8Array(width * height * 3)
  const lastDc = [0, 0, 0]
  for (let top = 0; top < height; top += 8) {
    for (let left = 0; left < width; left += 8) {
      const [y, cb, cr] = [0, 1, 2].map((component) => {
        const kind = component === 0 ? 0 : 1
        const block = decodeBlock(bits, tables.get(kind), tables.get(0x10 | kind))
        block[0] = lastDc[component] = (lastDc[component] ?? 0) + (block[0] ?? 0)
        return inverse(block.map((value, place) => value * (steps.get(kind)?.[place] ?? 0)))
      })
      for (let place = 0; place < 64; place += 1) {
        const [x, row] = [left + (place % 8), top + Math.floor(place / 8)]
        if (x >= width || row >= height) continue
        const [luma, blue, red] = [y?.[place] ?? 0, cb?.[place] ?? 0, cr?.[place] ?? 0]
        const pixel = [
          luma + 1.402 * red,
          luma - 0.344136 * blue - 0.714136 * red,
          luma + 1.772 * blue,
        ]
        const clamped = pixel.map((part) => Math.max(0, Math.min(255, Math.round(part + 128))))
        rgb.set(clamped, (row * width + x) * 3)
      }
    }
  }
  bits.expectEnd()
  return rgb
}

/** 64 coefficients in zigzag order. */
function decodeBlock(bits: Bits, dc: Table | undefined, ac: Table | undefined): number[] {
  if (dc === undefined || ac === undefined) throw new Error('no Huffman table')
  const block = new Array<number>(64).fill(0)
  block[0] = bits.value(bits.symbol(dc))
  for (let at = 1; at < 64; at += 1) {
    const symbol = bits.symbol(ac)
    if (symbol === 0) break
    at += symbol >> 4
    if (at > 63) throw new Error('run beyond the block')
    block[at] = bits.value(symbol & 15)
  }
  return block
}

function inverse(zigzag: readonly number[]): Float64Array {
  const samples = new Float64Array(64)
  for (const [at, value] of zigzag.entries()) {
    if (value === 0) continue
    const [u, v] = [(ZIGZAG[at] ?? 0) % 8, Math.floor((ZIGZAG[at] ?? 0) / 8)]
    const scale = (u === 0 ? Math.SQRT1_2 : 1) * (v === 0 ? Math.SQRT1_2 : 1) * 0.25 * value
    for (let place = 0; place < 64; place += 1) {
      const [x, y] = [place % 8, Math.floor(place / 8)]
      const wave = Math.cos(((2 * x + 1) * u * Math.PI) / 16)
      samples[place] =
        (samples[place] ?? 0) + scale * wave * Math.cos(((2 * y + 1) * v * Math.PI) / 16)
    }
  }
  return samples
}

class Bits {
  readonly #text: string
  #at = 0

  constructor(scan: Uint8Array) {
    const bytes: string[] = []
    for (let at = 0; at < scan.length; at += 1) {
      bytes.push((scan[at] ?? 0).toString(2).padStart(8, '0'))
      if (scan[at] === 0xff) {
        at += 1
        if (scan[at] !== 0) throw new Error('FF without its stuffed 0')
      }
    }
    this.#text = bytes.join('')
  }

  symbol(table: Table): number {
    for (let size = 1; size <= 16; size += 1) {
      const symbol = table.get(this.#text.slice(this.#at, this.#at + size))
      if (symbol !== undefined) {
        this.#at += size
        return symbol
      }
    }
    throw new Error(`no code at bit ${this.#at}`)
  }

  value(size: number): number {
    if (size === 0) return 0
    const bits = this.#text.slice(this.#at, this.#at + size)
    this.#at += size
    const value = Number.parseInt(bits, 2)
    return bits.startsWith('1') ? value : value - 2 ** size + 1
  }

  expectEnd(): void {
    if (!/^1{0,7}$/.test(this.#text.slice(this.#at))) throw new Error('bits after the last block')
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}
