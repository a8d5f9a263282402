import { SCALARS } from './scalars.ts'
import type { ScalarForm } from './scalars.ts'
import type { SchemaNode } from './schema-kit.ts'
import { formatSize } from './units.ts'

/**
 * The inverse of `SourceReader.read`: a value as the file would write it, units as text, `off` where
 * something is off, absent keys left out. Reading it again gives the same value.
 */
export function writeSource(schema: SchemaNode, value: unknown): unknown {
  switch (schema['x-kind']) {
    case 'scalar':
      return writeScalar(schema['x-scalar'], value)
    case 'choice':
      return value
    case 'map':
      return writeMap(schema.properties, value as Readonly<Record<string, unknown>>)
    case 'record': {
      const entries = [...(value as ReadonlyMap<string, unknown>)]
      return new Map(entries.map(([key, inner]) => [key, writeSource(schema['x-value'], inner)]))
    }
    case 'list':
      return (value as readonly unknown[]).map((item) => writeSource(schema.items, item))
    case 'one-or-many':
      return (value as readonly unknown[]).map((item) => writeSource(schema['x-item'], item))
    case 'or-off':
      return value === undefined ? 'off' : writeSource(schema['x-item'], value)
    case 'either':
      return writeSource(typeof value === 'string' ? schema['x-text'] : schema['x-map'], value)
    case 'variants': {
      const word = (value as Readonly<Record<string, unknown>>)[schema['x-by']]
      const variant = schema['x-variants'][String(word)]
      return variant === undefined ? value : writeSource(variant, value)
    }
  }
}

function writeMap(
  properties: Readonly<Record<string, SchemaNode>>,
  value: Readonly<Record<string, unknown>>,
): ReadonlyMap<string, unknown> {
  const written = new Map<string, unknown>()
  for (const [key, property] of Object.entries(properties)) {
    const inner = value[key]
    if (inner !== undefined || property['x-kind'] === 'or-off') {
      written.set(key, writeSource(property, inner))
    }
  }
  return written
}

function writeScalar(kind: keyof typeof SCALARS, value: unknown): unknown {
  if (kind === 'freeBytes' || kind === 'freeInodes') {
    const bound = value as { type: string; pct: number; amount: number }
    if (bound.type === 'share') return SCALARS.percent.format(bound.pct)
    return kind === 'freeBytes' ? formatSize(bound.amount) : bound.amount
  }
  const form: ScalarForm = SCALARS[kind]
  if (kind === 'integer' || typeof value !== 'number') return value
  return form.format!(value)
}

/** Maps as objects, all the way down. */
export function plain(value: unknown): unknown {
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, inner]) => [key as string, plain(inner)]))
  return Array.isArray(value) ? value.map(plain) : value
}
