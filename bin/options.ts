import { parseArgs } from 'node:util'
import { nearest } from '../common/config/nearest.ts'
import { UsageError } from './command.ts'

/** What a command takes: options with a value, switches, and how many plain arguments. */
export interface OptionSpec {
  /** `{ config: 'c' }`: `--config VALUE`, or `-c VALUE`. */
  readonly values?: Readonly<Record<string, string | undefined>>
  /** `{ json: undefined }`: `--json`. */
  readonly switches?: Readonly<Record<string, string | undefined>>
  /** Names of the plain arguments, as the usage line has them; by default none. */
  readonly positionals?: readonly string[]
  /** Whether the last plain argument may be repeated or missing. */
  readonly variadic?: boolean
}

export interface Options {
  readonly values: Readonly<Record<string, string>>
  readonly switches: ReadonlySet<string>
  readonly positionals: readonly string[]
}

/** The command line of one command; throws `UsageError` with a sentence for whatever is wrong. */
export function parseOptions(args: readonly string[], spec: OptionSpec): Options {
  const known = new Map<string, { type: 'string' | 'boolean'; short?: string }>()
  for (const [name, short] of Object.entries(spec.values ?? {})) {
    known.set(name, { type: 'string', ...(short === undefined ? {} : { short }) })
  }
  for (const [name, short] of Object.entries(spec.switches ?? {})) {
    known.set(name, { type: 'boolean', ...(short === undefined ? {} : { short }) })
  }
  const options = Object.fromEntries(known)
  const { tokens } = parseArgs({
    args: args.map((arg) => (NEGATIVE.test(arg) ? `${PLAIN}${arg}` : arg)),
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const values: Record<string, string> = {}
  const switches = new Set<string>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value.replace(PLAIN, ''))
    if (token.kind !== 'option') continue
    const option = known.get(token.name)
    if (option === undefined) throw unknownOption(token.rawName, known.keys())
    if (option.type === 'boolean') {
      if (token.value !== undefined)
        throw new UsageError(`The option ${token.rawName} takes no value`)
      switches.add(token.name)
    } else {
      if (token.value === undefined || token.value === '')
        throw new UsageError(`The option ${token.rawName} wants a value`)
      if (token.name in values) throw new UsageError(`The option ${token.rawName} stands twice`)
      values[token.name] = token.value.replace(PLAIN, '')
    }
  }
  checkPositionals(positionals, spec)
  return { values, switches, positionals }
}

/** The value of an option that must be there. */
export function required(options: Options, name: string, shown: string): string {
  const value = options.values[name]
  if (value === undefined) throw new UsageError(`The option ${shown} is missing`)
  return value
}

/** A number, which is no option: whoever wants one says what it may be. */
const NEGATIVE = /^-[0-9]/
/** Stands before what is to be no option; no argument of a command line can hold it. */
const PLAIN = '\0'

function checkPositionals(given: readonly string[], spec: OptionSpec): void {
  const names = spec.positionals ?? []
  const empty = given.indexOf('')
  if (empty >= 0) throw new UsageError(`The argument ${names[empty] ?? names.at(-1)} is empty`)
  const missing = names[given.length]
  const mayMiss = spec.variadic === true && given.length >= names.length - 1
  if (missing !== undefined && !mayMiss) throw new UsageError(`The argument ${missing} is missing`)
  const extra = given[names.length]
  if (extra !== undefined && spec.variadic !== true) {
    throw new UsageError(`The argument "${extra.slice(0, 80)}" is one too many`)
  }
}

function unknownOption(raw: string, known: Iterable<string>): UsageError {
  const near = nearest(raw.replace(/^-+/, ''), known)
  const meant = near === undefined ? '' : `, did you mean --${near}?`
  return new UsageError(`There is no option ${raw.slice(0, 80)}${meant}`)
}
