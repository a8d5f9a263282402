import { escapeUnprintable } from '../net/unprintable.ts'

/** One thing that is wrong in a configuration, at the place where it is written. */
export interface Problem {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** From 1, in characters. */
  readonly column: number
  /** A sentence with the value and what would be right, without a final period. */
  readonly message: string
}

/** `file:line:column: sentence`, on one line whatever the message quotes. */
export function formatProblem(problem: Problem): string {
  const message = escapeUnprintable(problem.message)
  return `${problem.file}:${problem.line}:${problem.column}: ${message}`
}

/** In the file's order, each once. */
export function ordered(problems: readonly Problem[]): readonly Problem[] {
  const unique = new Map(problems.map((problem) => [formatProblem(problem), problem]))
  return [...unique.values()].sort(inFileOrder)
}

/** Below 0: `a` stands before `b`. */
export function inFileOrder(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column
}

/** A value from the file as a message shows it: quoted, cut to a readable length. */
export function quote(value: string): string {
  return `"${value.length > 80 ? `${value.slice(0, 77)}...` : value}"`
}

/** `a`, `a or b`, `a, b or c`. */
export function listOf(words: readonly string[], conjunction = 'or'): string {
  const last = words.at(-1)!
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} ${conjunction} ${last}`
}
