/**
 * Every metric that a router exports: what it is called, what it says, and where it is taken from.
 * docs/metrics.md lists the same; a test holds the two together. Names follow HAProxy's and nginx's
 * exporters where they have one for the same thing.
 */
import { END_WORDS, FALLBACK_WORDS, RETRY_WORDS } from './access-record.ts'
import { DURATION_BOUNDS_US, FIRST_BYTE_BOUNDS_US, GLOBAL, SERVER } from './counters.ts'
import type { CounterSums } from './counter-totals.ts'

export type MetricLabels = Readonly<Record<string, string>>

/** One number of a family; `suffix` as a histogram has it (`_bucket`, `_sum`, `_count`). */
export interface MetricValue {
  readonly labels: MetricLabels
  readonly value: number
  readonly suffix?: string
}

export interface MetricFamily {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Names of its labels, a histogram's `le` left out. */
  readonly labels: readonly string[]
  readonly values: (state: MetricState) => Iterable<MetricValue>
}

/** All that metrics are made from, at one moment. */
export interface MetricState {
  readonly edge: string
  readonly box: string
  readonly version: string
  readonly startedAtMs: number
  readonly generation: number
  readonly isDraining: boolean
  readonly workerRestarts: number
  readonly reloads: { readonly taken: number; readonly refused: number }
  readonly sums: CounterSums
  readonly servers: readonly ServerMetricState[]
  readonly workers: readonly {
    readonly worker: number
    readonly state: string
    readonly lateMs: number
  }[]
  /** Since the start, by `EdgeEvent.event`. */
  readonly events: ReadonlyMap<string, number>
  /** Of the process that keeps the workers and runs the checks. */
  readonly primary: { readonly residentBytes: number; readonly cpuSeconds: number }
  readonly proberLateMs: number
}

/** A cache beside its counters. */
export interface ServerMetricState {
  readonly pool: string
  readonly server: string
  readonly state: 'up' | 'down' | 'unknown'
  readonly sinceMs: number
  readonly configuredWeight: number
  readonly weight: number
  readonly factor: number
  /** Of its users that it has back: below 1 while it returns in steps. */
  readonly returnShare: number
  readonly isDrained: boolean
  readonly suspectCount: number
}

