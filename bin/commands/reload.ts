import type { Reloaded } from '../../admin/schemas.ts'
import { askRouter, TARGET_HELP, TARGET_VALUES } from '../admin-target.ts'
import type { Command } from '../command.ts'
import { parseOptions } from '../options.ts'

/** `photoedge reload`. */
export const command: Command = {
  name: 'reload',
  summary: 'have the running router read its configuration again',
  help: `
Usage: photoedge reload [--force] [options]

No connection is cut. A configuration with any problem is refused whole: the
old one serves on, and every problem is printed.

      --force         also when more users move than router.maxMoved allows
${TARGET_HELP}
      --json          the answer as JSON

Exit code: 0 taken, 1 refused or no router answers, 2 the command line is wrong.

Example:
  photoedge check -c /etc/photoedge/edge.yaml && photoedge reload
`,
  run: async (args) => {
    const options = parseOptions(args, {
      values: TARGET_VALUES,
      switches: { force: undefined, json: undefined },
    })
    const force = options.switches.has('force')
    return askRouter(options, (client) => client.reload({ force }), reloadedText)
  },
}

function reloadedText({ generation, configFile, warnings, movedPct, movedOf }: Reloaded): string[] {
  const moved =
    movedPct === undefined ? '' : `; ${movedPct.toFixed(2)} % of ${movedOf ?? 'the users'} moved`
  return [
    ...warnings.map((warning) => `warning: ${warning}`),
    `${configFile} is in use as generation ${generation}${moved}`,
  ]
}
