import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Config } from '../config/config.ts'
import { parseConfig } from '../config/parse-config.ts'
import type { ParsedConfig } from '../config/parse-config.ts'
import { formatProblem } from '../config/problem.ts'
import { MAX_SOURCE_LENGTH } from '../config/yaml-source.ts'

/** A configuration that may be used, or the lines that say why not; each is one whole sentence. */
export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | {
      readonly ok: false
      readonly problems: readonly string[]
      readonly warnings: readonly string[]
    }

/** Reads and parses a configuration file; never throws. Problems are `file:line:column: sentence`. */
export function loadConfigFile(file: string): LoadedConfig {
  const parsed = readConfigFile(file)
  const warnings = parsed.warnings.map(formatProblem)
  if (!parsed.ok) return { ok: false, problems: parsed.problems.map(formatProblem), warnings }
  return { ok: true, config: parsed.config, warnings }
}

/** As `loadConfigFile`, with every problem's place; a file that can't be read is one at 1:1. */
export function readConfigFile(file: string): ParsedConfig {
  const read = readBounded(file)
  if (read.ok) return parseConfig(read.text, { file, folder: dirname(resolve(file)) })
  const problem = { file, line: 1, column: 1, message: `The file cannot be read: ${read.message}` }
  return { ok: false, problems: [problem], warnings: [], readable: undefined }
}

type Read =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly message: string }

/** The file's text; one byte over the bound is enough for the parser to refuse it. */
function readBounded(file: string): Read {
  let descriptor: number | undefined
  try {
    // Without O_NONBLOCK a FIFO that nobody writes to would hang the command.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
    if (fstatSync(descriptor).isDirectory()) return { ok: false, message: 'it is a folder' }
    const bytes = Buffer.alloc(MAX_SOURCE_LENGTH + 1)
    let length = 0
    for (;;) {
      const count = readSync(descriptor, bytes, length, bytes.length - length, null)
      length += count
      if (count === 0 || length === bytes.length) break
    }
    return { ok: true, text: bytes.toString('utf8', 0, length) }
  } catch (error) {
    return { ok: false, message: reasonOf(error) }
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/** A file system's refusal in words. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'permission denied'
  if (code === 'EISDIR') return 'it is a folder'
  return error instanceof Error ? error.message : String(error)
}