export const METRIC_FAMILIES: readonly MetricFamily[] = [
  gauge('info', 'Always 1; which router this is.', ['edge', 'box', 'version'], (state) => [
    { labels: { edge: state.edge, box: state.box, version: state.version }, value: 1 },
  ]),
  one('start_time_seconds', 'When the router was started, seconds since 1970.', (state) =>
    seconds(state.startedAtMs),
  ),
  one('config_generation', 'Configurations taken, the first one included.', (s) => s.generation),
  one('draining', '1 while the router is being stopped.', (s) => (s.isDraining ? 1 : 0)),
  counter('reloads_total', 'Reloads by result.', ['result'], ({ reloads }) => [
    { labels: { result: 'taken' }, value: reloads.taken },
    { labels: { result: 'refused' }, value: reloads.refused },
  ]),
  plainCounter('worker_restarts_total', 'Workers that were replaced.', (s) => s.workerRestarts),
  gauge('worker_state', '1 for the state that the worker is in.', ['worker', 'state'], (state) =>
    state.workers.map((worker) => ({
      labels: { worker: String(worker.worker), state: worker.state },
      value: 1,
    })),
  ),
  gauge(
    'worker_late_seconds',
    "The worker's event loop: its longest delay in the last second.",
    ['worker'],
    (state) =>
      state.workers
        .filter(({ state: standing }) => standing !== 'dead')
        .map((worker) => ({
          labels: { worker: String(worker.worker) },
          value: seconds(worker.lateMs),
        })),
  ),
  one('prober_late_seconds', "The health checks' own longest delay.", (s) =>
    seconds(s.proberLateMs),
  ),
  one(
    'primary_resident_memory_bytes',
    'Memory of the process that keeps the workers.',
    (s) => s.primary.residentBytes,
  ),
  plainCounter(
    'primary_cpu_seconds_total',
    'CPU time of that process.',
    (s) => s.primary.cpuSeconds,
  ),
  counter('events_total', 'Automatic decisions, by kind.', ['event'], ({ events }) =>
    [...events].map(([event, value]) => ({ labels: { event }, value })),
  ),

  global('connections_accepted_total', 'Client connections accepted.', GLOBAL.connectionsAccepted),
  global('connections_active', 'Client connections open now.', GLOBAL.connectionsActive),
  global('connections_waiting', 'Of those, idle between requests.', GLOBAL.connectionsIdle),
  global(
    'connections_refused_total',
    "Client connections over a listener's maxConnections.",
    GLOBAL.connectionsRefused,
  ),
  global('tls_handshakes_total', 'TLS handshakes that succeeded.', GLOBAL.tlsHandshakes),
  global('tls_resumptions_total', 'Of those, resumed sessions.', GLOBAL.tlsResumptions),
  global('tls_failures_total', 'TLS handshakes that failed.', GLOBAL.tlsFailures),
  global('proxy_headers_refused_total', 'PROXY headers refused.', GLOBAL.proxyHeadersRefused),
  global('http_requests_total', 'Requests, refused ones included.', GLOBAL.requests),
  global('http_requests_active', 'Requests begun and not ended.', GLOBAL.requestsActive),
  counter('http_responses_total', 'Answers by class of status.', ['code'], ({ sums }) =>
    [1, 2, 3, 4, 5].map((digit) => ({
      labels: { code: `${digit}xx` },
      value: sums.global[GLOBAL.responses1xx + digit - 1]!,
    })),
  ),
  counter('requests_refused_total', 'Requests refused, by reason.', ['reason'], ({ sums }) =>
    [...sums.refusals].map(([reason, value]) => ({ labels: { reason }, value })),
  ),
  words('exchanges_total', 'Requests by how they ended.', 'end', END_WORDS, GLOBAL.ends),
  words(
    'fallbacks_total',
    'Requests that another cache than home answered, by reason.',
    'reason',
    FALLBACK_WORDS,
    GLOBAL.fallbacks,
  ),
  words(
    'retries_total',
    'Attempts on a next rank after one that failed, by reason.',
    'reason',
    RETRY_WORDS,
    GLOBAL.retries,
  ),
  global(
    'retry_budget_exhausted_total',
    'Retries not made, as the budget was spent.',
    GLOBAL.retryBudgetExhausted,
  ),
  global(
    'stale_connections_total',
    'Kept upstream connections found dead, and the request repeated on a fresh one.',
    GLOBAL.staleConnections,
  ),
  global('received_bytes_total', 'Bytes from clients.', GLOBAL.bytesIn),
  global('sent_bytes_total', 'Bytes to clients.', GLOBAL.bytesOut),
  histogram(
    'request_duration_seconds',
    'Requests, from the first byte of the head to the last of the answer.',
    [],
    ({ sums }) => [{ labels: {}, counts: sums.durations, base: 0, boundsUs: DURATION_BOUNDS_US }],
  ),
  global(
    'answers_unframed_total',
    "Answers that only the connection's end frames.",
    GLOBAL.unframed,
  ),
  global('suspicions_total', 'Times that a worker suspected a cache.', GLOBAL.suspicions),
  global('trials_total', 'Requests that tried a suspected cache.', GLOBAL.trials),
  global(
    'stray_connections_total',
    'Upstream connections discarded for bytes that no request asked for.',
    GLOBAL.strayBytes,
  ),
  global('general_lane_requests_total', 'Requests of the general lane.', GLOBAL.generalLane),
  global('health_answers_total', 'Requests for the health path.', GLOBAL.healthAnswers),
  global('no_route_total', 'Requests that no route matched.', GLOBAL.noRoute),
  global('no_user_total', 'Requests that named no user.', GLOBAL.noUser),
  global('no_cache_total', 'Requests while no cache was up.', GLOBAL.noCacheUp),
  global('caches_full_total', 'Requests while every cache was full.', GLOBAL.allCachesFull),
  global(
    'resource_shortages_total',
    'Connections to caches that this box lacked a file descriptor, a port or memory for.',
    GLOBAL.shortages,
  ),
  global('loops_total', 'Requests that had passed this router already.', GLOBAL.loops),
  global('slow_heads_total', 'Clients cut while their head was incomplete.', GLOBAL.slowHeads),
  global('idle_timeouts_total', 'Client connections closed as idle.', GLOBAL.idleTimeouts),
  global('log_lines_total', 'Lines written to the access log.', GLOBAL.logLines),
  global('log_lines_lost_total', 'Lines that the access log lost.', GLOBAL.logLinesLost),

  gauge(
    'server_status',
    '1 for the state that the checks found the cache in.',
    ['pool', 'server', 'state'],
    ({ servers }) =>
      servers.flatMap((server) =>
        (['up', 'down', 'unknown'] as const).map((state) => ({
          labels: { ...named(server), state },
          value: server.state === state ? 1 : 0,
        })),
      ),
  ),
  ofServer('server_last_change_seconds', 'When that state began, seconds since 1970.', (server) =>
    seconds(server.sinceMs),
  ),
  ofServer('server_weight', 'Weight in use.', (server) => server.weight),
  ofServer('server_configured_weight', 'Weight configured.', (server) => server.configuredWeight),
  ofServer('server_factor', 'Share of its weight that it carries, 0 to 1.', (s) => s.factor),
  ofServer(
    'server_return_share',
    'Share of its users that it has back, 0 to 1; below 1 while it returns in steps.',
    (server) => server.returnShare,
  ),
  ofServer('server_drained', '1 while an operator has drained it.', (s) => (s.isDrained ? 1 : 0)),
  ofServer('server_suspect', 'Workers that suspect it.', (server) => server.suspectCount),
  ofRow('server_requests_total', 'Attempts sent to the cache.', SERVER.requests),
  counterOfServers(
    'server_responses_total',
    'Answers by class of status.',
    'code',
    ['2xx', '3xx', '4xx', '5xx'],
    [SERVER.responses2xx, SERVER.responses3xx, SERVER.responses4xx, SERVER.responses5xx],
  ),
  counterOfServers(
    'server_connection_errors_total',
    'Connections that could not be made, by kind.',
    'kind',
    ['refused', 'unreachable', 'timeout', 'other'],
    [
      SERVER.connectRefused,
      SERVER.connectUnreachable,
      SERVER.connectTimeouts,
      SERVER.connectFailed,
    ],
  ),
  counterOfServers(
    'server_response_errors_total',
    'Answers that failed, by kind.',
    'kind',
    ['reset', 'first-byte timeout', 'bad head', 'cut', 'body timeout'],
    [SERVER.resets, SERVER.firstByteTimeouts, SERVER.badHeads, SERVER.cuts, SERVER.bodyTimeouts],
  ),
  ofRow('server_received_bytes_total', 'Bytes from the cache.', SERVER.bytesIn),
  ofRow('server_sent_bytes_total', 'Bytes to the cache.', SERVER.bytesOut),
  ofRow('server_current_requests', 'Requests on it now.', SERVER.active, 'gauge'),
  ofRow('server_connections', 'Connections to it now.', SERVER.connections, 'gauge'),
  ofRow('server_connections_opened_total', 'Connections made.', SERVER.connectionsOpened),
  ofRow('server_connections_reused_total', 'Requests on a kept one.', SERVER.connectionsReused),
  ofRow('server_connections_stale_total', 'Kept ones found dead.', SERVER.staleConnections),
  ofRow('server_suspicions_total', 'Times that a worker suspected it.', SERVER.suspicions),
  ofRow('server_trials_total', 'Requests that tried it while suspect.', SERVER.trials),
  ofRow(
    'server_warm_requests_total',
    'Requests repeated to it while it returned, so that it fills.',
    SERVER.warmRequests,
  ),
  ofRow(
    'server_warm_failures_total',
    'Of those, that failed or got another status than 200.',
    SERVER.warmFailures,
  ),
  ofRow('server_full_total', 'Requests passed on as it was full.', SERVER.full),
  ofRow(
    'server_fallback_received_total',
    'Requests that it got and whose home is another cache.',
    SERVER.fallbackIn,
  ),
  ofRow(
    'server_fallback_given_total',
    'Requests whose home it is and that another cache got.',
    SERVER.fallbackOut,
  ),
  histogram(
    'server_first_byte_seconds',
    'From the request sent to the first byte of the answer.',
    ['pool', 'server'],
    ({ sums, servers }) =>
      servers.map((server) => ({
        labels: named(server),
        counts: sums.server(server.pool, server.server),
        base: SERVER.firstByte,
        boundsUs: FIRST_BYTE_BOUNDS_US,
      })),
  ),
]

