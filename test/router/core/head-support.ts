import { FIELD_STRIDE, PARSE } from '../../../router/core/field-section.ts'
import type { FieldSection, HeadLimits } from '../../../router/core/field-section.ts'
import { RequestHead } from '../../../router/core/request-head.ts'
import { ResponseHead } from '../../../router/core/response-head.ts'

export const LIMITS: HeadLimits = { targetBytes: 8192, headBytes: 32_768, fields: 200 }

/** Bytes of a text whose characters are all below 256. */
export const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(text, (character) => character.charCodeAt(0))
export const textOf = (bytes: Uint8Array, start = 0, end = bytes.length): string =>
  Array.from(bytes.subarray(start, end), (byte) => String.fromCharCode(byte)).join('')

export interface Parsed {
  /** `ok`, `incomplete`, or status and reason of the refusal. */
  readonly outcome: string
  readonly head: RequestHead
  readonly bytes: Uint8Array
}

/** Parses a request head that arrives in pieces that end at `cuts`. */
export const parseRequest = (
  text: string,
  limits = LIMITS,
  cuts: readonly number[] = [],
): Parsed => {
  const head = new RequestHead(limits)
  const bytes = bytesOf(text)
  head.reset()
  let status: number = PARSE.incomplete
  for (const end of [...cuts, bytes.length]) {
    status = head.parse(bytes, end)
    if (status !== PARSE.incomplete) break
  }
  return { outcome: outcomeOf(status, head), head, bytes }
}

export const outcomeOf = (status: number, head: FieldSection): string => {
  if (status === PARSE.complete) return 'ok'
  if (status === PARSE.incomplete) return 'incomplete'
  return `${head.refusal.status} ${head.refusal.reason}`
}

export const parseResponse = (
  text: string,
  method = 1,
  limits = LIMITS,
): { readonly outcome: string; readonly head: ResponseHead; readonly bytes: Uint8Array } => {
  const head = new ResponseHead(limits)
  const room = 512
  const bytes = bytesOf('.'.repeat(room) + text)
  head.reset(room, method)
  const status = head.parse(bytes, bytes.length)
  return { outcome: outcomeOf(status, head), head, bytes }
}

/** The fields as `name: value`. */
export const linesOf = (head: FieldSection, bytes: Uint8Array): readonly string[] =>
  Array.from({ length: head.fieldCount }, (_, i) => {
    const [nameStart, nameEnd, valueStart, valueEnd] = head.fields.subarray(i * FIELD_STRIDE)
    return `${textOf(bytes, nameStart, nameEnd)}: ${textOf(bytes, valueStart, valueEnd)}`
  })
