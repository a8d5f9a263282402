import { nearest } from './nearest.ts'
import { listOf, quote } from './problem.ts'
import { SCALARS } from './scalars.ts'
import type { ScalarForm } from './scalars.ts'
import type { SchemaNode } from './schema-kit.ts'
import type { SourceMap, SourceNode, SourceScalar } from './yaml-source.ts'

/** Where a value stands: keys and list indices from the root. */
export type Path = readonly (string | number)[]

/** Says that something is wrong at an offset of the file. */
export type Report = (offset: number, message: string) => void

/** So many are told; a file with more of them is no configuration. */
const MAX_PROBLEMS = 1_000

/** Aliases may repeat a node; a file that expands to more than this is refused. */
const MAX_VALUES = 200_000

/**
 * Reads a source tree as a schema says. Every problem is reported; what could not be read is
 * replaced by its default or a blank of the same shape, so that relations can still be checked.
 */
export class SourceReader {
  readonly #say: Report
  readonly #places = new Map<string, number>()
  #values = 0
  #problems = 0

  constructor(report: Report) {
    this.#say = report
  }

  /** The offset of the value at a path, of its key with `isKey`, or of the nearest parent there. */
  placeOf(path: Path, isKey = false): number {
    for (let length = path.length; length > 0; length--) {
      const key = place(path.slice(0, length))
      const offset =
        (isKey && length === path.length ? this.#places.get(`${key}#`) : undefined) ??
        this.#places.get(key)
      if (offset !== undefined) return offset
    }
    return 0
  }

  #report(offset: number, message: string): void {
    this.#problems++
    if (this.#problems <= MAX_PROBLEMS) this.#say(offset, message)
  }

  /** The value that the node stands for. */
  read(schema: SchemaNode, node: SourceNode, path: Path): unknown {
    this.#places.set(place(path), node.offset)
    if (++this.#values > MAX_VALUES) {
      if (this.#values === MAX_VALUES + 1) {
        this.#report(
          node.offset,
          `The aliases of this file expand to more than ${MAX_VALUES} values`,
        )
      }
      return blank(schema)
    }
    switch (schema['x-kind']) {
      case 'scalar':
        return this.#scalar(schema, node, path)
      case 'choice':
        return this.#choice(schema, node, path)
      case 'map':
        return this.#map(schema, node, path)
      case 'record':
        return this.#record(schema, node, path)
      case 'list':
        return this.#list(schema, node, path)
      case 'one-or-many':
        return this.#oneOrMany(schema, node, path)
      case 'or-off':
        return isOff(node) ? undefined : this.read(schema['x-item'], node, path)
      case 'either':
        return this.read(node.kind === 'scalar' ? schema['x-text'] : schema['x-map'], node, path)
      case 'variants':
        return this.#variant(schema, node, path)
    }
  }

