import { readFileSync } from 'node:fs'
import t from 'tap'
import { CounterTotals } from '../../../router/core/counter-totals.ts'
import { Counters, GLOBAL, SERVER } from '../../../router/core/counters.ts'
import { METRIC_FAMILIES } from '../../../router/core/metric-families.ts'
import type { MetricState } from '../../../router/core/metric-families.ts'
import { metricsText } from '../../../router/io/metrics.ts'

function stateOf(counters: Counters): MetricState {
  const totals = new CounterTotals()
  totals.update(1, 101, counters.snapshot())
  return {
    edge: 'lab',
    box: 'router-1',
    version: '0.1.0',
    startedAtMs: 1_500,
    generation: 2,
    isDraining: false,
    workerRestarts: 1,
    reloads: { taken: 1, refused: 3 },
    sums: totals.total(),
    servers: [
      {
        pool: 'caches',
        server: 'cache-1',
        state: 'up',
        sinceMs: 2_000,
        configuredWeight: 1,
        weight: 2,
        factor: 0.5,
        returnShare: 0.75,
        isDrained: true,
        suspectCount: 1,
      },
    ],
    workers: [{ worker: 1, state: 'ready', lateMs: 12 }],
    events: new Map([['cache down', 4]]),
    primary: { residentBytes: 1_000, cpuSeconds: 2.5 },
    proberLateMs: 1,
  }
}

const linesOf = async (counters: Counters): Promise<string[]> =>
  (await metricsText(stateOf(counters))).split('\n')

void t.test('what workers counted is exported with its labels', async (t) => {
  const counters = new Counters()
  const row = counters.serverRow('caches', 'cache-1')
  counters.add(GLOBAL.requests, 7)
  counters.add(GLOBAL.retries + 5, 2)
  counters.add(GLOBAL.ends, 6)
  counters.add(GLOBAL.fallbacks, 99)
  counters.countStatus(206)
  counters.countRefusal('bad_host')
  counters.addServer(row + SERVER.responses5xx, 8)
  counters.addServer(row + SERVER.connectTimeouts, 9)
  const lines = await linesOf(counters)
  for (const line of [
    'edge_router_info{edge="lab",box="router-1",version="0.1.0"} 1',
    'edge_router_http_requests_total 7',
    'edge_router_http_responses_total{code="2xx"} 1',
    'edge_router_retries_total{reason="reset"} 2',
    'edge_router_exchanges_total{end="complete"} 6',
    'edge_router_requests_refused_total{reason="bad_host"} 1',
    'edge_router_server_status{pool="caches",server="cache-1",state="up"} 1',
    'edge_router_server_status{pool="caches",server="cache-1",state="down"} 0',
    'edge_router_server_responses_total{pool="caches",server="cache-1",code="5xx"} 8',
    'edge_router_server_connection_errors_total{pool="caches",server="cache-1",kind="timeout"} 9',
    'edge_router_server_weight{pool="caches",server="cache-1"} 2',
    'edge_router_reloads_total{result="refused"} 3',
    'edge_router_worker_late_seconds{worker="1"} 0.012',
    'edge_router_events_total{event="cache down"} 4',
  ]) {
    t.ok(lines.includes(line), line)
  }
  t.notOk(
    lines.some((line) => line.includes('{reason=""}') || line.includes(' 99')),
    'a request answered by its home is no fallback',
  )
})

void t.test('histograms are cumulative and in seconds', async (t) => {
  const counters = new Counters()
  counters.countDuration(400)
  counters.countDuration(900)
  counters.countDuration(900)
  counters.countDuration(90_000_000)
  counters.countFirstByte(counters.serverRow('caches', 'cache-1'), 3_000)
  const lines = await linesOf(counters)
  const of = (name: string): string[] => lines.filter((line) => line.startsWith(name))
  const buckets = of('edge_router_request_duration_seconds_bucket')
  t.equal(buckets[0], 'edge_router_request_duration_seconds_bucket{le="0.0005"} 1')
  t.equal(buckets[1], 'edge_router_request_duration_seconds_bucket{le="0.001"} 3')
  t.equal(buckets.at(-2), 'edge_router_request_duration_seconds_bucket{le="60"} 3')
  t.equal(buckets.at(-1), 'edge_router_request_duration_seconds_bucket{le="+Inf"} 4')
  t.strictSame(of('edge_router_request_duration_seconds_sum'), [
    'edge_router_request_duration_seconds_sum 90.0022',
  ])
  t.strictSame(of('edge_router_request_duration_seconds_count'), [
    'edge_router_request_duration_seconds_count 4',
  ])
  t.ok(
    lines.includes(
      'edge_router_server_first_byte_seconds_sum{pool="caches",server="cache-1"} 0.003',
    ),
  )
})

void t.test('each family has its head once, and only counters end in _total', async (t) => {
  const lines = await linesOf(new Counters())
  for (const { name, type } of METRIC_FAMILIES) {
    t.equal(lines.filter((line) => line === `# TYPE ${name} ${type}`).length, 1, name)
    t.equal(name.endsWith('_total'), type === 'counter', name)
  }
})

void t.test('docs/metrics.md has the same metrics, types, labels and words', (t) => {
  const text = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8')
  const documented = [
    ...text.matchAll(/^\| `(edge_router_[a-z0-9_]+)` +\| (.*?) +\| (.*?) +\| (.*?) +\|$/gm),
  ]
    .map(
      ([, name, type, labels, help]) =>
        `${name ?? ''} | ${type ?? ''} | ${labels ?? ''} | ${help ?? ''}`,
    )
    .sort()
  const declared = METRIC_FAMILIES.map(
    ({ name, type, labels, help }) => `${name} | ${type} | ${labels.join(', ')} | ${help}`,
  ).sort()
  t.strictSame(documented, declared)
  t.end()
})

void t.test('every counter of the workers is exported', (t) => {
  const state = stateOf(new Counters())
  const valuesOf = (change: (counters: Counters) => void): string => {
    const counters = new Counters()
    counters.serverRow('caches', 'cache-1')
    change(counters)
    const families = METRIC_FAMILIES.map(({ values }) => [
      ...values({ ...state, sums: stateOf(counters).sums }),
    ])
    return JSON.stringify(families)
  }
  const nothing = valuesOf(() => undefined)
  for (const [name, place] of Object.entries(GLOBAL)) {
    const first = name === 'retries' || name === 'fallbacks' ? 1 : 0
    const changed = valuesOf((counters) => {
      counters.add(place + first, 1)
    })
    t.not(changed, nothing, name)
  }
  for (const [name, place] of Object.entries(SERVER)) {
    if (name === 'suspect') continue
    const changed = valuesOf((counters) => {
      counters.addServer(place, 1)
    })
    t.not(changed, nothing, name)
  }
  t.end()
})
