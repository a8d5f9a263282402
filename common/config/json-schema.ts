import { configSchema } from './schema/config-schema.ts'

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

/** The configuration's JSON Schema, for editors: keys, kinds, bounds and defaults; no relations. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  const schema = exported(configSchema) as Readonly<Record<string, unknown>>
  return { $schema: DIALECT, title: 'photoedge configuration', ...schema }
}

/** Without the reader's own keywords; what has a default need not be written. */
function exported(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(exported)
  if (typeof node !== 'object' || node === null) return node
  const own = Object.entries(node).filter(([key]) => !key.startsWith('x-') && !key.startsWith('~'))
  const result = Object.fromEntries(own.map(([key, inner]) => [key, exportedKeyword(key, inner)]))
  const { properties } = node as { properties?: Readonly<Record<string, object>> }
  if (properties === undefined) return result
  const required = ((node as { required?: readonly string[] }).required ?? []).filter(
    (key) => !('default' in properties[key]!),
  )
  return { ...result, required }
}

/** Under `properties` the keys are the configuration's, not keywords. */
function exportedKeyword(key: string, inner: unknown): unknown {
  if (key === 'default' || key === 'enum') return inner
  if (key !== 'properties') return exported(inner)
  return Object.fromEntries(
    Object.entries(inner as object).map(([name, node]) => [name, exported(node)]),
  )
}
