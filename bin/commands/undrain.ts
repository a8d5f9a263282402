import { askRouter, TARGET_HELP, TARGET_VALUES } from '../admin-target.ts'
import type { Command } from '../command.ts'
import { parseOptions } from '../options.ts'
import { changedText } from '../router-text.ts'

/** `photoedge undrain`. */
export const command: Command = {
  name: 'undrain',
  summary: 'give a drained cache its requests again',
  help: `
Usage: photoedge undrain CACHE [options]

Takes back photoedge drain; its users return at once where its checks find it up.

  CACHE               its name, or POOL/NAME to mean it in that pool only
${TARGET_HELP}
      --json          the answer as JSON

Exit code: 0 done, 1 refused or no router answers, 2 the command line is wrong.

Example:
  photoedge undrain cache-3
`,
  run: async (args) => {
    const options = parseOptions(args, {
      values: TARGET_VALUES,
      switches: { json: undefined },
      positionals: ['CACHE'],
    })
    const [cache = ''] = options.positionals
    return askRouter(options, (client) => client.undrain({ cache }), changedText)
  },
}
