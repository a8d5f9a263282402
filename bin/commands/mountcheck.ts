import { hostname } from 'node:os'
import { listenToSignals } from '../../common/runtime/lifecycle.ts'
import { createLog } from '../../common/runtime/log.ts'
import { EXIT } from '../command.ts'
import type { Command } from '../command.ts'
import { parseOptions, required } from '../options.ts'
import { MountcheckService } from '../services/mountcheck-service.ts'

/** `photoedge mountcheck`: the service beside each cache. */
export const command: Command = {
  name: 'mountcheck',
  summary: 'run the mount check of a cache server: GET /health tells',
  help: `
Usage: photoedge mountcheck -c FILE [--box NAME]

Looks at the mounts of this box by really writing and reading, and answers GET
/health with 200 or 503 and JSON. A hung disk never hangs the answer. Needs no
root, only the right to write into the mounts.

  -c, --config FILE   the configuration
      --box NAME      this box; by default the host's name

Signals: SIGTERM answers 503 (draining) for 3 s, then ends; a second one ends at
once, its scripts with it. SIGHUP reads the configuration again; a wrong one
changes nothing.

Exit code: 0 stopped as told, 1 it could not start, 2 the command line is wrong.

Example:
  photoedge mountcheck -c /etc/photoedge/edge.yaml --box cache-1
`,
  run,
}

async function run(args: string[]): Promise<number> {
  const options = parseOptions(args, { values: { config: 'c', box: undefined } })
  const file = required(options, 'config', '-c FILE')
  const box = options.values['box'] ?? hostname().split('.', 1)[0] ?? ''
  const log = createLog('mountcheck', box)
  const service = await MountcheckService.start({ file, box, log })
  return new Promise((resolve) => {
    const forget = listenToSignals({
      stop: (signal) => {
        log.info({ signal }, 'stopping')
        void service.drain().then(() => {
          forget()
          resolve(EXIT.ok)
        })
      },
      kill: () => {
        // Its scripts are killed within the call.
        void service.close()
        process.exit(EXIT.ok)
      },
      reload: () => {
        service.reload()
      },
      reopen: () => undefined,
    })
  })
}
