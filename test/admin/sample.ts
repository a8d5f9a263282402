import type { Outcome, RouterControl } from '../../admin/router-control.ts'
import type { CacheStatus, Changed, RouterStatus } from '../../admin/schemas.ts'

export const sampleCache: CacheStatus = {
  pool: 'caches',
  name: 'cache-1',
  address: '10.0.0.21:80',
  state: 'up',
  reason: 'status 200',
  sinceMs: 1_000,
  drained: false,
  suspectIn: [],
  configuredWeight: 1,
  weight: 1,
  factor: 1,
  requestsPerSecond: 12.5,
  sharePct: 50,
  errorsPerSecond: 0,
  errorCount: 3,
  activeRequests: 1,
  connections: 4,
  held: 'no',
  outageCount: 0,
  results: '++++++++++',
}

export const sampleStatus: RouterStatus = {
  edge: 'lab',
  box: 'router-1',
  part: 'router',
  version: '0.1.0',
  state: 'running',
  pid: 42,
  sinceMs: 0,
  configFile: '/etc/photoedge/edge.yaml',
  generation: 3,
  requestsPerSecond: 25,
  requestCount: 1_000,
  errorPct: 0.1,
  connections: 9,
  workerRestarts: 0,
  workerCount: 1,
  caches: [
    sampleCache,
    {
      ...sampleCache,
      name: 'cache-2',
      state: 'down',
      reason: 'connect refused, and a long story about why that may have been so at that time',
      suspectIn: [1],
      configuredWeight: 2,
      weight: 4,
      held: 'flapping',
      outageCount: 2,
      results: '++++-s+---',
    },
  ],
  workers: [
    {
      worker: 1,
      pid: 43,
      state: 'ready',
      sinceMs: 0,
      generation: 3,
      requestsPerSecond: 25,
      connections: 9,
      lateMs: 0.4,
    },
  ],
  listeners: [{ name: '0.0.0.0:80', tls: false, proxyProtocol: 'off' }],
  events: [
    { atMs: 5_000, event: 'cache down', subject: 'caches/cache-2', reason: 'connect refused' },
  ],
}

const changed: Outcome<Changed> = { ok: true, value: { caches: [sampleCache], unserved: [] } }

/** A router that is nothing but answers; `calls` has what it was asked. */
export function sampleControl(
  part: Partial<RouterControl> = {},
): RouterControl & { readonly calls: unknown[] } {
  const calls: unknown[] = []
  const noted = <T>(name: string, request: unknown, outcome: T): Promise<T> => {
    calls.push([name, request])
    return Promise.resolve(outcome)
  }
  return {
    calls,
    status: () => sampleStatus,
    events: () => sampleStatus.events,
    metrics: () => Promise.resolve('# HELP edge_router_info\n'),
    isReady: () => true,
    explain: ({ url }) => ({
      ok: true,
      value: { url, host: 'x', path: '/', caches: [], cacheCount: 0, why: 'No route matches' },
    }),
    simulate: (request) =>
      noted('simulate', request, {
        ok: true as const,
        value: { down: [...request.down], rate: 'none' as const, userCount: 1, groups: [] },
      }),
    drain: (request) => noted('drain', request, changed),
    undrain: (request) => noted('undrain', request, changed),
    weight: (request) => noted('weight', request, changed),
    reload: (request) =>
      noted('reload', request, {
        ok: true as const,
        value: { generation: 4, configFile: '/etc/photoedge/edge.yaml', warnings: [] },
      }),
    ...part,
  }
}
