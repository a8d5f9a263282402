import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument } from 'yaml'
import type { Pair, Scalar, YAMLError, YAMLMap, YAMLSeq } from 'yaml'
import { quote } from './problem.ts'
import type { Problem } from './problem.ts'

/** A value as it stands in the file. Offsets are characters from the file's start. */
export type SourceNode = SourceScalar | SourceMap | SourceList

export interface SourceScalar {
  readonly kind: 'scalar'
  readonly offset: number
  /** As written, without quotes; what every unit and name is read from. */
  readonly text: string
  readonly value: string | number | boolean | null
}

export interface SourceMap {
  readonly kind: 'map'
  readonly offset: number
  readonly entries: readonly SourceEntry[]
}

export interface SourceEntry {
  readonly key: string
  readonly keyOffset: number
  readonly node: SourceNode
}

export interface SourceList {
  readonly kind: 'list'
  readonly offset: number
  readonly items: readonly SourceNode[]
}

/** The file's root, when it has one, and a problem for all that is not plain YAML 1.2. */
export interface Source {
  readonly root: SourceNode | undefined
  readonly problems: readonly Problem[]
  /** The problem of that sentence at an offset. */
  readonly problemAt: (offset: number, message: string) => Problem
}

/** No larger file is read: a thousand servers written one by one take a tenth of it. */
export const MAX_SOURCE_LENGTH = 1024 * 1024

/** Nesting that no configuration needs, and that would exhaust the parser's stack. */
const MAX_DEPTH = 100

/** More anchors, aliases and tags than that make the parser slow, and nothing readable. */
const MAX_MARKS = 1_000

/** Reads YAML into a tree. Total: any text gives a tree, problems, or both, in linear time. */
export function readYaml(text: string, file: string): Source {
  const refusal = refuseText(text)
  if (refusal !== undefined) {
    const problem = { file, ...refusal }
    return { root: undefined, problems: [problem], problemAt: () => problem }
  }
  const lineCounter = new LineCounter()
  const problemAt = (offset: number, message: string): Problem => {
    const { line, col } = lineCounter.linePos(offset)
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), message }
  }
  // Duplicate keys are ours to find: the library compares each key with all before it.
  const document = parseDocument(text, {
    lineCounter,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error',
  })
  const problems = [...document.errors, ...document.warnings].map((error) =>
    problemAt(error.pos[0], syntaxSentence(error)),
  )
  if (problems.length > 0) return { root: undefined, problems: problems.slice(0, 20), problemAt }
  const builder = new TreeBuilder(problemAt)
  const root = builder.build(document.contents, 0)
  return { root, problems: builder.problems, problemAt }
}

