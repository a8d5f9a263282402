import { Buffer } from 'node:buffer'

/**
 * A buffer that answers land in. A head always starts at `base`: the room before it lets a
 * rewritten head that grew still end where the body starts, so that both go out in one write.
 */
export interface Chunk {
  readonly bytes: Buffer
  readonly base: number
  /** `bytes` from `base` on. */
  readonly landing: Buffer
  readonly isLarge: boolean
}

export const SMALL_CHUNK_BYTES = 17 * 1024
export const HEAD_ROOM_BYTES = 1024
export const LARGE_CHUNK_BYTES = HEAD_ROOM_BYTES + 128 * 1024

/**
 * Buffers cut one after the other from large ones. Parsers and the collector have then few array
 * buffers to deal with, however many connections there are.
 */
export class Slab {
  readonly #bytes: number
  #rest = Buffer.alloc(0)

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  /** A buffer of that length, with whatever was there; at most the slab's own size. */
  cut(length: number): Buffer {
    if (this.#rest.length < length) this.#rest = Buffer.allocUnsafeSlow(this.#bytes)
    const piece = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    return piece
  }
}

/**
 * Chunks go round: a small one waits at each upstream connection, large ones carry bodies while
 * they flow. What is over the spare limit goes to the garbage collector.
 */
export class ChunkPool {
  readonly #small: Chunk[] = []
  readonly #large: Chunk[] = []

  readonly #slab = new Slab(SLAB_BYTES)
  #largeOutCount = 0

  /** Whether an idle connection may sit on a large chunk. */
  get hasLargeToSpare(): boolean {
    return this.#largeOutCount <= LARGE_CHUNKS_OUT
  }

  take(isLarge: boolean): Chunk {
    if (isLarge) this.#largeOutCount++
    return (isLarge ? this.#large : this.#small).pop() ?? this.#make(isLarge)
  }

  /** A chunk that a dead connection may still hold is lost to the pool: only counted back. */
  lose(chunk: Chunk): void {
    if (chunk.isLarge) this.#largeOutCount--
  }

  give(chunk: Chunk): void {
    this.lose(chunk)
    const spare = chunk.isLarge ? this.#large : this.#small
    if (spare.length < SPARE_CHUNKS) spare.push(chunk)
  }

  #make(isLarge: boolean): Chunk {
    const bytes = this.#slab.cut(isLarge ? LARGE_CHUNK_BYTES : SMALL_CHUNK_BYTES)
    return { bytes, base: HEAD_ROOM_BYTES, landing: bytes.subarray(HEAD_ROOM_BYTES), isLarge }
  }
}

/** Twice as large, in place of a large one: the pool counts them as one. Nothing is copied. */
export function growChunk({ bytes, base }: Chunk): Chunk {
  const grown = Buffer.allocUnsafeSlow(2 * bytes.length)
  return { bytes: grown, base, landing: grown.subarray(base), isLarge: true }
}

const SLAB_BYTES = 4 * 1024 * 1024
const SPARE_CHUNKS = 256
/** Few: the chunk that was given back last is the one that is still in the processor's cache. */
const LARGE_CHUNKS_OUT = 16
