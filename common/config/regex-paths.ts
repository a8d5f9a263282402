import type { RegexTree } from './regex-tree.ts'

/**
 * The ways a backtracking matcher can take through an expression: one position for each character
 * that stands in it, and from each position those that may follow, with how many ways there are
 * (1, or 2 for more). Position 0 is the scan before a match that is not anchored.
 */
export interface RegexPaths {
  /** The character source at each position; undefined: any character. */
  readonly texts: readonly (string | undefined)[]
  readonly follow: readonly ReadonlyMap<number, number>[]
  /** Positions at which the expression may have matched already, with nothing left to fail. */
  readonly last: ReadonlySet<number>
}

/** How repetitions with a bound are taken: copied out, or as if they had none. */
export type BoundedRepeats = 'copied' | 'unbounded'

/** Positions with their number of ways. */
type Ways = Map<number, number>

interface Part {
  readonly first: Ways
  readonly last: Ways
  /** Ways to match nothing. */
  readonly empty: number
}

const NOTHING: Part = { first: new Map(), last: new Map(), empty: 1 }

/** The paths, or undefined when there would be more than `maxPositions`. */
export function regexPaths(
  tree: RegexTree,
  bounded: BoundedRepeats,
  maxPositions: number,
): RegexPaths | undefined {
  const builder = new Builder(bounded, maxPositions)
  const whole = builder.part(tree)
  if (builder.isTooLarge) return undefined
  if (!isAnchored(tree)) {
    builder.connect(new Map([[0, 1]]), new Map([[0, 1]]))
    builder.connect(new Map([[0, 1]]), whole.first)
  }
  const canFail = assertions(tree) > (isAnchored(tree) ? 1 : 0)
  return {
    texts: builder.texts,
    follow: builder.follow,
    last: new Set(canFail ? [] : whole.last.keys()),
  }
}

/** How many ways the choices with a bound make at most, loops left aside. */
export function boundedWays(tree: RegexTree): number {
  switch (tree.type) {
    case 'assertion':
    case 'character':
      return 1
    case 'sequence':
      return tree.items.reduce((ways, item) => ways * boundedWays(item), 1)
    case 'choice':
      return tree.items.reduce((ways, item) => ways + boundedWays(item), 0)
    case 'repeat': {
      const inner = boundedWays(tree.item)
      if (tree.max === Infinity) return inner
      return (tree.max - tree.min + 1) * inner ** tree.max
    }
  }
}

class Builder {
  readonly texts: (string | undefined)[] = [undefined]
  readonly follow: Ways[] = [new Map<number, number>()]
  isTooLarge = false
  readonly #bounded: BoundedRepeats
  readonly #maxPositions: number

  constructor(bounded: BoundedRepeats, maxPositions: number) {
    this.#bounded = bounded
    this.#maxPositions = maxPositions
  }

  part(tree: RegexTree): Part {
    switch (tree.type) {
      case 'assertion':
        return NOTHING
      case 'character':
        return this.#character(tree.text)
      case 'sequence':
        return tree.items.reduce((before, item) => this.#then(before, this.part(item)), NOTHING)
      case 'choice': {
        const parts = tree.items.map((item) => this.part(item))
        const either = parts.reduce(union)
        return this.#bounded === 'unbounded' ? this.#loop(either) : either
      }
      case 'repeat':
        return this.#repeat(tree)
    }
  }

  connect(from: Ways, to: Ways): void {
    for (const [a, waysA] of from) {
      const follow = this.follow[a]
      for (const [b, waysB] of to) follow?.set(b, Math.min(2, (follow.get(b) ?? 0) + waysA * waysB))
    }
  }

  #character(text: string): Part {
    if (this.texts.length >= this.#maxPositions) this.isTooLarge = true
    if (this.isTooLarge) return NOTHING
    const position = this.texts.push(text) - 1
    this.follow.push(new Map())
    return { first: new Map([[position, 1]]), last: new Map([[position, 1]]), empty: 0 }
  }

  #then(a: Part, b: Part): Part {
    this.connect(a.last, b.first)
    return {
      first: merge(a.first, b.first, a.empty),
      last: merge(b.last, a.last, b.empty),
      empty: Math.min(2, a.empty * b.empty),
    }
  }

  /** An iteration that matches nothing ends the loop, so nothing is matched in one way only. */
  #loop(part: Part): Part {
    this.connect(part.last, part.first)
    return { ...part, empty: 1 }
  }

  #repeat({ item, min, max }: RegexTree & { type: 'repeat' }): Part {
    if (max === 0) return NOTHING
    const once = this.part(item)
    if (once.first.size === 0) return once
    const isLoose = this.#bounded === 'unbounded' && (max !== min || boundedWays(item) > 1)
    if (isLoose) return this.#loop(once)
    if (max === Infinity && once.empty > 0) {
      // Those that must be may match nothing, and leave to the loop what they could have matched.
      return this.#then(this.#copies(item, min), this.#loop(once))
    }
    const copies = this.#copies(item, min - 1)
    if (max === Infinity) {
      return this.#then(copies, { ...this.#loop(once), empty: min > 0 ? 0 : 1 })
    }
    const optional = this.#optionalCopies(item, max - Math.max(min, 1))
    if (min === 0) return { ...this.#then(once, optional), empty: 1 }
    return this.#then(this.#then(once, copies), optional)
  }

  /** `(x(x(x)?)?)?`: each only after the one before it. */
  #optionalCopies(item: RegexTree, count: number): Part {
    let nested = NOTHING
    for (let made = 0; made < count && !this.isTooLarge; made++) {
      nested = { ...this.#then(this.part(item), nested), empty: 1 }
    }
    return nested
  }

  #copies(item: RegexTree, count: number): Part {
    let whole = NOTHING
    for (let made = 0; made < count && !this.isTooLarge; made++)
      whole = this.#then(whole, this.part(item))
    return whole
  }
}

function union(a: Part, b: Part): Part {
  return {
    first: merge(a.first, b.first, 1),
    last: merge(a.last, b.last, 1),
    empty: Math.min(2, a.empty + b.empty),
  }
}

function merge(a: Ways, b: Ways, times: number): Ways {
  const merged = new Map(a)
  if (times > 0) {
    for (const [position, ways] of b) {
      merged.set(position, Math.min(2, (merged.get(position) ?? 0) + ways * times))
    }
  }
  return merged
}

/** Whether every match begins at the text's start. */
function isAnchored(tree: RegexTree): boolean {
  if (tree.type === 'assertion') return tree.text === '^'
  if (tree.type === 'choice') return tree.items.every(isAnchored)
  if (tree.type === 'repeat') return tree.min > 0 && isAnchored(tree.item)
  return tree.type === 'sequence' && tree.items[0] !== undefined && isAnchored(tree.items[0])
}

/** How many places match no character and may fail. */
function assertions(tree: RegexTree): number {
  if (tree.type === 'assertion') return 1
  if (tree.type === 'repeat') return assertions(tree.item)
  if (tree.type !== 'sequence' && tree.type !== 'choice') return 0
  return tree.items.reduce((count, item) => count + assertions(item), 0)
}
