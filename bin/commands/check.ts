import type { Config } from '../../common/config/config.ts'
import { PARTS, partsOf } from '../../common/config/for-box.ts'
import { namedFiles } from '../../common/config/named-files.ts'
import { nearest } from '../../common/config/nearest.ts'
import type { ReadableConfig } from '../../common/config/parse-config.ts'
import { formatProblem, ordered, quote } from '../../common/config/problem.ts'
import type { Problem } from '../../common/config/problem.ts'
import { readConfigFile } from '../../common/runtime/config-file.ts'
import { EXIT, print, printError } from '../command.ts'
import type { Command } from '../command.ts'
import { inspectFiles } from '../inspect-files.ts'
import { parseOptions, required } from '../options.ts'

/** `photoedge check`: every problem of a configuration at once. */
export const command: Command = {
  name: 'check',
  summary: 'test a configuration: every problem, and what would be right',
  help: `
Usage: photoedge check -c FILE [--box NAME] [--json]

Reads a configuration as the services do and prints every problem as
file:line:column: sentence. Files that it names and that are missing are
warnings; with --box they are errors for the files which that box uses.

  -c, --config FILE   the configuration
      --box NAME      check as that box would start: its certificates, keys,
                      tables
      --json          {"ok", "problems", "warnings"} on stdout

Exit code: 0 it may be used, 1 it may not, 2 the command line is wrong.

Example:
  photoedge check -c /etc/photoedge/edge.yaml --box router-1
`,
  run,
}

interface Report {
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
}

async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args, {
    values: { config: 'c', box: undefined },
    switches: { json: undefined },
  })
  const file = required(options, 'config', '-c FILE')
  const parsed = readConfigFile(file)
  const readable = parsed.ok ? { ...parsed, isSound: () => true } : parsed.readable
  const found = readable && (await inspect(readable, options.values['box']))
  const report: Report = {
    problems: ordered([...(parsed.ok ? [] : parsed.problems), ...(found?.problems ?? [])]),
    warnings: ordered([...parsed.warnings, ...(found?.warnings ?? [])]),
  }
  const isOk = report.problems.length === 0
  if (options.switches.has('json')) {
    const { problems, warnings } = report
    print(JSON.stringify({ ok: isOk, problems, warnings }, undefined, 2))
  } else {
    for (const warning of report.warnings)
      printError(formatProblem({ ...warning, message: `warning: ${warning.message}` }))
    for (const problem of report.problems) printError(formatProblem(problem))
    if (parsed.ok && isOk) print(`${file}: the configuration is right (${sizeOf(parsed.config)})`)
  }
  return isOk ? EXIT.ok : EXIT.failed
}

/** What only the machine can tell: whether the named box is there, and the named files. */
async function inspect(
  { config, problemAt, isSound }: ReadableConfig,
  box: string | undefined,
): Promise<Report> {
  const names = Object.keys(config.boxes)
  if (box !== undefined && !names.includes(box)) {
    if (names.length === 0 || !isSound('boxes')) return { problems: [], warnings: [] }
    const near = nearest(box, names)
    const right =
      near === undefined
        ? `the file has ${names.slice(0, 8).join(', ')}`
        : `did you mean ${quote(near)}?`
    return {
      problems: [problemAt(['boxes'], `There is no box ${quote(box)}: ${right}`)],
      warnings: [],
    }
  }
  const problems: Problem[] = []
  const warnings: Problem[] = []
  const pools = isSound('boxes') && isSound('pools') ? config.pools : {}
  for (const { named, kind, message } of await inspectFiles(namedFiles(config, box), pools)) {
    const isError = kind === 'wrong' || box !== undefined
    ;(isError ? problems : warnings).push(problemAt(named.path, message))
  }
  if (box !== undefined && PARTS.every(isSound) && partsOf(config, box).length === 0) {
    warnings.push(
      problemAt(
        ['boxes', box],
        `The box ${quote(box)} plays no part: neither ${PARTS.join(' nor ')}`,
      ),
    )
  }
  return { problems, warnings }
}

function sizeOf(config: Config): string {
  const parts = PARTS.filter((part) => config[part] !== undefined)
  const count = (things: object, one: string, many: string) => {
    const number = Object.keys(things).length
    return `${number} ${number === 1 ? one : many}`
  }
  return [count(config.boxes, 'box', 'boxes'), count(config.pools, 'pool', 'pools'), ...parts].join(
    ', ',
  )
}
