import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { AdminClient, AdminRefusal } from '../admin/client.ts'
import { forBox } from '../common/config/for-box.ts'
import { quote } from '../common/config/problem.ts'
import { ApplianceError } from '../common/runtime/appliance-error.ts'
import { loadConfigFile } from '../common/runtime/config-file.ts'
import { EXIT, print, printError } from './command.ts'
import type { Options } from './options.ts'

/** The options that say which router is meant, for `parseOptions`. */
export const TARGET_VALUES = { socket: undefined, config: 'c', box: undefined } as const

/** Their lines in a command's help. */
export const TARGET_HELP = `      --socket FILE   the router's admin socket; else PHOTOEDGE_SOCKET names
                      it, else
  -c, --config FILE   the configuration does (default: /etc/photoedge/edge.yaml)
      --box NAME      whose router, of that configuration (default: this host)`

export const DEFAULT_CONFIG = '/etc/photoedge/edge.yaml'

/**
 * Asks the router that the options mean, prints what `show` makes of the answer (or the answer itself
 * with --json), and gives the exit code: 1 with the reasons when the router refuses.
 */
export async function askRouter<T>(
  options: Options,
  ask: (client: AdminClient) => Promise<T>,
  show: (answer: T) => readonly string[],
): Promise<number> {
  const isJson = options.switches.has('json')
  const client = new AdminClient(socketOf(options))
  try {
    const answer = await ask(client)
    if (isJson) print(JSON.stringify(answer, undefined, 2))
    else for (const line of show(answer)) print(line)
    return EXIT.ok
  } catch (error) {
    if (!(error instanceof AdminRefusal)) throw error
    if (isJson) print(JSON.stringify({ problems: error.problems }, undefined, 2))
    else for (const problem of error.problems) printError(problem)
    return EXIT.failed
  } finally {
    await client.close()
  }
}

/** The path of the admin socket that the options mean; an `ApplianceError` says what is missing. */
export function socketOf({ values }: Options): string {
  const { PHOTOEDGE_SOCKET: fromEnvironment } = process.env
  if (values['socket'] !== undefined) return values['socket']
  if (values['config'] === undefined && fromEnvironment !== undefined && fromEnvironment !== '')
    return fromEnvironment
  const file = values['config'] ?? DEFAULT_CONFIG
  if (values['config'] === undefined && !existsSync(file))
    throw new ApplianceError(
      'CLI_NO_TARGET',
      `Which router? --socket FILE, PHOTOEDGE_SOCKET or -c FILE says it; the default configuration ${file} is not there`,
    )
  const loaded = loadConfigFile(file)
  if (!loaded.ok) throw new ApplianceError('CLI_CONFIG_REFUSED', loaded.problems.join('\n'))
  const { config } = loaded
  const routers = config.router?.boxes ?? []
  const box = values['box'] ?? (routers.includes(hostname()) ? hostname() : routers[0])
  if (box === undefined || !routers.includes(box))
    throw new ApplianceError(
      'CLI_NO_TARGET',
      `The configuration ${file} has no router ${quote(box ?? '')}: it has ${routers.slice(0, 8).join(', ')}`,
    )
  if (values['box'] === undefined && box !== hostname() && routers.length > 1)
    throw new ApplianceError(
      'CLI_NO_TARGET',
      `This host ${hostname()} is no router of ${file}: --box takes one of ${routers.slice(0, 8).join(', ')}`,
    )
  return forBox(config, box, 'router').admin.socket
}
