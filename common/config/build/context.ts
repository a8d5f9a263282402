import type { Config } from '../config.ts'
import { nearest } from '../nearest.ts'
import { listOf, quote } from '../problem.ts'
import { resolvePath } from '../paths.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'

/** What building a section may say and ask; sections never see the file's text. */
export class BuildContext {
  readonly #folder: string
  readonly #say: (path: Path, message: string, isWarning: boolean, isKey: boolean) => void
  /** Whether a section has no problem so far. */
  readonly isSound: (section: keyof Config) => boolean

  constructor(
    folder: string,
    say: (path: Path, message: string, isWarning: boolean, isKey: boolean) => void,
    isSound: (section: keyof Config) => boolean,
  ) {
    this.#folder = folder
    this.#say = say
    this.isSound = isSound
  }

  /** A fault: the configuration is refused. */
  problem(path: Path, message: string): void {
    this.#say(path, message, false, false)
  }

  /** A fault of the key itself, shown where the key stands. */
  keyProblem(path: Path, message: string): void {
    this.#say(path, message, false, true)
  }

  /** Odd, and accepted. */
  warning(path: Path, message: string): void {
    this.#say(path, message, true, false)
  }

  /** A path of the file, absolute; its placeholders must be known ones. Empty: it is no path. */
  file(path: Path, text: string): string {
    const isKnown = this.placeholders(path, text)
    return isKnown && text !== '' ? resolvePath(this.#folder, text) : ''
  }

  /** Refuses `{...}` that is neither `{box}` nor `{part}`: whether there is none. */
  placeholders(path: Path, text: string, known: readonly string[] = ['box', 'part']): boolean {
    let isKnown = true
    for (const match of text.matchAll(/\{([^{}]*)\}/g)) {
      const word = match[1]!
      if (known.includes(word)) continue
      isKnown = false
      const right = listOf(known.map((name) => `{${name}}`))
      this.problem(
        path,
        `${label(path)} is ${quote(text)}: ${quote(`{${word}}`)} is unknown, it may be ${right}`,
      )
    }
    return isKnown
  }

  /** Whether `name` is one of the known; else says so, with the nearest. Blank names are passed. */
  isKnown(path: Path, kind: string, name: string, known: Iterable<string>): boolean {
    if (name === '') return false
    const names = [...known]
    if (names.includes(name)) return true
    const near = nearest(name, names)
    let right = `the file has no ${kind}`
    if (near !== undefined) right = `did you mean ${quote(near)}?`
    else if (names.length > 0) {
      const shown = names.slice(0, 8).join(', ')
      right = `known are ${shown}${names.length > 8 ? ` and ${names.length - 8} more` : ''}`
    }
    this.problem(
      path,
      `${label(path)} names the ${kind} ${quote(name)}, which is not there: ${right}`,
    )
    return false
  }
}