  #scalar(schema: SchemaNode & { 'x-kind': 'scalar' }, node: SourceNode, path: Path): unknown {
    const form: ScalarForm = SCALARS[schema['x-scalar']]
    if (node.kind !== 'scalar') {
      this.#report(node.offset, `${label(path)} is a ${node.kind}, not ${form.want}`)
      return blank(schema)
    }
    const value = isText(node)
      ? form.parse(node.text, node)
      : form.parse(node.text, { ...node, text: node.text })
    if (
      value === undefined ||
      node.value === null ||
      (typeof node.value === 'boolean' && typeof value === 'string')
    ) {
      this.#report(node.offset, notThat(path, node, form))
      return blank(schema)
    }
    if (typeof value === 'number') this.#bounds(schema, value, node, path)
    return value
  }

  #bounds(
    schema: SchemaNode & { 'x-kind': 'scalar' },
    value: number,
    node: SourceScalar,
    path: Path,
  ): void {
    const { 'x-min': min = 0, 'x-max': max = Number.MAX_SAFE_INTEGER } = schema
    if (value >= min && value <= max) return
    const format = (SCALARS[schema['x-scalar']] as ScalarForm).format!
    const range =
      max === Number.MAX_SAFE_INTEGER
        ? `${format(min)} or more`
        : `${format(min)} to ${format(max)}`
    this.#report(node.offset, `${label(path)} is ${quote(node.text)}: it may be ${range}`)
  }

  #choice(schema: SchemaNode & { 'x-kind': 'choice' }, node: SourceNode, path: Path): unknown {
    const words = schema['x-words']
    const text =
      node.kind === 'scalar'
        ? node.value === false && words.includes('off')
          ? 'off'
          : node.text
        : ''
    if (words.includes(text)) return text
    const near = nearest(text, words)
    const meant = near === undefined ? '' : ` (did you mean ${near}?)`
    const shown = node.kind === 'scalar' ? quote(text) : `a ${node.kind}`
    this.#report(node.offset, `${label(path)} is ${shown}: it may be ${listOf(words)}${meant}`)
    return blank(schema)
  }

  #map(schema: SchemaNode & { 'x-kind': 'map' }, node: SourceNode, path: Path): unknown {
    if (node.kind !== 'map') {
      const keys = listOf(Object.keys(schema.properties).slice(0, 6), 'and')
      if (!isEmpty(node))
        this.#report(
          node.offset,
          `${label(path)} is ${shape(node)}, not a map with keys such as ${keys}`,
        )
      else if (path.length > 0)
        return this.#map(schema, { kind: 'map', offset: node.offset, entries: [] }, path)
      return blank(schema)
    }
    const result: Record<string, unknown> = {}
    const entries = this.#knownEntries(schema, node, path)
    for (const [key, property] of Object.entries(schema.properties)) {
      const entry = entries.get(key)
      if (entry === undefined) result[key] = this.#missing(schema, key, property, node, path)
      else result[key] = this.read(property, entry, [...path, key])
    }
    return result
  }

  #knownEntries(
    schema: SchemaNode & { 'x-kind': 'map' },
    node: SourceMap,
    path: Path,
  ): Map<string, SourceNode> {
    const entries = new Map<string, SourceNode>()
    const keys = Object.keys(schema.properties)
    for (const entry of node.entries) {
      this.#places.set(`${place([...path, entry.key])}#`, entry.keyOffset)
      if (keys.includes(entry.key)) entries.set(entry.key, entry.node)
      else if (this.#problems > MAX_PROBLEMS) this.#problems++
      else {
        const near = nearest(entry.key, keys)
        const right =
          near === undefined ? `known here: ${listOf(keys, 'and')}` : `did you mean ${quote(near)}?`
        this.#report(entry.keyOffset, `${label(path)} has no key ${quote(entry.key)}: ${right}`)
      }
    }
    return entries
  }

  #missing(
    schema: SchemaNode & { 'x-kind': 'map' },
    key: string,
    property: SchemaNode,
    node: SourceMap,
    path: Path,
  ): unknown {
    if ('default' in property) return defaultOf(property)
    if (schema['x-optional'].includes(key)) return undefined
    this.#report(node.offset, `${label(path)} lacks the key ${quote(key)}: it is required`)
    return blank(property)
  }

  #record(schema: SchemaNode & { 'x-kind': 'record' }, node: SourceNode, path: Path): unknown {
    const result = new Map<string, unknown>()
    if (node.kind !== 'map') {
      if (!isEmpty(node))
        this.#report(node.offset, `${label(path)} is ${shape(node)}, not a map of names`)
      else if (schema.minProperties !== undefined)
        this.#report(node.offset, `${label(path)} is empty: it wants at least one entry`)
      return result
    }
    if (node.entries.length < (schema.minProperties ?? 0)) {
      this.#report(node.offset, `${label(path)} is empty: it wants at least one entry`)
    }
    const form: ScalarForm = SCALARS[schema['x-key']]
    for (const entry of node.entries) {
      const inner = [...path, entry.key]
      this.#places.set(`${place(inner)}#`, entry.keyOffset)
      const keyNode: SourceScalar = {
        kind: 'scalar',
        offset: entry.keyOffset,
        text: entry.key,
        value: entry.key,
      }
      if (form.parse(entry.key, keyNode) === undefined) {
        this.#report(entry.keyOffset, `${quote(entry.key)} in ${label(path)} is not ${form.want}`)
      }
      result.set(entry.key, this.read(schema['x-value'], entry.node, inner))
    }
    return result
  }

  #list(schema: SchemaNode & { 'x-kind': 'list' }, node: SourceNode, path: Path): unknown {
    if (node.kind !== 'list') {
      if (!isEmpty(node))
        this.#report(
          node.offset,
          `${label(path)} is ${shape(node)}, not a list: write [ ] around it`,
        )
      else if (schema.minItems !== undefined)
        this.#report(node.offset, `${label(path)} is empty: it wants at least one value`)
      return []
    }
    if (node.items.length < (schema.minItems ?? 0)) {
      this.#report(node.offset, `${label(path)} is empty: it wants at least one value`)
    }
    return node.items.map((item, index) => this.read(schema.items, item, [...path, index]))
  }

  #oneOrMany(
    schema: SchemaNode & { 'x-kind': 'one-or-many' },
    node: SourceNode,
    path: Path,
  ): unknown {
    const { 'x-item': items, 'x-minItems': minItems } = schema
    if (node.kind !== 'list') return [this.read(items, node, path)]
    return this.#list({ 'x-kind': 'list', items, minItems }, node, path)
  }

  #variant(schema: SchemaNode & { 'x-kind': 'variants' }, node: SourceNode, path: Path): unknown {
    const words = Object.keys(schema['x-variants'])
    const by = schema['x-by']
    const first = schema['x-variants'][words[0]!]!
    if (node.kind !== 'map') {
      this.#report(
        node.offset,
        `${label(path)} is ${shape(node)}, not a map with the key ${quote(by)}`,
      )
      return blank(first)
    }
    const named = node.entries.find((entry) => entry.key === by)?.node
    if (named === undefined) {
      const misspelled = node.entries.find(({ key }) => nearest(key, [by]) !== undefined)
      if (misspelled === undefined) {
        this.#report(
          node.offset,
          `${label(path)} lacks the key ${quote(by)}: it may be ${listOf(words)}`,
        )
        return blank(first)
      }
      const { key, keyOffset } = misspelled
      this.#report(keyOffset, `${label(path)} has no key ${quote(key)}: did you mean ${quote(by)}?`)
      const mended = node.entries.map((entry) =>
        entry === misspelled ? { ...entry, key: by } : entry,
      )
      return this.#variant(schema, { ...node, entries: mended }, path)
    }
    const word = this.#choice({ 'x-kind': 'choice', 'x-words': words }, named, [...path, by])
    const text = named.kind === 'scalar' ? named.text : ''
    if (word === text) return this.read(schema['x-variants'][text]!, node, path)
    // Refused, and told: the other keys are looked at as those of what was probably meant.
    const meant = nearest(text, words)
    if (named.kind !== 'scalar' || meant === undefined) return blank(first)
    const mended = node.entries.map((entry) =>
      entry.node === named ? { ...entry, node: { ...named, text: meant, value: meant } } : entry,
    )
    return this.read(schema['x-variants'][meant]!, { ...node, entries: mended }, path)
  }
}

