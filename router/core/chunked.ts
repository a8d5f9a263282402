import { CR, HEX_VALUE, IS_TOKEN, LF, SPACE, TAB, COLON, encodeText, put } from './ascii.ts'

/** Which ranges a decoder yields. */
export const CHUNKED_MODE = {
  /** The body's own bytes. */
  data: 0,
  /** The bytes as they came, framing and all, but for extensions and trailers. */
  wire: 1,
} as const

/** The most that one chunk's extensions may take. */
export const CHUNK_EXTENSION_BYTES = 1024
/** The most that the trailer section may take. */
export const TRAILER_BYTES = 16_384

const SEMICOLON = 59
const MOST_DIGITS = 16

const STATE = {
  firstDigit: 0,
  digits: 1,
  beforeExtension: 2,
  extension: 3,
  sizeLf: 4,
  data: 5,
  dataCr: 6,
  dataLf: 7,
  trailerStart: 8,
  trailerName: 9,
  trailerValue: 10,
  trailerLf: 11,
  endLf: 12,
  done: 13,
  broken: 14,
} as const

/**
 * The chunked transfer coding (RFC 9112 section 7.1), read strictly, in any number of pieces.
 * `feed` a piece, then `next` until it says false; each true is a range of that piece. Then look
 * at `isDone` and `isBroken`.
 */
export class ChunkedDecoder {
  /** The range that `next` found, in the bytes last fed. */
  rangeStart = 0
  rangeEnd = 0
  /** The body's bytes that the ranges so far have held. */
  dataBytes = 0
  /** Where reading stopped: once done, the first byte after the body. */
  position = 0

  private bytes: Uint8Array = new Uint8Array(0)
  private end = 0
  private state: number = STATE.firstDigit
  private mode: number = CHUNKED_MODE.data
  /** What is left of the current chunk. */
  private left = 0
  private digits = 0
  private skipped = 0
  private keptFrom = -1

  /** Forgets the body, for the next one; `mode` is one of `CHUNKED_MODE`. */
  reset(mode: number): void {
    this.state = STATE.firstDigit
    this.mode = mode
    this.left = 0
    this.digits = 0
    this.skipped = 0
    this.dataBytes = 0
    this.keptFrom = -1
  }

  /** The last chunk and the end of the trailers have been read. */
  get isDone(): boolean {
    return this.state === STATE.done
  }

  /** What came is not the chunked coding; nothing after this is read. */
  get isBroken(): boolean {
    return this.state === STATE.broken
  }

  /** Takes the next piece, `bytes[start..end)`. It must stay unchanged until `next` says false. */
  feed(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes
    this.position = start
    this.end = end
    const { state } = this
    const isDropping =
      (state >= STATE.beforeExtension && state <= STATE.extension) ||
      (state >= STATE.trailerStart && state <= STATE.trailerLf)
    this.keptFrom = isDropping ? -1 : start
  }