function gauge(
  name: string,
  help: string,
  labels: readonly string[],
  values: MetricFamily['values'],
): MetricFamily {
  return { name: `edge_router_${name}`, type: 'gauge', help, labels, values }
}

function counter(
  name: string,
  help: string,
  labels: readonly string[],
  values: MetricFamily['values'],
): MetricFamily {
  return { name: `edge_router_${name}`, type: 'counter', help, labels, values }
}

function one(name: string, help: string, value: (state: MetricState) => number): MetricFamily {
  return gauge(name, help, [], (state) => [{ labels: {}, value: value(state) }])
}

function plainCounter(
  name: string,
  help: string,
  value: (state: MetricState) => number,
): MetricFamily {
  return counter(name, help, [], (state) => [{ labels: {}, value: value(state) }])
}

/** A place of `GLOBAL`; what ends in `_total` is a counter. */
function global(name: string, help: string, place: number): MetricFamily {
  const make = name.endsWith('_total') ? plainCounter : one
  return make(name, help, ({ sums }) => sums.global[place]!)
}

/** A list's words, each in its place from `base` on; the empty word stands for nothing. */
function words(
  name: string,
  help: string,
  label: string,
  list: readonly string[],
  base: number,
): MetricFamily {
  return counter(name, help, [label], ({ sums }) =>
    list.flatMap((word, index) =>
      word === '' ? [] : [{ labels: { [label]: word }, value: sums.global[base + index]! }],
    ),
  )
}

