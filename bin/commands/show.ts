import { forBox, partsOf } from '../../common/config/for-box.ts'
import { formatProblem, quote } from '../../common/config/problem.ts'
import { showConfig, showConfigData } from '../../common/config/show-config.ts'
import { readConfigFile } from '../../common/runtime/config-file.ts'
import { EXIT, print, printError } from '../command.ts'
import type { Command } from '../command.ts'
import { parseOptions, required } from '../options.ts'

/** `photoedge show`: the effective configuration. */
export const command: Command = {
  name: 'show',
  summary: 'print the effective configuration: defaults, ranges expanded',
  help: `
Usage: photoedge show -c FILE [--box NAME] [--json]

Prints what the services work with, in the file's own shape: every default
written out, every range expanded, every path absolute. What it prints
is a configuration.

  -c, --config FILE   the configuration
      --box NAME      as that box sees it: {box} and {part} in names filled in
                      ({part} stays where the box plays several parts)
      --json          JSON instead of YAML

Exit code: 0 printed, 1 the configuration has problems, 2 the command line is
wrong.

Example:
  photoedge show -c /etc/photoedge/edge.yaml --box router-1 | less
`,
  run: (args) => Promise.resolve(run(args)),
}

function run(args: readonly string[]): number {
  const options = parseOptions(args, {
    values: { config: 'c', box: undefined },
    switches: { json: undefined },
  })
  const file = required(options, 'config', '-c FILE')
  const parsed = readConfigFile(file)
  for (const warning of parsed.warnings)
    printError(formatProblem({ ...warning, message: `warning: ${warning.message}` }))
  if (!parsed.ok) {
    for (const problem of parsed.problems) printError(formatProblem(problem))
    return EXIT.failed
  }
  const box = options.values['box']
  if (box !== undefined && !Object.hasOwn(parsed.config.boxes, box)) {
    printError(`${file}: There is no box ${quote(box)}`)
    return EXIT.failed
  }
  const parts = box === undefined ? [] : partsOf(parsed.config, box)
  const config =
    box === undefined
      ? parsed.config
      : forBox(parsed.config, box, parts.length === 1 ? parts[0] : undefined)
  if (options.switches.has('json')) print(JSON.stringify(showConfigData(config), undefined, 2))
  else print(showConfig(config).trimEnd())
  return EXIT.ok
}
