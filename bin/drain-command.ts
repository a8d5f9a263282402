import { askRouter, TARGET_HELP, TARGET_VALUES } from './admin-target.ts'
import type { Command } from './command.ts'
import { parseOptions } from './options.ts'
import { changedText } from './router-text.ts'

/** `photoedge drain` and `photoedge undrain`: one cache's name, and what becomes of it. */
export function drainCommand(
  name: 'drain' | 'undrain',
  { summary, effect }: { readonly summary: string; readonly effect: string },
): Command {
  return {
    name,
    summary,
    help: `
Usage: photoedge ${name} CACHE [options]

${effect}

  CACHE               its name, or POOL/NAME to mean it in that pool only
${TARGET_HELP}
      --json          the answer as JSON

Exit code: 0 done, 1 refused or no router answers, 2 the command line is wrong.

Example:
  photoedge ${name} cache-3
`,
    run: async (args) => {
      const options = parseOptions(args, {
        values: TARGET_VALUES,
        switches: { json: undefined },
        positionals: ['CACHE'],
      })
      const [cache = ''] = options.positionals
      return askRouter(options, (client) => client[name]({ cache }), changedText)
    },
  }
}