function refuseText(text: string): Omit<Problem, 'file'> | undefined {
  const at = (offset: number, message: string) => {
    const before = text.slice(0, offset)
    const lineStart = before.lastIndexOf('\n') + 1
    return { line: before.split('\n').length, column: offset - lineStart + 1, message }
  }
  if (text.length > MAX_SOURCE_LENGTH) {
    return at(
      0,
      `The file is larger than ${MAX_SOURCE_LENGTH / 1024 ** 2}MB: a configuration is not`,
    )
  }

  const control = text.search(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffd\ufffe\uffff]/)
  if (control >= 0) {
    const code = text.charCodeAt(control).toString(16).padStart(4, '0')
    return at(control, `The file is not UTF-8 text: it holds the character U+${code.toUpperCase()}`)
  }
  let marks = 0
  for (const match of text.matchAll(/(?:^|[\s,[{])[&*!]/g)) {
    if (++marks > MAX_MARKS)
      return at(match.index, `The file has more than ${MAX_MARKS} anchors, aliases and tags`)
  }
  const deep = tooDeepAt(text)
  if (deep >= 0) return at(deep, `The file nests deeper than ${MAX_DEPTH} levels`)
  return undefined
}

/**
 * Where the nesting is too deep, or -1: by the library's own words, of which no more are read. Each
 * bracket and each indicator nests what follows; a comma goes back to its bracket, and a new line to
 * the nearest line above that is indented less.
 */
function tooDeepAt(text: string): number {
  const brackets: number[] = []
  const lines: { indent: number; depth: number }[] = []
  let depth = 0
  let offset = 0
  let lineStart = 0
  let indent: number | undefined
  for (const word of new Lexer().lex(text)) {
    if (word === FLOW_BROKEN) brackets.length = 0
    if (indent !== undefined && offset === lineStart && brackets.length === 0) {
      lines.push({ indent, depth })
      indent = undefined
    }
    if (MARKS.has(word)) continue
    if (indent === undefined && !/^[ \t\r\n#]/.test(word)) {
      indent = offset - lineStart
      while ((lines.at(-1)?.indent ?? -1) >= indent) lines.pop()
      depth = lines.at(-1)?.depth ?? 0
    }
    depth = depthAfter(word, depth, brackets)
    if (depth > MAX_DEPTH * 2) return offset
    offset += word.length
    if (word.endsWith('\n')) lineStart = offset
  }
  return -1
}

/** `brackets` holds the depth outside of each that is open. */
function depthAfter(word: string, depth: number, brackets: number[]): number {
  switch (word) {
    case '[':
    case '{':
      brackets.push(depth)
      return depth + 1
    case ']':
    case '}':
      return brackets.pop() ?? depth
    case ',':
      return (brackets.at(-1) ?? depth) + 1
    case '-':
    case '?':
    case ':':
      return depth + 1
    default:
      return depth
  }
}

/** Words of no width, the lexer's own: a document or a scalar begins, a bracket is never closed. */
const FLOW_BROKEN = '\u0018'
const MARKS: ReadonlySet<string> = new Set(['\u0002', '\u001f', FLOW_BROKEN])

const SENTENCES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'A tab indents this line: YAML wants spaces',
  MULTIPLE_DOCS: 'A second document begins here: one file holds one configuration',
  TAG_RESOLVE_FAILED: 'A tag stands here: a configuration has none',
}

function syntaxSentence(error: YAMLError): string {
  const known = SENTENCES[error.code]
  if (known !== undefined) return known
  return `This is not YAML: ${error.message.split('\n')[0]!}`.replace(/\.$/, '')
}

/** Makes our tree of the library's: aliases resolved to the one node, keys as text, unique. */
class TreeBuilder {
  readonly problems: Problem[] = []
  readonly #problemAt: (offset: number, message: string) => Problem
  readonly #anchors = new Map<string, SourceNode | undefined>()

  constructor(problemAt: (offset: number, message: string) => Problem) {
    this.#problemAt = problemAt
  }

  build(node: unknown, offset: number): SourceNode | undefined {
    if (isAlias(node)) return this.#alias(node.source, node.range![0])
    if (!isMap(node) && !isSeq(node) && !isScalar(node)) {
      return { kind: 'scalar', offset, text: '', value: null }
    }
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, undefined)
    const built = isScalar(node) ? scalar(node) : this.#collection(node)
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, built)
    return built
  }

  #alias(name: string, offset: number): SourceNode | undefined {
    const node = this.#anchors.get(name)
    if (node === undefined) {
      const why = this.#anchors.has(name)
        ? 'stands inside its own anchor'
        : 'names no anchor before it'
      this.problems.push(this.#problemAt(offset, `The alias "*${name}" ${why}: write the value`))
    }
    return node
  }

  #collection(node: YAMLMap | YAMLSeq): SourceNode {
    // What was parsed, and not made, has its place.
    const offset = node.range![0]
    if (isSeq(node)) {
      const items = node.items.map((item) => this.build(item, offset))
      return { kind: 'list', offset, items: items.filter((item) => item !== undefined) }
    }
    const entries = new Map<string, SourceEntry>()
    for (const pair of node.items) this.#entry(pair, offset, entries)
    return { kind: 'map', offset, entries: [...entries.values()] }
  }

  #entry(pair: Pair, fallback: number, entries: Map<string, SourceEntry>): void {
    const keyNode = this.build(pair.key, fallback)
    if (keyNode === undefined) return
    const keyOffset = keyNode.offset
    const node = this.build(pair.value, keyOffset)
    if (keyNode.kind !== 'scalar') {
      this.problems.push(this.#problemAt(keyOffset, 'A key must be one word, not a map or a list'))
      return
    }
    const key = keyNode.text
    if (entries.has(key)) {
      const first = this.#problemAt(entries.get(key)!.keyOffset, '')
      const message = `The key ${quote(key)} stands here a second time: the first is in line ${first.line}`
      this.problems.push(this.#problemAt(keyOffset, message))
    } else if (node !== undefined) entries.set(key, { key, keyOffset, node })
  }
}

function scalar(node: Scalar): SourceScalar {
  const offset = node.range![0]
  const value = node.value
  if (typeof value === 'number' || typeof value === 'boolean') {
    return { kind: 'scalar', offset, text: node.source ?? String(value), value }
  }
  const text = typeof value === 'string' ? value : ''
  return { kind: 'scalar', offset, text, value: typeof value === 'string' ? value : null }
}
