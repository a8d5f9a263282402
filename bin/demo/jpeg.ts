// A baseline JPEG encoder, ITU-T T.81: sequential DCT, Huffman, three components unsampled.
// Enough for photos that any viewer opens; read T.81 sections A, B and F first.

import { HUFFMAN, QUANTISATION, ZIGZAG } from './jpeg-tables.ts'
import type { HuffmanTable } from './jpeg-tables.ts'

/** Red, green and blue, a byte each, row by row. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly rgb: Uint8Array
}

/** The picture as a complete JPEG file (JFIF). `quality` is 1 to 100, 50 the standard's tables. */
export function encodeJpeg(picture: Picture, quality: number): Uint8Array {
  const luminance = scaleSteps(QUANTISATION.luminance, quality)
  const chrominance = scaleSteps(QUANTISATION.chrominance, quality)
  const out = new BitWriter(picture.width * picture.height + 4096)
  writeHeaders(out, picture, luminance, chrominance)
  writeScan(out, picture, luminance, chrominance)
  out.marker(0xd9)
  return out.finished()
}

/** The same photo with a comment (COM segment) after its first marker: other bytes, same picture. */
export function withComment(jpeg: Uint8Array, comment: Uint8Array): Uint8Array {
  const marked = new Uint8Array(jpeg.length + comment.length + 4)
  marked.set(jpeg.subarray(0, 2))
  marked.set([0xff, 0xfe, (comment.length + 2) >> 8, (comment.length + 2) & 0xff], 2)
  marked.set(comment, 6)
  marked.set(jpeg.subarray(2), 6 + comment.length)
  return marked
}

function writeHeaders(
  out: BitWriter,
  { width, height }: Picture,
  luminance: Uint8Array,
  chrominance: Uint8Array,
): void {
  const inZigzag = (steps: Uint8Array): number[] => ZIGZAG.map((place) => steps[place] ?? 0)
  const huffman = (id: number, { counts, symbols }: HuffmanTable): number[] => [
    id,
    ...counts,
    ...symbols,
  ]
  out.marker(0xd8)
  out.segment(0xe0, [0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0])
  out.segment(0xdb, [0, ...inZigzag(luminance), 1, ...inZigzag(chrominance)])
  const size = [height >> 8, height & 0xff, width >> 8, width & 0xff]
  out.segment(0xc0, [8, ...size, 3, 1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1])
  out.segment(0xc4, [
    ...huffman(0x00, HUFFMAN.luminanceDc),
    ...huffman(0x10, HUFFMAN.luminanceAc),
    ...huffman(0x01, HUFFMAN.chrominanceDc),
    ...huffman(0x11, HUFFMAN.chrominanceAc),
  ])
  out.segment(0xda, [3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0])
}

/** The one scan: for each 8 × 8 block its Y, Cb and Cr (T.81 A.2.3). */
function writeScan(
  out: BitWriter,
  picture: Picture,
  luminance: Uint8Array,
  chrominance: Uint8Array,
): void {
  const luminanceCoder = new BlockCoder(out, luminance, HUFFMAN.luminanceDc, HUFFMAN.luminanceAc)
  const chrominanceCoder = (): BlockCoder =>
    new BlockCoder(out, chrominance, HUFFMAN.chrominanceDc, HUFFMAN.chrominanceAc)
  const coders = [luminanceCoder, chrominanceCoder(), chrominanceCoder()]
  const samples = [new Float64Array(64), new Float64Array(64), new Float64Array(64)] as const
  for (let top = 0; top < picture.height; top += 8) {
    for (let left = 0; left < picture.width; left += 8) {
      readBlock(picture, left, top, samples)
      for (const [component, coder] of coders.entries()) coder.write(samples[component as 0])
    }
  }
  out.flush()
}

type Samples = readonly [Float64Array, Float64Array, Float64Array]

/** JFIF's YCbCr, shifted to be around 0; beyond the edge the last row and column repeat. */
function readBlock(picture: Picture, left: number, top: number, [y, cb, cr]: Samples): void {
  const { width, height, rgb } = picture
  for (let at = 0; at < 64; at += 1) {
    const column = Math.min(left + (at & 7), width - 1)
    const row = Math.min(top + (at >> 3), height - 1)
    const pixel = (row * width + column) * 3
    const red = rgb[pixel] ?? 0
    const green = rgb[pixel + 1] ?? 0
    const blue = rgb[pixel + 2] ?? 0
    y[at] = 0.299 * red + 0.587 * green + 0.114 * blue - 128
    cb[at] = -0.168736 * red - 0.331264 * green + 0.5 * blue
    cr[at] = 0.5 * red - 0.418688 * green - 0.081312 * blue
  }
}

/** Codes one component's blocks: DCT, quantisation, run lengths, Huffman (T.81 F.1.2). */
class BlockCoder {
  readonly #out: BitWriter
  readonly #steps: Uint8Array
  readonly #dc: HuffmanCodes
  readonly #ac: HuffmanCodes
  readonly #rows = new Float64Array(64)
  readonly #coefficients = new Int32Array(64)
  #lastDc = 0

