import { parseEndpoint } from '../../net/address.ts'
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
    for (const [index, endpointText] of texts.entries()) {
      const server = ownServer(names[index]!, endpointText, [...path, key], context)
      if (server === undefined) continue
      const owner = owners.get(`${server.address} ${String(server.port)}`)
      if (servers.has(server.name))
        context.keyProblem([...path, key], `The server ${quote(server.name)} is there twice`)
      else if (owner !== undefined) {
        context.problem(
          [...path, key],
          `The address ${quote(endpointText)} of ${quote(server.name)} is already that of ${quote(owner)}`,
        )
      } else servers.set(server.name, server)
      owners.set(`${server.address} ${String(server.port)}`, owner ?? server.name)
    }
  }
  return [...servers.values()]
}

function ownServer(
  name: string,
  text: string,
  path: Path,
  context: BuildContext,
): PoolServer | undefined {
  const endpoint = parseEndpoint(text)
  if (endpoint === undefined) {
    context.problem(path, `${label(path)} makes ${quote(text)}, not an address and port`)
    return undefined
  }
  return { name, ...endpoint, weight: 1 }
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
  }
  return names
}