  /** Finds the next range. False: this piece has no more. */
  next(): boolean {
    const { bytes, end } = this
    const isWire = this.mode === CHUNKED_MODE.wire
    let i = this.position
    while (i < end) {
      const byte = bytes[i] ?? 0
      switch (this.state) {
        case STATE.firstDigit:
        case STATE.digits: {
          const digit = HEX_VALUE[byte] ?? 255
          if (digit !== 255) {
            this.left = this.left * 16 + digit
            if (++this.digits > MOST_DIGITS || this.left > Number.MAX_SAFE_INTEGER) {
              return this.stopAt(i, STATE.broken)
            }
            this.state = STATE.digits
            i++
            break
          }
          if (this.state === STATE.firstDigit) return this.stopAt(i, STATE.broken)
          if (byte === CR) {
            this.state = STATE.sizeLf
            i++
            break
          }
          if (byte !== SEMICOLON && byte !== SPACE && byte !== TAB) {
            return this.stopAt(i, STATE.broken)
          }
          this.state = STATE.beforeExtension
          this.skipped = 0
          if (isWire && this.yieldKept(i)) return true
          break
        }
        case STATE.beforeExtension:
          if (byte === SEMICOLON) this.state = STATE.extension
          else if (byte !== SPACE && byte !== TAB) return this.stopAt(i, STATE.broken)
          if (++this.skipped > CHUNK_EXTENSION_BYTES) return this.stopAt(i, STATE.broken)
          i++
          break
        case STATE.extension:
          if (byte === CR) {
            this.state = STATE.sizeLf
            this.keptFrom = i
          } else if ((byte < SPACE && byte !== TAB) || byte === 127) {
            return this.stopAt(i, STATE.broken)
          } else if (++this.skipped > CHUNK_EXTENSION_BYTES) return this.stopAt(i, STATE.broken)
          i++
          break
        case STATE.sizeLf:
          if (byte !== LF) return this.stopAt(i, STATE.broken)
          i++
          this.digits = 0
          this.skipped = 0
          if (this.left > 0) this.state = STATE.data
          else {
            this.state = STATE.trailerStart
            if (isWire && this.yieldKept(i)) return true
          }
          break
        case STATE.data: {
          const take = Math.min(this.left, end - i)
          this.left -= take
          this.dataBytes += take
          if (this.left === 0) this.state = STATE.dataCr
          i += take
          if (isWire) break
          this.rangeStart = i - take
          this.rangeEnd = i
          this.position = i
          return true
        }
        case STATE.dataCr:
          if (byte !== CR) return this.stopAt(i, STATE.broken)
          this.state = STATE.dataLf
          i++
          break
        case STATE.dataLf:
          if (byte !== LF) return this.stopAt(i, STATE.broken)
          this.state = STATE.firstDigit
          i++
          break
        case STATE.trailerStart:
          if (byte === CR) {
            this.state = STATE.endLf
            this.keptFrom = i
          } else if (IS_TOKEN[byte] === 1) this.state = STATE.trailerName
          else return this.stopAt(i, STATE.broken)
          i++
          this.skipped++
          break
        case STATE.trailerName:
          if (byte === COLON) this.state = STATE.trailerValue
          else if (IS_TOKEN[byte] === 0) return this.stopAt(i, STATE.broken)
          if (++this.skipped > TRAILER_BYTES) return this.stopAt(i, STATE.broken)
          i++
          break
        case STATE.trailerValue:
          if (byte === CR) this.state = STATE.trailerLf
          else if ((byte < SPACE && byte !== TAB) || byte === 127) {
            return this.stopAt(i, STATE.broken)
          }
          if (++this.skipped > TRAILER_BYTES) return this.stopAt(i, STATE.broken)
          i++
          break
        case STATE.trailerLf:
          if (byte !== LF) return this.stopAt(i, STATE.broken)
          this.state = STATE.trailerStart
          i++
          break
        case STATE.endLf:
          if (byte !== LF) return this.stopAt(i, STATE.broken)
          return this.stopAt(i + 1, STATE.done)
        default:
          return this.stopAt(i, this.state)
      }
    }
    return this.stopAt(i, this.state)
  }

  /** Stops in this state; true when, on the wire, something before `at` is still to be passed on. */
  private stopAt(at: number, state: number): boolean {
    this.state = state
    this.position = at
    return this.mode === CHUNKED_MODE.wire && state !== STATE.broken && this.yieldKept(at)
  }

  /** Yields the kept bytes up to `at`; the ones after are dropped until `keptFrom` is set again. */
  private yieldKept(at: number): boolean {
    const from = this.keptFrom
    this.keptFrom = -1
    this.position = at
    if (from < 0 || from === at) return false
    this.rangeStart = from
    this.rangeEnd = at
    return true
  }
}

/** The last chunk, without trailers. */
export const LAST_CHUNK = encodeText('0\r\n\r\n')
/** What stands after a chunk's data. */
export const CHUNK_END = encodeText('\r\n')
/** The most that `writeChunkSize` writes. */
export const CHUNK_SIZE_BYTES = 16

/** Writes the size line of a chunk of `size` bytes; its end. */
export const writeChunkSize = (out: Uint8Array, at: number, size: number): number => {
  let digits = 1
  for (let rest = size; rest >= 16; rest = Math.floor(rest / 16)) digits++
  let rest = size
  for (let i = at + digits - 1; i >= at; i--) {
    const digit = rest % 16
    out[i] = digit < 10 ? 48 + digit : 87 + digit
    rest = (rest - digit) / 16
  }
  return put(out, at + digits, CHUNK_END)
}