  constructor(out: BitWriter, steps: Uint8Array, dc: HuffmanTable, ac: HuffmanTable) {
    this.#out = out
    this.#steps = steps
    this.#dc = codesOf(dc)
    this.#ac = codesOf(ac)
  }

  write(samples: Float64Array): void {
    this.#transform(samples)
    const dc = this.#coefficients[0] ?? 0
    this.#writeValue(this.#dc, 0, dc - this.#lastDc)
    this.#lastDc = dc
    let run = 0
    for (let at = 1; at < 64; at += 1) {
      const value = this.#coefficients[at] ?? 0
      if (value === 0) {
        run += 1
        continue
      }
      for (; run > 15; run -= 16) this.#writeSymbol(this.#ac, 0xf0)
      this.#writeValue(this.#ac, run, value)
      run = 0
    }
    if (run > 0) this.#writeSymbol(this.#ac, 0x00)
  }

  /** The two-dimensional DCT (T.81 A.3.3), quantised, in zigzag order. */
  #transform(samples: Float64Array): void {
    for (let row = 0; row < 64; row += 8) {
      for (let u = 0; u < 8; u += 1) {
        let sum = 0
        for (let x = 0; x < 8; x += 1) sum += (samples[row + x] ?? 0) * cosine(u, x)
        this.#rows[row + u] = sum
      }
    }
    for (let at = 0; at < 64; at += 1) {
      const place = ZIGZAG[at] ?? 0
      const u = place & 7
      const v = place >> 3
      let sum = 0
      for (let y = 0; y < 8; y += 1) sum += (this.#rows[y * 8 + u] ?? 0) * cosine(v, y)
      this.#coefficients[at] = Math.round(sum / (this.#steps[place] ?? 1))
    }
  }

  /** Run and size as one symbol, then the value's bits; a negative one less 1 (T.81 F.1.2.1). */
  #writeValue(codes: HuffmanCodes, run: number, value: number): void {
    const size = 32 - Math.clz32(Math.abs(value))
    this.#writeSymbol(codes, (run << 4) | size)
    if (size > 0) this.#out.bits(value < 0 ? value + (1 << size) - 1 : value, size)
  }

  #writeSymbol(codes: HuffmanCodes, symbol: number): void {
    this.#out.bits(codes.code[symbol] ?? 0, codes.size[symbol] ?? 0)
  }
}

interface HuffmanCodes {
  readonly code: Uint16Array
  readonly size: Uint8Array
}

/** The code of each symbol (T.81 annex C). */
function codesOf({ counts, symbols }: HuffmanTable): HuffmanCodes {
  const codes = { code: new Uint16Array(256), size: new Uint8Array(256) }
  let code = 0
  let next = 0
  for (const [index, count] of counts.entries()) {
    for (let taken = 0; taken < count; taken += 1) {
      const symbol = symbols[next] ?? 0
      codes.code[symbol] = code
      codes.size[symbol] = index + 1
      code += 1
      next += 1
    }
    code <<= 1
  }
  return codes
}

const COSINES = Float64Array.from({ length: 64 }, (_, at) => {
  const u = at >> 3
  const x = at & 7
  return (u === 0 ? Math.SQRT1_2 : 1) * 0.5 * Math.cos(((2 * x + 1) * u * Math.PI) / 16)
})

function cosine(u: number, x: number): number {
  return COSINES[u * 8 + x] ?? 0
}

function scaleSteps(steps: readonly number[], quality: number): Uint8Array {
  const scale = quality < 50 ? 5000 / quality : 200 - quality * 2
  return Uint8Array.from(steps, (step) =>
    Math.min(255, Math.max(1, Math.floor((step * scale + 50) / 100))),
  )
}

/** Bytes, and bits from the high end with a 0 stuffed after each FF (T.81 B.1.1.5). */
class BitWriter {
  #bytes: Uint8Array
  #length = 0
  #pending = 0
  #pendingBits = 0

  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(expectedBytes)
  }

  marker(code: number): void {
    this.#byte(0xff)
    this.#byte(code)
  }

  segment(code: number, content: readonly number[]): void {
    this.marker(code)
    this.#byte((content.length + 2) >> 8)
    this.#byte((content.length + 2) & 0xff)
    for (const byte of content) this.#byte(byte)
  }

  bits(value: number, count: number): void {
    this.#pending = (this.#pending << count) | value
    this.#pendingBits += count
    while (this.#pendingBits >= 8) {
      this.#pendingBits -= 8
      const byte = (this.#pending >> this.#pendingBits) & 0xff
      this.#byte(byte)
      if (byte === 0xff) this.#byte(0)
    }
    this.#pending &= (1 << this.#pendingBits) - 1
  }

  /** Fills the last byte with ones. */
  flush(): void {
    if (this.#pendingBits > 0) this.bits((1 << (8 - this.#pendingBits)) - 1, 8 - this.#pendingBits)
  }

  finished(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #byte(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(this.#length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes[this.#length] = byte
    this.#length += 1
  }
}
