import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Config } from '../config/config.ts'
import { parseConfig } from '../config/parse-config.ts'
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
  const read = readBounded(file)
  if (!read.ok) return { ok: false, problems: [`${file}: ${read.message}`], warnings: [] }
  const parsed = parseConfig(read.text, { file, folder: dirname(resolve(file)) })
  const warnings = parsed.warnings.map(formatProblem)
  if (!parsed.ok) return { ok: false, problems: parsed.problems.map(formatProblem), warnings }
  return { ok: true, config: parsed.config, warnings }
}

type Read =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly message: string }

/** The file's text: one byte more than the bound is enough for the parser to refuse it. */
function readBounded(file: string): Read {
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, 'r')
    const stats = fstatSync(descriptor)
    if (stats.isDirectory())
      return { ok: false, message: 'Cannot read the configuration: it is a folder' }
    const bytes = Buffer.alloc(MAX_SOURCE_LENGTH + 1)
    let length = 0
    for (;;) {
      const count = readSync(descriptor, bytes, length, bytes.length - length, null)
      length += count
      if (count === 0 || length === bytes.length) break
    }
    return { ok: true, text: bytes.toString('utf8', 0, length) }
  } catch (error) {
    return { ok: false, message: `Cannot read the configuration: ${reasonOf(error)}` }
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'permission denied'
  return error instanceof Error ? error.message : String(error)
}
