import { askRouter, TARGET_HELP, TARGET_VALUES } from '../admin-target.ts'
import { UsageError } from '../command.ts'
import type { Command } from '../command.ts'
import { parseOptions } from '../options.ts'
import { changedText } from '../router-text.ts'

/** `photoedge weight`. */
export const command: Command = {
  name: 'weight',
  summary: "change a cache's weight while the router runs",
  help: `
Usage: photoedge weight CACHE (WEIGHT | configured) [options]

Moves users to or from that cache only, in proportion. 0 quiesces it. It stands
over reloads and restarts, until "configured" takes it back.

  CACHE               its name, or POOL/NAME to mean it in that pool only
  WEIGHT              0 to 1000000
${TARGET_HELP}
      --json          the answer as JSON

Exit code: 0 done, 1 refused or no router answers, 2 the command line is wrong.

Example:
  photoedge weight cache-3 2
`,
  run: async (args) => {
    const options = parseOptions(args, {
      values: TARGET_VALUES,
      switches: { json: undefined },
      positionals: ['CACHE', 'WEIGHT'],
    })
    const [cache = '', text = ''] = options.positionals
    const weight = text === 'configured' ? null : weightOf(text)
    return askRouter(options, (client) => client.weight({ cache, weight }), changedText)
  },
}

function weightOf(text: string): number {
  if (!/^\d{1,7}(\.\d{1,6})?$/.test(text) || Number(text) > 1_000_000)
    throw new UsageError(`The weight "${text.slice(0, 40)}" is not a number from 0 to 1000000`)
  return Number(text)
}
