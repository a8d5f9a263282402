import type { HeaderRules } from '../../common/config/config.ts'
import { encodeText, spells } from './ascii.ts'
import { FIELD, FIELD_COUNT, fieldId } from './field-names.ts'

/** Fields that belong to one hop only (RFC 9110 7.6.1); removed both ways. */
export const HOP_BY_HOP: readonly number[] = [
  FIELD.connection,
  FIELD.connectionNamed,
  FIELD.keepAlive,
  FIELD.proxyConnection,
  FIELD.te,
  FIELD.trailer,
  FIELD.upgrade,
  FIELD.http2Settings,
  FIELD.transferEncoding,
]

/** What a client claims and is not believed, and what only the router answers. */
const CLAIMS: readonly number[] = [
  FIELD.forwarded,
  FIELD.xForwardedFor,
  FIELD.xForwardedProto,
  FIELD.xForwardedHost,
  FIELD.xForwardedOther,
  FIELD.xRealIp,
  FIELD.xRequestId,
  FIELD.underscored,
  FIELD.expect,
]

/** Fields that frame a message: rules can't touch them. */
const UNTOUCHABLE: readonly number[] = [...HOP_BY_HOP, FIELD.contentLength]

/** Header rules made ready once, so that applying them is table lookups and copies. */
export interface CompiledHeaderRules {
  /** By field id: 1 where a field of that name is not passed on. */
  readonly drops: Uint8Array
  /** Lower-case names that have no id and are not passed on. */
  readonly otherDrops: readonly Uint8Array[]
  /** By field id: 1 where a rule names the field, so that the router's own is not added. */
  readonly isRuled: Uint8Array
  /** Whether a rule names any field that the router itself adds to requests. */
  readonly rulesOwn: boolean
  /** The lines to add, each with its CRLF. */
  readonly lines: Uint8Array
}

/** Whether rules may name this field; a rule that names one that frames messages has no effect. */
export const mayRule = (name: string): boolean => {
  const bytes = encodeText(name)
  return !UNTOUCHABLE.includes(fieldId(bytes, 0, bytes.length))
}

/**
 * Makes a group's `requestHeaders` or `responseHeaders` ready. `set` replaces every field of that
 * name, the router's own too; `remove` takes it away. Names of fields that frame messages have
 * no effect.
 */
export const compileHeaderRules = (
  rules: HeaderRules,
  direction: 'request' | 'response',
): CompiledHeaderRules => {
  const drops = new Uint8Array(FIELD_COUNT)
  for (const id of HOP_BY_HOP) drops[id] = 1
  if (direction === 'request') for (const id of CLAIMS) drops[id] = 1
  const isRuled = new Uint8Array(FIELD_COUNT)
  const otherDrops: Uint8Array[] = []
  const set = Object.entries(rules.set).filter(([name]) => mayRule(name))
  for (const name of [...set.map(([named]) => named), ...rules.remove].filter(mayRule)) {
    const bytes = encodeText(name.toLowerCase())
    const id = fieldId(bytes, 0, bytes.length)
    if (id === FIELD.other || id === FIELD.xForwardedOther) otherDrops.push(bytes)
    else {
      drops[id] = 1
      isRuled[id] = 1
    }
  }
  const own = [FIELD.xForwardedFor, FIELD.xForwardedProto, FIELD.xRealIp]
  return {
    drops,
    otherDrops,
    isRuled,
    rulesOwn: own.some((id) => isRuled[id] === 1),
    lines: encodeText(set.map(([name, value]) => `${name}: ${value}\r\n`).join('')),
  }
}

/** Whether the field named `bytes[start..end)`, of this id, is not passed on. */
export const isDropped = (
  rules: CompiledHeaderRules,
  id: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean => {
  if (rules.drops[id] === 1) return true
  const { otherDrops } = rules
  if (otherDrops.length === 0 || (id !== FIELD.other && id !== FIELD.underscored)) return false
  for (const name of otherDrops) if (spells(bytes, start, end, name)) return true
  return false
}