function ofServer(
  name: string,
  help: string,
  value: (server: ServerMetricState) => number,
): MetricFamily {
  return gauge(name, help, ['pool', 'server'], ({ servers }) =>
    servers.map((server) => ({ labels: named(server), value: value(server) })),
  )
}

function ofRow(
  name: string,
  help: string,
  place: number,
  type: 'counter' | 'gauge' = 'counter',
): MetricFamily {
  const make = type === 'gauge' ? gauge : counter
  return make(name, help, ['pool', 'server'], ({ sums, servers }) =>
    servers.map((server) => ({
      labels: named(server),
      value: sums.server(server.pool, server.server)[place]!,
    })),
  )
}

function counterOfServers(
  name: string,
  help: string,
  label: string,
  list: readonly string[],
  places: readonly number[],
): MetricFamily {
  return counter(name, help, ['pool', 'server', label], ({ sums, servers }) =>
    servers.flatMap((server) => {
      const row = sums.server(server.pool, server.server)
      return list.map((word, index) => ({
        labels: { ...named(server), [label]: word },
        value: row[places[index]!]!,
      }))
    }),
  )
}

interface CountedTimes {
  readonly labels: MetricLabels
  /** From `base` on: a count per bound, one beyond them, the sum in microseconds. */
  readonly counts: Float64Array
  readonly base: number
  readonly boundsUs: readonly number[]
}

function histogram(
  name: string,
  help: string,
  labels: readonly string[],
  times: (state: MetricState) => readonly CountedTimes[],
): MetricFamily {
  return {
    name: `edge_router_${name}`,
    type: 'histogram',
    help,
    labels,
    values: (state) => times(state).flatMap(bucketValues),
  }
}

function bucketValues({ labels, counts, base, boundsUs }: CountedTimes): MetricValue[] {
  let count = 0
  const bounds = [...boundsUs.map((us) => String(us / 1_000_000)), '+Inf']
  const buckets = bounds.map((le, index) => {
    count += counts[base + index]!
    return { suffix: '_bucket', labels: { ...labels, le }, value: count }
  })
  const sum = counts[base + bounds.length]! / 1_000_000
  return [
    ...buckets,
    { suffix: '_sum', labels, value: sum },
    { suffix: '_count', labels, value: count },
  ]
}

const named = ({ pool, server }: ServerMetricState): { pool: string; server: string } => ({
  pool,
  server,
})

function seconds(ms: number): number {
  return ms / 1000
}
