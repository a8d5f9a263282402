import { askRouter, TARGET_HELP, TARGET_VALUES } from '../admin-target.ts'
import type { Command } from '../command.ts'
import { parseOptions } from '../options.ts'
import { changedText } from '../router-text.ts'

/** `photoedge drain`. */
export const command: Command = {
  name: 'drain',
  summary: 'give a cache no new requests; each goes to its next rank',
  help: `
Usage: photoedge drain CACHE [options]

What is under way ends as it would. The drain stands over reloads and restarts, until
photoedge undrain.

  CACHE               its name, or POOL/NAME to mean it in that pool only
${TARGET_HELP}
      --json          the answer as JSON

Exit code: 0 done, 1 refused or no router answers, 2 the command line is wrong.

Example:
  photoedge drain cache-3
`,
  run: async (args) => {
    const options = parseOptions(args, {
      values: TARGET_VALUES,
      switches: { json: undefined },
      positionals: ['CACHE'],
    })
    const [cache = ''] = options.positionals
    return askRouter(options, (client) => client.drain({ cache }), changedText)
  },
}
