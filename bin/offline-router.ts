import { constants, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Config } from '../common/config/config.ts'
import { forBox } from '../common/config/for-box.ts'
import { quote } from '../common/config/problem.ts'
import { ApplianceError } from '../common/runtime/appliance-error.ts'
import { withFile } from '../common/runtime/regular-file.ts'
import { loadConfigFile } from '../common/runtime/config-file.ts'
import { parseShardTable, shardProblemText, tableShardMap } from '../router/core/shard-table.ts'
import type { ReadyWorkers } from '../router/core/explain.ts'
import type { ShardMap } from '../router/core/shard-map.ts'
import type { Standing, StandingOf } from '../router/core/standing.ts'

/** A router as its configuration alone has it: every cache up, none drained. */
export interface OfflineRouter {
  readonly config: Config
  readonly standing: StandingOf
  readonly shardTables: ReadonlyMap<string, ShardMap>
  readonly workers: ReadyWorkers
}

/** Reads it; an `ApplianceError` has every problem, each on its line. */
export function readOfflineRouter(file: string, boxName: string | undefined): OfflineRouter {
  const loaded = loadConfigFile(file)
  if (!loaded.ok) throw refused(loaded.problems)
  const routers = loaded.config.router?.boxes ?? []
  const box = boxName ?? (routers.includes(hostname()) ? hostname() : routers[0])
  if (box === undefined || !routers.includes(box))
    throw refused([`${file}: There is no router ${quote(box ?? '')} in it`])
  const config = forBox(loaded.config, box, 'router')
  const workers = { ready: [], count: config.router?.workers ?? 0 }
  return { config, standing: allUp(config), shardTables: readShardTables(config), workers }
}

function allUp({ pools }: Config): StandingOf {
  return (pool, name): Standing => ({
    state: 'up',
    factor: 1,
    returningMs: undefined,
    isDrained: false,
    weight: pools[pool]?.servers.find((server) => server.name === name)?.weight ?? 0,
    reason: '',
    suspectIn: [],
    held: 'no',
  })
}

function readShardTables({ router, pools }: Config): Map<string, ShardMap> {
  const tables = new Map<string, ShardMap>()
  for (const { name, shards, pool } of Object.values(router?.groups ?? {})) {
    if (shards.type !== 'table') continue
    const servers = pools[pool]?.servers.map((server) => server.name) ?? []
    const parsed = parseShardTable(readText(shards.file), servers)
    if (!parsed.ok)
      throw refused(parsed.problems.map((problem) => shardProblemText(shards.file, problem)))
    tables.set(name, tableShardMap(parsed.table))
  }
  return tables
}

function readText(file: string): string {
  try {
    return withFile(file, constants.O_RDONLY, (descriptor) => readFileSync(descriptor, 'utf8'))
  } catch (error) {
    throw refused([`Cannot read the shard table ${file}: ${(error as Error).message}`])
  }
}

const refused = (problems: readonly string[]): ApplianceError =>
  new ApplianceError('CLI_CONFIG_REFUSED', problems.join('\n'))
