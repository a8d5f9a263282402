import { quote } from './problem.ts'
import { boundedWays, regexPaths } from './regex-paths.ts'
import type { RegexPaths } from './regex-paths.ts'
import { parseRegex } from './regex-tree.ts'
import type { RegexTree } from './regex-tree.ts'

/** Longer ones are refused unread. */
const MAX_LENGTH = 1_000
const MAX_POSITIONS = 1_100
/** Steps of the search for ambiguity; beyond, an expression counts as too complicated. */
const MAX_STEPS = 4_000_000
/** Ways that choices without a loop may make; more of them are judged as loops. */
const MAX_WAYS = 1_000

/**
 * Why a regular expression is refused, or undefined: it must compile, have the named group where
 * one is asked for, and never need more than linear time. A backtracking matcher needs more exactly
 * when two places p and q of the expression can be reached by one word v in three ways: p to p, p
 * to q, q to q (Weber and Seidl, "On the degree of ambiguity of finite automata"); exponential
 * ones are among these. Bounded in time whatever the expression.
 */
export function judgeRegex(source: string, group?: string): string | undefined {
  if (source.length > MAX_LENGTH) return `it is longer than ${MAX_LENGTH} characters`
  const fault = compileFault(source, group)
  if (fault !== undefined) return fault
  const parsed = parseRegex(source)
  if (!parsed.ok) return parsed.message
  return danger(parsed.tree)
}

function compileFault(source: string, group: string | undefined): string | undefined {
  try {
    // The empty alternative matches, so that the match lists the names of all groups.
    const groups = new RegExp(`(?:${source})|`).exec('')?.groups ?? {}
    return group === undefined || group in groups
      ? undefined
      : `it lacks the named group (?<${group}>...)`
  } catch (error) {
    const [, reason] = /: ([^:]*)$/.exec(error instanceof Error ? error.message : '') ?? []
    return `it is no regular expression${reason === undefined ? '' : ` (${reason})`}`
  }
}

function danger(tree: RegexTree): string | undefined {
  const copied = regexPaths(tree, 'copied', MAX_POSITIONS)
  const found = copied && ambiguity(copied)
  if (found !== undefined) return found
  if (copied !== undefined && boundedWays(tree) <= MAX_WAYS) return undefined
  const unbounded = regexPaths(tree, 'unbounded', MAX_POSITIONS)
  return unbounded === undefined
    ? 'it is too large to be judged: write a shorter one'
    : ambiguity(unbounded)
}

function ambiguity(paths: RegexPaths): string | undefined {
  const search = new Search(paths)
  const pair = search.find()
  if (pair !== undefined) {
    const [p, q] = pair.map((position) => paths.texts[position])
    const where =
      p === undefined
        ? `${quote(q ?? '')} can begin at many places (write ^ first)`
        : `${quote(p)} and ${quote(q ?? '')} can share the same characters in many ways`
    return `it could backtrack for ever on a text that does not match, as ${where}`
  }
  return search.isExhausted ? 'it is too complicated to be judged: write a simpler one' : undefined
}

class Search {
  isExhausted = false
  readonly #paths: RegexPaths
  readonly #sets: readonly Uint8Array[]
  readonly #reach: readonly Uint8Array[]
  #steps = 0

  constructor(paths: RegexPaths) {
    this.#paths = paths
    const known = new Map<string | undefined, Uint8Array>()
    this.#sets = paths.texts.map((text) => {
      const set = known.get(text) ?? characterSet(text)
      known.set(text, set)
      return set
    })
    this.#reach = paths.follow.map((_, position) => reachable(paths, position))
  }

  /** Two places with the three ways between them, or undefined. */
  find(): readonly [number, number] | undefined {
    const size = this.#paths.texts.length
    for (let p = 0; p < size; p++) {
      for (const [next, ways] of this.#paths.follow[p]!) {
        if (ways > 1 && this.#reaches(next, p) && !this.#paths.last.has(next)) return [p, next]
      }
    }
    for (let p = 0; p < size; p++) {
      if (!this.#reaches(p, p)) continue
      for (let q = 0; q < size; q++) {
        if (p === q || !this.#reaches(q, q) || !this.#reaches(p, q)) continue
        // Where q is a match already, a matcher that comes there has succeeded.
        if (!this.#paths.last.has(q) && this.#hasThreeWays(p, q)) return [p, q]
        if (this.isExhausted) return undefined
      }
    }
    return undefined
  }

  /** Walks p→p, p→q and q→q side by side, one common character at a time. */
  #hasThreeWays(p: number, q: number): boolean {
    const size = this.#paths.texts.length
    const seen = new Set<number>()
    const open: (readonly [number, number, number])[] = [[p, p, q]]
    for (let triple = open.pop(); triple !== undefined; triple = open.pop()) {
      const [x, y, z] = triple
      for (const nextX of this.#onwards(x, p)) {
        for (const nextY of this.#onwards(y, q)) {
          if (++this.#steps > MAX_STEPS) {
            this.isExhausted = true
            return false
          }
          const pair = overlap(this.#set(nextX), this.#set(nextY))
          if (pair === undefined) continue
          for (const nextZ of this.#onwards(z, q)) {
            this.#steps++
            if (!isJoint(pair, this.#set(nextZ))) continue
            if (nextX === p && nextY === q && nextZ === q) return true
            const key = (nextX * size + nextY) * size + nextZ
            if (seen.has(key)) continue
            seen.add(key)
            open.push([nextX, nextY, nextZ])
          }
        }
      }
    }
    return false
  }

  /** The places after one, of which the goal can still be reached. */
  #onwards(from: number, goal: number): readonly number[] {
    return [...this.#paths.follow[from]!.keys()].filter(
      (next) => next === goal || this.#reaches(next, goal),
    )
  }

  #set(position: number): Uint8Array {
    return this.#sets[position]!
  }

  #reaches(from: number, to: number): boolean {
    return this.#reach[from]?.[to] === 1
  }
}

/** The places that one or more steps lead to. */
function reachable(paths: RegexPaths, from: number): Uint8Array {
  const reached = new Uint8Array(paths.texts.length)
  const open = [from]
  for (let position = open.pop(); position !== undefined; position = open.pop()) {
    for (const next of paths.follow[position]!.keys()) {
      if (reached[next] === 1) continue
      reached[next] = 1
      open.push(next)
    }
  }
  return reached
}

/** Every byte, and a few characters that stand for all others. */
const SAMPLES = [
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)),
  '\u0101',
  '\u017f',
  '\u0430',
  '\u1680',
  '\u2028',
  '\u212a',
  '\u3042',
  '\ufeff',
  '\ud800',
]
const ANY = new Uint8Array(SAMPLES.length).fill(1)

/** Which samples one character's source matches: asked of the engine itself. */
function characterSet(text: string | undefined): Uint8Array {
  if (text === undefined) return ANY
  const form = new RegExp(`^(?:${text})$`)
  return Uint8Array.from(SAMPLES, (sample) => (form.test(sample) ? 1 : 0))
}

/** The common samples, or undefined when there are none. */
function overlap(a: Uint8Array, b: Uint8Array): Uint8Array | undefined {
  if (a === ANY) return b
  if (a === b || b === ANY) return a
  return isJoint(a, b) ? a.map((inA, index) => inA & b[index]!) : undefined
}

function isJoint(a: Uint8Array, b: Uint8Array): boolean {
  if (a === ANY || b === ANY || a === b) return true
  for (let index = 0; index < a.length; index++) if ((a[index]! & b[index]!) === 1) return true
  return false
}
