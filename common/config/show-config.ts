import { stringify } from 'yaml'
import { formatEndpoint } from '../net/address.ts'
import type { CheckConfig, Config, GroupConfig, HeaderRules, Pool, RouterConfig } from './config.ts'
import type { SchemaNode } from './schema-kit.ts'
import { configSchema } from './schema/config-schema.ts'
import { plain, writeSource } from './write-source.ts'

/**
 * The effective configuration in the source's own shape, as YAML: defaults written out, ranges
 * expanded, paths absolute. Parsing it gives the same configuration.
 */
export function showConfig(config: Config): string {
  return stringify(sourceOf(config), { lineWidth: 0, version: '1.2', aliasDuplicateObjects: false })
}

/** As `showConfig`, as plain data for JSON. */
export function showConfigData(config: Config): unknown {
  return plain(sourceOf(config))
}

/** Maps keep the file's order, which an object does not for names like `10`. */
function sourceOf(config: Config): ReadonlyMap<string, unknown> {
  const { director, alerts, ...rest } = config
  const tree = {
    edge: rest.edge,
    boxes: new Map(Object.entries(rest.boxes)),
    pools: new Map(Object.entries(rest.pools).map(([name, pool]) => [name, poolOf(pool)])),
    router: rest.router && routerOf(rest.router),
    mountcheck: rest.mountcheck && mountcheckOf(rest.mountcheck),
    checks: new Map(Object.entries(rest.checks).map(([name, check]) => [name, checkOf(check)])),
    alerts: {},
    admin: {
      ...rest.admin,
      http: rest.admin.http && formatEndpoint(rest.admin.http),
      edge: rest.admin.edge && {
        address: formatEndpoint(rest.admin.edge),
        key: rest.admin.edge.key,
      },
    },
  }
  const written = writeSource(configSchema as unknown as SchemaNode, tree)
  const map = new Map(written as ReadonlyMap<string, unknown>)
  if (director !== undefined) map.set('director', director)
  return map.set('alerts', alerts)
}

function poolOf(pool: Pool) {
  const { servers } = pool
  const isBoxes = pool.origin === 'boxes'
  const ownServers = servers.map((server): [string, string] => [
    server.name,
    formatEndpoint({ address: server.address, port: server.port ?? 0 }),
  ])
  return {
    boxes: isBoxes ? servers.map((server) => server.name) : undefined,
    servers: isBoxes ? undefined : new Map(ownServers),
    port: isBoxes ? servers[0]?.port : undefined,
    check: pool.checks,
    weights: new Map(servers.map((server) => [server.name, server.weight])),
    onFail: pool.onFail,
    maxConnections: pool.maxConnections,
    framing: pool.framing,
    keepAlive: { idle: pool.keepAlive.idleMs, connections: pool.keepAlive.connections },
    panicThreshold: pool.panicThresholdPct,
    panicFor: pool.panicForMs,
  }
}

function routerOf(router: RouterConfig) {
  const { accessLog } = router
  return {
    boxes: router.boxes,
    workers: router.workers,
    health: router.healthPath,
    drainDeadline: router.drainDeadlineMs,
    maxMoved: router.maxMovedPct,
    accessLog: { file: accessLog.file, format: accessLog.format, sample: accessLog.samplePct },
    listen: router.listeners.map((listener) => ({
      ...listener,
      address: formatEndpoint(listener),
      keepAlive: { requests: listener.keepAlive.requests, age: listener.keepAlive.ageMs },
      timeouts: {
        head: listener.timeouts.headMs,
        idle: listener.timeouts.idleMs,
        send: listener.timeouts.sendMs,
      },
      limits: {
        target: listener.limits.targetBytes,
        head: listener.limits.headBytes,
        fields: listener.limits.fields,
      },
    })),
    groups: new Map(Object.entries(router.groups).map(([name, group]) => [name, groupOf(group)])),
    routes: router.routes.map(({ host, path, action }) => ({
      host,
      path,
      group: action.type === 'group' ? action.group : undefined,
      redirect: action.type === 'redirect' ? action : undefined,
      respond: action.type === 'respond' ? { ...action, type: action.contentType } : undefined,
    })),
  }
}

function groupOf(group: GroupConfig) {
  const { shards, timeouts } = group
  return {
    ...group,
    user: userOf(group.user),
    shards:
      shards.type === 'hash'
        ? undefined
        : { ...shards, table: 'file' in shards ? shards.file : undefined },
    rampUp: group.rampUpMs,
    maxBody: group.maxBodyBytes,
    timeouts: {
      connect: timeouts.connectMs,
      firstByte: timeouts.firstByteMs,
      betweenBytes: timeouts.betweenBytesMs,
      photo: timeouts.photoMs,
    },
    requestHeaders: rulesOf(group.requestHeaders),
    responseHeaders: rulesOf(group.responseHeaders),
  }
}

function userOf(user: GroupConfig['user']) {
  switch (user.type) {
    case 'path':
      return user.pattern
    case 'regex':
      return { regex: user.regex }
    case 'query':
      return { query: user.parameter }
    case 'header':
      return { header: user.header }
  }
}

const rulesOf = (rules: HeaderRules) => ({
  set: new Map(Object.entries(rules.set)),
  remove: rules.remove,
})

function checkOf(check: CheckConfig) {
  const timing = {
    ...check,
    interval: check.intervalMs,
    timeout: check.timeoutMs,
    fastInterval: check.fastIntervalMs,
    downInterval: check.downIntervalMs,
    jitter: check.jitterPct,
  }
  if (check.type === 'photo') return { ...timing, maxLatency: check.maxLatencyMs }
  if (check.type !== 'http' && check.type !== 'https') return timing
  const { timeouts, body } = check
  return {
    ...timing,
    timeouts: {
      connect: timeouts.connectMs,
      firstByte: timeouts.firstByteMs,
      lastByte: timeouts.lastByteMs,
    },
    header: new Map(Object.entries(check.header)),
    body: body && {
      contains: body.type === 'contains' ? body.text : undefined,
      regex: body.type === 'regex' ? body.regex : undefined,
      sha256: body.type === 'sha256' ? body.digest : undefined,
    },
  }
}

function mountcheckOf(mountcheck: NonNullable<Config['mountcheck']>) {
  return {
    ...mountcheck,
    listen: formatEndpoint(mountcheck),
    mounts: mountcheck.mounts.map((mount) => ({
      ...mount,
      interval: mount.intervalMs,
      deadline: mount.deadlineMs,
    })),
    scripts: mountcheck.scripts.map((script) => ({
      command: script.command,
      interval: script.intervalMs,
      timeout: script.timeoutMs,
    })),
  }
}