/** A value of the schema's shape that breaks no relation: empty names, empty lists. */
export function blank(schema: SchemaNode): unknown {
  if ('default' in schema) return defaultOf(schema)
  switch (schema['x-kind']) {
    case 'scalar':
      return SCALARS[schema['x-scalar']].blank
    case 'choice':
      return schema['x-words'][0]
    case 'map':
      return Object.fromEntries(
        Object.entries(schema.properties).map(([key, property]) => [
          key,
          schema['x-optional'].includes(key) && !('default' in property)
            ? undefined
            : blank(property),
        ]),
      )
    case 'record':
      return new Map()
    case 'list':
    case 'one-or-many':
      return []
    case 'or-off':
      return undefined
    case 'either':
      return blank(schema['x-text'])
    case 'variants':
      return blank(Object.values(schema['x-variants'])[0]!)
  }
}

/** The default, read like any value of the file; the schema's own tests see that it fits. */
function defaultOf(schema: SchemaNode): unknown {
  return new SourceReader(() => undefined).read(
    schemaWithoutDefault(schema),
    sourceOf(schema.default),
    [],
  )
}

function schemaWithoutDefault(schema: SchemaNode): SchemaNode {
  const entries = Object.entries(schema).filter(([key]) => key !== 'default')
  return Object.fromEntries(entries) as unknown as SchemaNode
}

function sourceOf(value: unknown): SourceNode {
  const offset = 0
  if (Array.isArray(value)) return { kind: 'list', offset, items: value.map(sourceOf) }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, inner]) => ({
      key,
      keyOffset: 0,
      node: sourceOf(inner),
    }))
    return { kind: 'map', offset, entries }
  }
  const isPlain =
    typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string'
  return {
    kind: 'scalar',
    offset,
    text: isPlain ? String(value) : '',
    value: isPlain ? value : null,
  }
}

function notThat(path: Path, node: SourceScalar, form: ScalarForm): string {
  if (node.value === null) return `${label(path)} is empty, not ${form.want}`
  const hint = form.hint?.(node.text)
  return `${label(path)} is ${quote(node.text)}, not ${form.want}${hint === undefined ? '' : ` (${hint})`}`
}

/** The path as messages name it: `pools.caches.check`, `router.listen[0].address`. */
export function label(path: Path): string {
  if (path.length === 0) return 'The configuration'
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`,
    )
    .join('')
}

const place = (path: Path) => path.join('\u0000')
const isText = (node: SourceScalar) => typeof node.value === 'string'
const isOff = (node: SourceNode) =>
  node.kind === 'scalar' && (node.value === false || node.text === 'off')
const isEmpty = (node: SourceNode) => node.kind === 'scalar' && node.value === null
const shape = (node: SourceNode) => (node.kind === 'scalar' ? quote(node.text) : `a ${node.kind}`)
