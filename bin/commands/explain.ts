import { explainUrl } from '../../router/core/explain-url.ts'
import type { Explanation } from '../../admin/schemas.ts'
import { askRouter, TARGET_HELP, TARGET_VALUES } from '../admin-target.ts'
import { EXIT, print } from '../command.ts'
import type { Command } from '../command.ts'
import { readOfflineRouter } from '../offline-router.ts'
import { parseOptions, required } from '../options.ts'
import { explanationText, outputWidth } from '../router-text.ts'

/** `photoedge explain`. */
export const command: Command = {
  name: 'explain',
  summary: 'say which cache a URL goes to, and why',
  help: `
Usage: photoedge explain URL [options]

Follows the URL as the router would: its route, its user, the user's slot and
caches in order, and the one that is asked now.

  URL                 http://host/path, or the path alone
      --header VALUE  of the header that names the user, where a group has one
      --offline       by the configuration alone (-c FILE): every cache up
${TARGET_HELP}
      --json          the answer as JSON

Exit code: 0 explained, 1 no router answers, 2 the command line is wrong.

Example:
  photoedge explain http://cdn.example.com/u/1234567/8a.jpg
`,
  run: async (args) => {
    const options = parseOptions(args, {
      values: { ...TARGET_VALUES, header: undefined },
      switches: { offline: undefined, json: undefined },
      positionals: ['URL'],
    })
    const [url = ''] = options.positionals
    const { header } = options.values as { header?: string }
    const show = (explained: Explanation): string[] =>
      explanationText(explained, outputWidth(process.stdout))
    if (!options.switches.has('offline')) {
      const query = { url, ...(header !== undefined && { header }) }
      return askRouter(options, (client) => client.explain(query), show)
    }
    const router = readOfflineRouter(required(options, 'config', '-c FILE'), options.values['box'])
    const explained = explainUrl(router, url, header)
    if (options.switches.has('json')) print(JSON.stringify(explained, undefined, 2))
    else for (const line of show({ ...explained, caches: [...explained.caches] })) print(line)
    return EXIT.ok
  },
}
