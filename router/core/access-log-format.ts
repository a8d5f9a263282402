/**
 * One exchange as one line of the access log, written as bytes straight into the log's buffer: no
 * string is made, nothing is allocated. The formats are in docs/access-log.md; each has its file:
 * `access-log-json.ts`, `access-log-combined.ts`.
 */
import type { AccessRecord } from './access-record.ts'
import { NAME_LIMIT, put } from './line-bytes.ts'

/** No line is longer, its newline included. */
export const MAX_LINE_BYTES = 40_960

/** Writes the record's line at `out[at]`; the offset after it, or -1 when it might not fit. */
export type LineFormatter = (record: AccessRecord, out: Uint8Array, at: number) => number

/** What may become of each text, in bytes of the line; longer ones end in `...`. */
export const LIMIT = {
  method: 64,
  target: 16_384,
  host: 1_024,
  referer: 8_192,
  userAgent: 8_192,
  id: 512,
}
/** Above what all constants, numbers and fixed words of one line take together. */
const FIXED_BYTES = 1_024

/** Bytes that the record's line can't exceed when a byte of text becomes at most `factor`. */
export function worstCase(record: AccessRecord, factor: number): number {
  return (
    FIXED_BYTES +
    Math.min(record.client.length, NAME_LIMIT) +
    Math.min(record.listener.length, NAME_LIMIT) +
    Math.min(record.tlsProtocol.length, NAME_LIMIT) +
    Math.min(record.tlsCipher.length, NAME_LIMIT) +
    Math.min(record.group.length, NAME_LIMIT) +
    Math.min(record.cache.length, NAME_LIMIT) +
    Math.min((record.requestIdEnd - record.requestIdStart) * factor, LIMIT.id) +
    Math.min((record.methodEnd - record.methodStart) * factor, LIMIT.method) +
    Math.min((record.targetEnd - record.targetStart) * factor, LIMIT.target) +
    Math.min((record.hostEnd - record.hostStart) * factor, LIMIT.host) +
    Math.min((record.refererEnd - record.refererStart) * factor, LIMIT.referer) +
    Math.min((record.userAgentEnd - record.userAgentStart) * factor, LIMIT.userAgent)
  )
}

/** The text of a whole second, kept until another one is asked for. */
export class SecondText {
  readonly #text: Uint8Array
  readonly #format: (ms: number) => string
  #second = -1

  constructor(length: number, format: (ms: number) => string) {
    this.#text = new Uint8Array(length)
    this.#format = format
  }

  /** Writes the text of the second that `ms` (since 1970) lies in. */
  put(out: Uint8Array, at: number, ms: number): number {
    const second = Math.floor(ms / 1000)
    if (second !== this.#second) {
      const text = this.#format(second * 1000)
      for (let i = 0; i < this.#text.length; i++) this.#text[i] = text.charCodeAt(i)
      this.#second = second
    }
    return put(out, at, this.#text)
  }
}
