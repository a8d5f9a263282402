import { buildSlotTable } from '../../router/core/slot-table.ts'
import { askRouter, TARGET_HELP, TARGET_VALUES } from '../admin-target.ts'
import { EXIT, print, printError, UsageError } from '../command.ts'
import type { Command } from '../command.ts'
import { readOfflineRouter } from '../offline-router.ts'
import { parseOptions, required } from '../options.ts'
import type { Options } from '../options.ts'
import { outputWidth, simulationText } from '../router-text.ts'
import { simulateOutage } from '../simulation.ts'

/** `photoedge simulate`. */
export const command: Command = {
  name: 'simulate',
  summary: 'say what happens to users and load when caches go down',
  help: `
Usage: photoedge simulate --down CACHE[,CACHE...] [options]

Asks the very table that serves, for every slot: users and requests per second
of each cache, before and after, and the worst survivor. Nothing is changed.

      --down NAMES    the caches to lose: names or POOL/NAME, commas between
      --users COUNT   users to spread (default: 1000000)
      --hashed COUNT  of them, users whom a shard table does not name
                      (default: those beyond its count of ids)
      --rate COUNT    requests per second of all caches together
                      (default: as measured)
      --offline       by the configuration alone (-c FILE): all caches up before
${TARGET_HELP}
      --json          the answer as JSON

Exit code: 0 done, 1 refused or no router answers, 2 the command line is wrong.

Example:
  photoedge simulate --down cache-3,cache-7
`,
  run: async (args) => {
    const options = parseOptions(args, {
      values: {
        ...TARGET_VALUES,
        down: undefined,
        users: undefined,
        hashed: undefined,
        rate: undefined,
      },
      switches: { offline: undefined, json: undefined },
    })
    const down = required(options, 'down', '--down NAMES')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
    if (down.length === 0) throw new UsageError('The option --down names no cache')
    const userCount = count(options, 'users', 1)
    const hashedCount = count(options, 'hashed', 0)
    const requestsPerSecond = count(options, 'rate', 1)
    const request = {
      down,
      ...(userCount !== undefined && { userCount }),
      ...(hashedCount !== undefined && { hashedCount }),
      ...(requestsPerSecond !== undefined && { requestsPerSecond }),
    }
    if (options.switches.has('offline')) return runOffline(options, request)
    return askRouter(
      options,
      (client) => client.simulate(request),
      (simulation) => simulationText(simulation, outputWidth(process.stdout)),
    )
  },
}

async function runOffline(
  options: Options,
  request: Parameters<typeof simulateOutage>[1],
): Promise<number> {
  const router = readOfflineRouter(required(options, 'config', '-c FILE'), options.values['box'])
  const outcome = await simulateOutage(
    {
      ...router,
      slotTable: (servers) => Promise.resolve(buildSlotTable(servers)),
      measured: undefined,
    },
    request,
  )
  const isJson = options.switches.has('json')
  if (!outcome.ok) {
    if (isJson) print(JSON.stringify({ problems: outcome.problems }, undefined, 2))
    else for (const problem of outcome.problems) printError(problem)
    return EXIT.failed
  }
  if (isJson) print(JSON.stringify(outcome.value, undefined, 2))
  else for (const line of simulationText(outcome.value, outputWidth(process.stdout))) print(line)
  return EXIT.ok
}

function count(options: Options, name: string, least: 0 | 1): number | undefined {
  const text = options.values[name]
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    throw new UsageError(
      `The option --${name} wants a whole number${least === 0 ? '' : ' above 0'}, not "${text.slice(0, 40)}"`,
    )
  return Number(text)
}
