import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import type { ScalarKind } from './scalars.ts'

/**
 * The words the schema is written in. Each makes a TypeBox schema that is JSON Schema as an editor
 * reads it, and that carries in `x-kind` how the configuration's reader takes it. Defaults are
 * written as the file would write them.
 */

/** What every kind may be given. `max` and `min` are in the unit of the value read. */
export interface Options {
  readonly default?: unknown
  readonly description?: string
  readonly min?: number
  readonly max?: number
}

/** The nodes the reader knows, as plain data. */
export type SchemaNode =
  | {
      readonly 'x-kind': 'scalar'
      readonly 'x-scalar': ScalarKind
      readonly 'x-min'?: number
      readonly 'x-max'?: number
      readonly default?: unknown
    }
  | {
      readonly 'x-kind': 'choice'
      readonly 'x-words': readonly string[]
      readonly default?: unknown
    }
  | {
      readonly 'x-kind': 'map'
      readonly properties: Readonly<Record<string, SchemaNode>>
      readonly 'x-optional': readonly string[]
      readonly default?: unknown
    }
  | {
      readonly 'x-kind': 'record'
      readonly 'x-key': ScalarKind
      readonly 'x-value': SchemaNode
      readonly minProperties?: number
      readonly default?: unknown
    }
  | {
      readonly 'x-kind': 'list'
      readonly items: SchemaNode
      readonly minItems?: number
      readonly default?: unknown
    }
  | {
      readonly 'x-kind': 'one-or-many'
      readonly 'x-item': SchemaNode
      readonly 'x-minItems': number
      readonly default?: unknown
    }
  | { readonly 'x-kind': 'or-off'; readonly 'x-item': SchemaNode; readonly default?: unknown }
  | {
      readonly 'x-kind': 'either'
      readonly 'x-text': SchemaNode
      readonly 'x-map': SchemaNode
      readonly default?: unknown
    }
  | {
      readonly 'x-kind': 'variants'
      readonly 'x-by': string
      readonly 'x-variants': Readonly<Record<string, SchemaNode>>
      readonly default?: unknown
    }

/** A scalar of that kind; the reader turns its text into `T`. */
export function scalar<T>(kind: ScalarKind, json: object, options: Options = {}) {
  const { min, max, ...rest } = options
  const bounds = {
    ...(min === undefined ? {} : { 'x-min': min }),
    ...(max === undefined ? {} : { 'x-max': max }),
  }
  return Type.Unsafe<T>({ ...json, 'x-kind': 'scalar', 'x-scalar': kind, ...bounds, ...rest })
}

/** What most durations are kept below. */
export const DAY_MS = 86_400_000

const pattern = (form: string) => ({ type: 'string', pattern: form })

export const name = (options?: Options) =>
  scalar<string>('name', { type: ['string', 'number'] }, options)
export const boxPattern = () => scalar<string>('boxPattern', { type: 'string' })
export const duration = (options?: Options) =>
  scalar<number>('duration', pattern('^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$'), options)
export const size = (options?: Options) =>
  scalar<number>('size', pattern('^[0-9]+(\\.[0-9]+)?(B|KB|MB|GB|TB)$'), options)
export const percent = (options?: Options) =>
  scalar<number>('percent', pattern('^[0-9]+(\\.[0-9]+)?%$'), options)
export const integer = (min: number, max: number, options?: Options) =>
  scalar<number>(
    'integer',
    { type: 'integer', minimum: min, maximum: max },
    { ...options, min, max },
  )
export const toggle = (options?: Options) =>
  scalar<boolean>('toggle', { enum: [true, false, 'on', 'off'] }, options)
export const endpoint = (options?: Options) =>
  scalar<string>('endpoint', { type: 'string' }, options)
export const file = (options?: Options) =>
  scalar<string>('file', { type: 'string', minLength: 1 }, options)
export const other = (kind: ScalarKind, options?: Options) =>
  scalar<string>(kind, { type: kind === 'headerValue' ? ['string', 'number'] : 'string' }, options)

/** One of the words; numbers that look like one (`1.2`) count. */
export function choice<const Words extends readonly string[]>(words: Words, options: Options = {}) {
  const numbers = words.filter((word) => Number.isFinite(Number(word))).map(Number)
  return Type.Unsafe<Words[number]>({
    enum: [...words, ...numbers, ...(words.includes('off') ? [false] : [])],
    'x-kind': 'choice',
    'x-words': words,
    ...options,
  })
}

/** A map of known keys. One with no default that is not `Type.Optional` must be there. */
export function map<Properties extends Record<string, TSchema>>(
  properties: Properties,
  options: Options = {},
) {
  const optional = Object.keys(properties).filter((key) => {
    const property = properties[key]
    return property !== undefined && Type.IsOptional(property)
  })
  return Type.Object(properties, {
    additionalProperties: false,
    'x-kind': 'map',
    'x-optional': optional,
    ...options,
  })
}

/** A map from names to values, in the file's order. */
export function record<Value extends TSchema>(
  key: ScalarKind,
  value: Value,
  options: Options & { readonly minProperties?: number } = {},
) {
  return Type.Unsafe<ReadonlyMap<string, Static<Value>>>({
    type: 'object',
    additionalProperties: value,
    'x-kind': 'record',
    'x-key': key,
    'x-value': value,
    ...options,
  })
}

export function list<Item extends TSchema>(
  items: Item,
  options: Options & { readonly minItems?: number } = {},
) {
  return Type.Unsafe<readonly Static<Item>[]>({
    type: 'array',
    items,
    'x-kind': 'list',
    ...options,
  })
}

/** A list, or one value that stands for a list of one. */
export function oneOrMany<Item extends TSchema>(
  item: Item,
  options: Options & { readonly minItems?: number } = {},
) {
  const { minItems = 1, ...rest } = options
  return Type.Unsafe<readonly Static<Item>[]>({
    anyOf: [item, { type: 'array', items: item, minItems }],
    'x-kind': 'one-or-many',
    'x-item': item,
    'x-minItems': minItems,
    ...rest,
  })
}

/** A value, or `off` (read as undefined). */
export function orOff<Item extends TSchema>(item: Item, options: Options = {}) {
  return Type.Unsafe<Static<Item> | undefined>({
    anyOf: [{ enum: ['off', false] }, item],
    'x-kind': 'or-off',
    'x-item': item,
    ...options,
  })
}

/** One shape as a single word, another as a map. */
export function either<Text extends TSchema, Map extends TSchema>(
  textual: Text,
  mapped: Map,
  options: Options = {},
) {
  return Type.Unsafe<Static<Text> | Static<Map>>({
    anyOf: [textual, mapped],
    'x-kind': 'either',
    'x-text': textual,
    'x-map': mapped,
    ...options,
  })
}

/** Maps told apart by the word under one key; every variant has that key as a choice of one. */
export function variants<Variants extends Record<string, TSchema>>(by: string, forms: Variants) {
  return Type.Unsafe<Static<Variants[keyof Variants]>>({
    anyOf: Object.values(forms),
    'x-kind': 'variants',
    'x-by': by,
    'x-variants': forms,
  })
}

export const optional = Type.Optional
