import { COLON, CR, IS_TOKEN, LF, SPACE, TAB } from './ascii.ts'
import { FIELD, NAME_ID_BITS, fieldId, knownName } from './field-names.ts'
import { REFUSAL } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import { skipWords } from './word-scan.ts'

/** What a parser says of the bytes so far. */
export const PARSE = { incomplete: 0, complete: 1, refused: 2 } as const
export type ParseStatus = (typeof PARSE)[keyof typeof PARSE]

/** How much a head may hold. A head of exactly these sizes is accepted. */
export interface HeadLimits {
  /** The request target, as sent. */
  readonly targetBytes: number
  /** From the first byte to the last of the empty line that ends the head. */
  readonly headBytes: number
  readonly fields: number
}

/** Ints per field in `fields`: nameStart, nameEnd, valueStart, valueEnd, id. */
export const FIELD_STRIDE = 5

/** States of a head's parser. The start line's own are below `fieldStart`. */
export const STATE = {
  begin: 0,
  beginLf: 1,
  first: 2,
  method: 3,
  targetFirst: 4,
  path: 5,
  query: 6,
  version: 7,
  lineLf: 8,
  status: 9,
  reason: 10,
  fieldStart: 20,
  name: 21,
  beforeValue: 22,
  value: 23,
  valueLf: 24,
  endLf: 25,
  done: 30,
} as const

const UNDERSCORE = 95

/** 1 where the value loop must look closer: control characters other than tab, and DEL. */
const STOPS_VALUE = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte < 32 && byte !== TAB) || byte === 127 ? 1 : 0,
)

/** Token characters but the underscore, which is noted. */
const IS_PLAIN_NAME = Uint8Array.from(IS_TOKEN, (is, byte) => (byte === UNDERSCORE ? 0 : is))

/**
 * The field lines of a head (RFC 9112 section 5), read strictly, once, in any number of pieces:
 * every split of a head gives the same fields or the same refusal, as early as it can be known.
 */
export abstract class FieldSection {
  /** Five ints per field, see `FIELD_STRIDE`; offsets into the bytes parsed. */
  fields: Int32Array
  fieldCount = 0
  /** Why, once `parse` said refused. */
  refusal: Refusal = REFUSAL.requestLine

  protected limits: HeadLimits
  protected state = 0
  /** Where the next byte is read. */
  protected position = 0
  private nameStart = 0
  private nameEnd = 0
  private valueStart = 0
  /** `FIELD.other` where the name was not recognised at first sight. */
  private nameId: number = FIELD.other
  private isUnderscored = false
  private viewed: Uint8Array | undefined
  private view: DataView = new DataView(new ArrayBuffer(0))

  constructor(limits: HeadLimits) {
    this.limits = limits
    this.fields = new Int32Array(limits.fields * FIELD_STRIDE)
  }

  /** Takes other limits for the heads to come; call it only between heads. */
  setLimits(limits: HeadLimits): void {
    this.limits = limits
    const length = limits.fields * FIELD_STRIDE
    if (this.fields.length < length) this.fields = new Int32Array(length)
  }

  /** The index of the first field with this id at or after field `from`; -1 when there is none. */
  indexOf(id: number, from = 0): number {
    const { fields, fieldCount } = this
    for (let i = from; i < fieldCount; i++) {
      if (fields[i * FIELD_STRIDE + 4] === id) return i
    }
    return -1
  }

  protected refuse(refusal: Refusal): ParseStatus {
    this.refusal = refusal
    this.state = STATE.done
    return PARSE.refused
  }

  /** Reads field lines from `position`; complete when the empty line has been read. */
  protected parseFields(bytes: Uint8Array, end: number): ParseStatus {
    let i = this.position
    let state = this.state
    if (bytes !== this.viewed) this.look(bytes)
    const { view } = this
    while (i < end) {
      if (state === STATE.fieldStart) {
        const byte = bytes[i] ?? 0
        if (IS_TOKEN[byte] === 0) {
          if (byte !== CR) return this.refuse(refusalAtLineStart(byte))
          state = STATE.endLf
          i++
          continue
        }
        if (this.fieldCount === this.limits.fields) return this.refuse(REFUSAL.tooManyFields)
        this.nameStart = i
        this.isUnderscored = false
        state = STATE.name
        const known = knownName(view, i, end)
        this.nameId = known & ((1 << NAME_ID_BITS) - 1)
        if (known > 0) {
          this.nameEnd = known >>> NAME_ID_BITS
          state = STATE.beforeValue
          i = this.nameEnd + 1
        }
      }
      if (state === STATE.name) {
        while (i < end && IS_PLAIN_NAME[bytes[i] ?? 0] === 1) i++
        if (i === end) break
        const byte = bytes[i] ?? 0
        if (byte === UNDERSCORE) {
          this.isUnderscored = true
          i++
          continue
        }
        if (byte !== COLON) return this.refuse(refusalInName(byte))
        this.nameEnd = i
        state = STATE.beforeValue
        i++
      }
      if (state === STATE.beforeValue) {
        while (i < end && (bytes[i] === SPACE || bytes[i] === TAB)) i++
        if (i === end) break
        this.valueStart = i
        state = STATE.value
      }
      if (state === STATE.value) {
        i = skipWords(view, i, end)
        while (i < end && STOPS_VALUE[bytes[i] ?? 0] === 0) i++
        if (i === end) break
        const byte = bytes[i] ?? 0
        if (byte !== CR) {
          return this.refuse(byte === LF ? REFUSAL.bareLineFeed : REFUSAL.fieldValue)
        }
        state = STATE.valueLf
        i++
        if (i === end) break
      }
      if (bytes[i] !== LF) return this.refuse(REFUSAL.bareCarriageReturn)
      i++
      if (state === STATE.endLf) {
        this.position = i
        this.state = STATE.done
        return PARSE.complete
      }
      this.addField(bytes, i - 2)
      state = STATE.fieldStart
    }
    this.position = i
    this.state = state
    return PARSE.incomplete
  }

  private otherId(bytes: Uint8Array): number {
    if (this.isUnderscored) return FIELD.underscored
    return fieldId(bytes, this.nameStart, this.nameEnd)
  }

  /** Heads come in few buffers, so this is rare. */
  private look(bytes: Uint8Array): void {
    this.viewed = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  private addField(bytes: Uint8Array, lineEnd: number): void {
    const { valueStart, nameStart, nameEnd, fields } = this
    let valueEnd = lineEnd
    while (valueEnd > valueStart) {
      const byte = bytes[valueEnd - 1]
      if (byte !== SPACE && byte !== TAB) break
      valueEnd--
    }
    const at = this.fieldCount++ * FIELD_STRIDE
    fields[at] = nameStart
    fields[at + 1] = nameEnd
    fields[at + 2] = valueStart
    fields[at + 3] = valueEnd
    fields[at + 4] = this.nameId > 0 ? this.nameId : this.otherId(bytes)
  }
}

const refusalAtLineStart = (byte: number): Refusal => {
  if (byte === SPACE || byte === TAB) return REFUSAL.obsoleteFold
  if (byte === LF) return REFUSAL.bareLineFeed
  return REFUSAL.fieldName
}

const refusalInName = (byte: number): Refusal => {
  if (byte === SPACE || byte === TAB) return REFUSAL.spaceBeforeColon
  if (byte === CR) return REFUSAL.noColon
  if (byte === LF) return REFUSAL.bareLineFeed
  return REFUSAL.fieldName
}
