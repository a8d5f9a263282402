import { AdminClient } from '../../admin/client.ts'
import type { RouterStatus } from '../../admin/schemas.ts'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { askRouter, socketOf, TARGET_HELP, TARGET_VALUES } from '../admin-target.ts'
import { UsageError } from '../command.ts'
import type { Command } from '../command.ts'
import { parseOptions } from '../options.ts'
import { outputWidth, statusText } from '../router-text.ts'

/** `photoedge status`. */
export const command: Command = {
  name: 'status',
  summary: 'what the running router and its caches do',
  help: `
Usage: photoedge status [--watch] [options]

For each cache: what its checks found and since when, whether it is drained or
suspect, its weight (and the configured one in brackets), its requests per
second over the last ten seconds, its share of its pool's, its errors since the
start, how often it went down (flaps), its last ten checks, oldest first
(+ passed, s slow, - failed, ? not counted as it was the prober's own fault),
and the reason; below the line where that is too narrow.

      --watch         again every second, until Ctrl-C
${TARGET_HELP}
      --json          everything there is, as JSON

Exit code: 0 shown, 1 no router answers, 2 the command line is wrong.

Example:
  photoedge status --watch
`,
  run: async (args) => {
    const options = parseOptions(args, {
      values: TARGET_VALUES,
      switches: { watch: undefined, json: undefined },
    })
    const isWatching = options.switches.has('watch')
    if (isWatching && options.switches.has('json'))
      throw new UsageError('The options --watch and --json do not go together')
    if (isWatching) return watch(socketOf(options))
    return askRouter(options, (client) => client.status(), textOf)
  },
}

function textOf(status: RouterStatus): string[] {
  return statusText(status, Date.now(), outputWidth(process.stdout))
}

/** Redraws until the process is told to end; a router that is away is waited for. */
async function watch(socket: string): Promise<never> {
  const client = new AdminClient(socket)
  for (;;) {
    let lines: string[]
    try {
      lines = textOf(await client.status())
    } catch (error) {
      if (!(error instanceof ApplianceError)) throw error
      lines = [error.message]
    }
    process.stdout.write(`${CLEAR}${lines.join('\n')}\n`)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}

const CLEAR = '\x1b[H\x1b[2J'
