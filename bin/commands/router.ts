import { hostname } from 'node:os'
import { openAdmin } from '../../admin/open.ts'
import { listenToSignals } from '../../common/runtime/lifecycle.ts'
import { createLog } from '../../common/runtime/log.ts'
import type { Log } from '../../common/runtime/log.ts'
import { EXIT, printError } from '../command.ts'
import type { Command } from '../command.ts'
import { parseOptions, required } from '../options.ts'
import { ServiceControl } from '../services/router-control.ts'
import { RouterTelemetry } from '../services/router-telemetry.ts'
import { ConfigRefused, RouterService } from '../services/router-service.ts'

/** `photoedge router`: the photo router of one box, in the foreground. */
export const command: Command = {
  name: 'router',
  summary: "run this box's photo router",
  help: `
Usage: photoedge router -c FILE [--box NAME]

Serves photos from the box's listeners until it is told to stop. Its log is one
JSON object a line on stdout (PHOTOEDGE_LOG=debug says more).

  -c, --config FILE   the configuration
      --box NAME      which box this is; by default the host's name

  SIGTERM, SIGQUIT, SIGINT   stop: what is in flight may finish until
                             drainDeadline; a second one ends everything at once
  SIGHUP                     read the configuration again; a wrong one is
                             refused
  SIGUSR1                    reopen the access log

Exit code: 0 stopped as told, 1 it could not start, 2 the command line is wrong.

Example:
  photoedge router -c /etc/photoedge/edge.yaml --box router-1
`,
  run,
}

async function run(args: string[]): Promise<number> {
  const options = parseOptions(args, { values: { config: 'c', box: undefined } })
  const file = required(options, 'config', '-c FILE')
  const box = options.values['box'] ?? hostname()
  const log = createLog('router', box)
  const telemetry = new RouterTelemetry()
  try {
    const service = await RouterService.start({ file, box, log }, telemetry)
    return await serve(service, telemetry, log)
  } catch (error) {
    if (!(error instanceof ConfigRefused)) throw error
    for (const problem of error.problems) printError(problem)
    return EXIT.failed
  } finally {
    telemetry.close()
  }
}

async function serve(
  service: RouterService,
  telemetry: RouterTelemetry,
  log: Log,
): Promise<number> {
  const control = new ServiceControl(service, telemetry)
  let kill = (): void => undefined
  const killed = new Promise<'killed'>((resolve) => {
    kill = () => {
      resolve('killed')
    }
  })
  let stop = (): void => undefined
  const told = new Promise<void>((resolve) => {
    stop = resolve
  })
  const forget = listenToSignals({
    stop: (signal) => {
      log.info({ signal }, 'router stops')
      stop()
    },
    kill: (signal) => {
      log.warn({ signal }, 'router is ended at once')
      kill()
    },
    reload: () => {
      control.reload({}).catch((error: unknown) => {
        log.error({ err: error }, 'a reload met an error of photoedge itself')
      })
    },
    reopen: () => {
      void service.reopenLogs()
    },
  })
  try {
    const admin = await openAdmin(control, service.config.admin).catch((error: unknown) => {
      service.abandon()
      throw error
    })
    await control.follow()
    const { listeners, workers } = service.config.router
    log.info({ listeners: listeners.map(({ name }) => name), workers }, 'router starts')
    await Promise.race([service.serve(), told])
    if (service.primary.isReady) log.info({ generation: service.generation }, 'router serves')
    await told
    const end = await Promise.race([service.stop(), killed])
    if (end === 'killed') service.abandon()
    await admin.close()
    log.info({}, 'router has stopped')
    return EXIT.ok
  } finally {
    forget()
  }
}
