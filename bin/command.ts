/** What a command's end means to the shell. */
export const EXIT = {
  ok: 0,
  /** It could not be done, or the answer is no; one sentence on stderr says why. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
} as const

/** One command of the photoedge program. */
export interface Command {
  readonly name: string
  /** Half a line, for the list of commands. */
  readonly summary: string
  /** The whole `--help`: usage, options, an example. */
  readonly help: string
  /** Runs it with what follows its name; the exit code. A `UsageError` becomes exit code 2. */
  readonly run: (args: string[]) => Promise<number>
}

/** The command line is wrong; the message is one sentence. */
export class UsageError extends Error {}

/** Writes one line to stdout. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Writes one line to stderr. */
export function printError(line: string): void {
  process.stderr.write(`${line}\n`)
}
