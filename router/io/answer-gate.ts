import { Buffer } from 'node:buffer'
import { PARSE } from '../core/field-section.ts'
import type { HeadLimits, ParseStatus } from '../core/field-section.ts'
import { ResponseHead } from '../core/response-head.ts'

/**
 * Holds back what a cache sends until the strict parser has accepted the final answer's head, for
 * a reader that is laxer. Interim answers never pass.
 */
export class AnswerGate {
  /** The final head, once it is complete. */
  readonly head: ResponseHead
  /** What came, from that head on. */
  bytes: Buffer = Buffer.alloc(0)
  readonly #method: number
  #interims = 0

  /** For the answer to a request of this method. */
  constructor(limits: HeadLimits, method: number) {
    this.#method = method
    this.head = new ResponseHead(limits)
    this.head.reset(0, method)
  }

  /** Takes what came next; `onInterim` is called with each interim answer on the way. */
  take(bytes: Buffer, onInterim: (head: ResponseHead, bytes: Buffer) => void): ParseStatus {
    const { head } = this
    this.bytes = Buffer.concat([this.bytes, bytes])
    for (;;) {
      const status = head.parse(this.bytes, this.bytes.length)
      if (status !== PARSE.complete || !head.isInterim) return status
      if (++this.#interims > MOST_INTERIMS) return PARSE.refused
      onInterim(head, this.bytes)
      this.bytes = this.bytes.subarray(head.end)
      head.reset(0, this.#method)
    }
  }
}

const MOST_INTERIMS = 16
