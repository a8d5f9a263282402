import { formatEndpoint, parseEndpoint } from '../../net/address.ts'
import type { Endpoint } from '../../net/address.ts'
import type { Box, CheckConfig, Pool, PoolServer } from '../config.ts'
import { quote } from '../problem.ts'
import { hasRange, matchNames } from '../ranges.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'
import type { SourceConfig, SourcePool } from '../schema/config-schema.ts'
import { expandAt, expandWith, selectBoxes } from './boxes.ts'
import type { BuildContext } from './context.ts'

/** The pools, their servers in order, with every check and weight looked up. */
export function buildPools(
  source: SourceConfig['pools'],
  boxes: ReadonlyMap<string, Box>,
  checks: ReadonlyMap<string, CheckConfig>,
  context: BuildContext,
): Map<string, Pool> {
  const pools = new Map<string, Pool>()
  for (const [name, entry] of source)
    pools.set(name, buildPool(name, entry, boxes, checks, context))
  return pools
}

function buildPool(
  name: string,
  entry: SourcePool,
  boxes: ReadonlyMap<string, Box>,
  checks: ReadonlyMap<string, CheckConfig>,
  context: BuildContext,
): Pool {
  const path = ['pools', name]
  const servers = withWeights(serversOf(entry, boxes, path, context), entry, path, context)
  return {
    name,
    origin: entry.servers === undefined ? 'boxes' : 'servers',
    servers,
    checks: checksOf(entry, servers, checks, path, context),
    onFail: entry.onFail,
    maxConnections: entry.maxConnections,
    framing: entry.framing,
    keepAlive: { idleMs: entry.keepAlive.idle, connections: entry.keepAlive.connections },
    panicThresholdPct: entry.panicThreshold,
    panicForMs: entry.panicFor,
  }
}

function serversOf(
  entry: SourcePool,
  boxes: ReadonlyMap<string, Box>,
  path: Path,
  context: BuildContext,
): PoolServer[] {
  if (entry.boxes !== undefined && entry.servers !== undefined) {
    context.problem(
      [...path, 'servers'],
      `${label(path)} has both boxes and servers: write one of them`,
    )
  }
  if (entry.servers !== undefined) {
    if (entry.port !== undefined) {
      context.problem(
        [...path, 'port'],
        `${label(path)} has a port of its own: each of its servers names one already`,
      )
    }
    return ownServers(entry.servers, [...path, 'servers'], context)
  }
  if (entry.boxes === undefined) {
    context.problem(path, `${label(path)} has no servers: write boxes or servers`)
    return []
  }
  return selectBoxes(entry.boxes, boxes, [...path, 'boxes'], context).map((name) => {
    const { address, weight } = boxes.get(name)!
    return { name, address, port: entry.port, weight }
  })
}

function ownServers(
  source: ReadonlyMap<string, string>,
  path: Path,
  context: BuildContext,
): PoolServer[] {
  const servers = new Map<string, PoolServer>()
  const owners = new Map<string, string>()
  for (const [key, text] of source) {
    const names = expandAt([...path, key], key, context, true)
    const texts = expandWith(names, [...path, key], text, key, context)
    for (const [index, name] of names.entries()) {
      const endpoint = ownEndpoint(texts[index], [...path, key], context)
      if (servers.has(name))
        context.keyProblem([...path, key], `The server ${quote(name)} is there twice`)
      // Others may speak of one whose address was refused: it is there all the same.
      else servers.set(name, { name, ...(endpoint ?? REFUSED), weight: 1 })
      if (endpoint === undefined) continue
      const place = formatEndpoint(endpoint)
      const owner = owners.get(place)
      owners.set(place, owner ?? name)
      if (owner === undefined || owner === name) continue
      context.problem(
        [...path, key],
        `The address ${quote(texts[index]!)} of ${quote(name)} is already that of ${quote(owner)}`,
      )
    }
  }
  return [...servers.values()]
}

const REFUSED: Endpoint = { address: '', port: 0 }

/** undefined: refused, and told. */
function ownEndpoint(
  text: string | undefined,
  path: Path,
  context: BuildContext,
): Endpoint | undefined {
  if (text === undefined) return undefined
  const endpoint = parseEndpoint(text)
  if (endpoint === undefined)
    context.problem(path, `${label(path)} makes ${quote(text)}, not an address and port`)
  return endpoint
}

function withWeights(
  servers: readonly PoolServer[],
  entry: SourcePool,
  path: Path,
  context: BuildContext,
): PoolServer[] {
  const weights = new Map<string, number>()
  const names = servers.map((server) => server.name)
  for (const [pattern, weight] of entry.weights) {
    const found = matchNames(pattern, names)
    const here = [...path, 'weights', pattern]
    if (found.length > 0) for (const name of found) weights.set(name, weight)
    else if (pattern.includes('*') || hasRange(pattern)) {
      context.keyProblem(here, `${label(here)}: ${quote(pattern)} matches no server of the pool`)
    } else if (names.length > 0) context.isKnown(here, 'server', pattern, names)
  }
  return servers.map((server) => ({ ...server, weight: weights.get(server.name) ?? server.weight }))
}

function checksOf(
  entry: SourcePool,
  servers: readonly PoolServer[],
  checks: ReadonlyMap<string, CheckConfig>,
  path: Path,
  context: BuildContext,
): readonly string[] {
  const names = entry.check ?? []
  for (const [index, name] of names.entries()) {
    const here = [...path, 'check', ...(names.length > 1 ? [index] : [])]
    if (!context.isKnown(here, 'check', name, checks.keys())) continue
    const check = checks.get(name)
    if (names.indexOf(name) !== index)
      context.problem(here, `${label(here)} names the check ${quote(name)} twice`)
    const needsPort = check !== undefined && check.type !== 'script' && check.port === undefined
    if (needsPort && servers.some((server) => server.port === undefined)) {
      context.problem(
        here,
        `The check ${quote(name)} has no port and the pool has none either: give one of them a port`,
      )
    }
    if (check?.type === 'script' && check.dynamic) lookAtDynamic(name, servers, here, context)
  }
  return names
}

/** What a dynamic check tells counts as a part of the server's weight. */
function lookAtDynamic(
  check: string,
  servers: readonly PoolServer[],
  path: Path,
  context: BuildContext,
): void {
  const coarse = servers.find(({ weight }) => weight > 0 && weight < FINE_WEIGHT)
  if (coarse === undefined) return
  context.warning(
    path,
    `The check ${quote(check)} is dynamic: it tells a weight of 0 to 253, which counts up to that of the server, and ${quote(coarse.name)} has ${coarse.weight}: give the servers weights like 100`,
  )
}

const FINE_WEIGHT = 10
