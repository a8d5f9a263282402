/**
 * A regular expression's shape, as far as it decides how often a backtracking matcher may try:
 * which characters stand where, what is repeated, what is a choice. What cannot be judged that way
 * (look-around, back-references) makes no tree.
 */
export type RegexTree =
  /** `^`, `$`, `\b`, `\B`: matches nothing, and may fail. */
  | { readonly type: 'assertion'; readonly text: string }
  /** One character; `text` is its source (`a`, `.`, `\d`, `[^/]`). */
  | { readonly type: 'character'; readonly text: string }
  | { readonly type: 'sequence'; readonly items: readonly RegexTree[] }
  | { readonly type: 'choice'; readonly items: readonly RegexTree[] }
  /** `max` is Infinity for `*`, `+` and `{n,}`. */
  | {
      readonly type: 'repeat'
      readonly item: RegexTree
      readonly min: number
      readonly max: number
    }

/** The tree of an expression that compiles, or why there is none. */
export type ParsedRegex =
  { readonly ok: true; readonly tree: RegexTree } | { readonly ok: false; readonly message: string }

/** Reads an expression that `RegExp` has accepted, without flags. */
export function parseRegex(source: string): ParsedRegex {
  const parser = new Parser(source)
  const tree = parser.choice()
  return parser.refusal === undefined ? { ok: true, tree } : { ok: false, message: parser.refusal }
}

class Parser {
  refusal: string | undefined
  readonly #source: string
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  choice(): RegexTree {
    const items = [this.#sequence()]
    while (this.#take('|')) items.push(this.#sequence())
    return items.length === 1 ? items[0]! : { type: 'choice', items }
  }

  #sequence(): RegexTree {
    const items: RegexTree[] = []
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) {
      items.push(this.#repeated(this.#atom()))
    }
    return { type: 'sequence', items }
  }

  #repeated(item: RegexTree): RegexTree {
    const match = this.#match(/(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/y)
    if (match === undefined) return item
    const [text, from, comma, to] = match
    if (text.startsWith('*')) return { type: 'repeat', item, min: 0, max: Infinity }
    if (text.startsWith('+')) return { type: 'repeat', item, min: 1, max: Infinity }
    if (text.startsWith('?')) return { type: 'repeat', item, min: 0, max: 1 }
    const min = Number(from)
    const max = comma === '' ? min : to === '' ? Infinity : Number(to)
    return { type: 'repeat', item, min, max }
  }

  #atom(): RegexTree {
    if (this.#take('(')) return this.#group()
    const assertion = this.#match(/[$^]|\\[bB]/y)
    if (assertion !== undefined) return { type: 'assertion', text: assertion[0] }
    if (this.#match(/\\(?:[1-9]|k<)/y) !== undefined)
      this.refusal ??= 'it has a back-reference, which cannot be judged: write it without'
    const text =
      this.#match(
        /\[\^?(?:\\[^]|[^\]\\])*\]|\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|c[a-z]|[^])|[^]/iy,
      )?.[0] ?? ''
    return { type: 'character', text }
  }

  #group(): RegexTree {
    if (this.#match(/\?<?[=!]/y) !== undefined)
      this.refusal ??= 'it looks ahead or behind, which cannot be judged: write it without'
    else if (this.#match(/\?(?:<[^>]*>|:)/y) === undefined && this.#source[this.#at] === '?') {
      this.refusal ??= 'it has a group with flags, which cannot be judged: write it without'
      this.#match(/\?[^:)]*:?/y)
    }
    const item = this.choice()
    this.#take(')')
    return item
  }

  #take(character: string): boolean {
    if (this.#source[this.#at] !== character) return false
    this.#at++
    return true
  }

  #match(form: RegExp): RegExpExecArray | undefined {
    form.lastIndex = this.#at
    const match = form.exec(this.#source)
    if (match === null) return undefined
    this.#at = form.lastIndex
    return match
  }
}
