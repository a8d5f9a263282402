/**
 * The worker's counters: plain numbers in flat arrays, so that counting is one array add. Read
 * `docs/metrics.md` for what each one becomes. A row or a place is never reused for something else
 * while a worker lives; what is a gauge (may fall) is in `GLOBAL_GAUGES` and `SERVER_GAUGES`.
 *
 *   counters.add(GLOBAL.requests, 1)
 *   counters.addServer(row + SERVER.requests, 1)     // row = counters.serverRow(pool, server)
 */

/** Places in `Counters.global`. */
export const GLOBAL = {
  connectionsAccepted: 0,
  /** Gauge. */
  connectionsActive: 1,
  /** Gauge: kept open between requests. */
  connectionsIdle: 2,
  /** Over a listener's `maxConnections`. */
  connectionsRefused: 3,
  tlsHandshakes: 4,
  tlsResumptions: 5,
  tlsFailures: 6,
  /** Whole heads, refused ones included. */
  requests: 7,
  /** Gauge: begun and not ended. */
  requestsActive: 8,
  responses1xx: 9,
  responses2xx: 10,
  responses3xx: 11,
  responses4xx: 12,
  responses5xx: 13,
  /** From clients: heads and bodies. */
  bytesIn: 14,
  /** To clients: heads and bodies. */
  bytesOut: 15,
  /** Retries by reason: `retries + RETRY.…` for RETRY 1 to 7; place 16 itself stays 0. */
  retries: 16,
  retryBudgetExhausted: 24,
  /** Repetitions on a fresh connection after a stale kept one. */
  staleConnections: 25,
  /** Exchanges by how they ended: `ends + END.…`, 0 to 10. */
  ends: 32,
  /** Answers that only the connection's end frames. */
  unframed: 43,
  /** Times that a cache became suspect in this worker. */
  suspicions: 44,
  /** Bytes on an idle upstream connection, or after a complete answer. */
  strayBytes: 45,
  generalLane: 46,
  healthAnswers: 47,
  noRoute: 48,
  noUser: 49,
  noCacheUp: 50,
  allCachesFull: 51,
  loops: 52,
  slowHeads: 53,
  idleTimeouts: 54,
  logLines: 55,
  logLinesLost: 56,
  proxyHeadersRefused: 57,
  trials: 58,
  /** Answers by fallback: `fallbacks + FALLBACK.…` for 1 to 7; place 59 counts home. */
  fallbacks: 59,
  /** Connections to caches that this box lacked a descriptor, a port or memory for. */
  shortages: 67,
} as const

/** Numbers in `Counters.global`, room to grow included. */
export const GLOBAL_SIZE = 80

/** Places in a server's row of `Counters.servers`, to be added to `Counters.serverRow(…)`. */
export const SERVER = {
  /** Attempts begun. */
  requests: 0,
  responses2xx: 1,
  responses3xx: 2,
  responses4xx: 3,
  responses5xx: 4,
  connectRefused: 5,
  connectUnreachable: 6,
  connectTimeouts: 7,
  /** Any other failure to connect. */
  connectFailed: 8,
  /** Reset or end before the final answer's first byte. */
  resets: 9,
  firstByteTimeouts: 10,
  badHeads: 11,
  /** Bodies cut short, by end or reset. */
  cuts: 12,
  /** Bodies that stalled or took too long. */
  bodyTimeouts: 13,
  /** From the cache: heads and bodies. */
  bytesIn: 14,
  bytesOut: 15,
  /** Gauge: exchanges on it now. */
  active: 16,
  /** Gauge: open connections, kept ones included. */
  connections: 17,
  connectionsOpened: 18,
  connectionsReused: 19,
  staleConnections: 20,
  suspicions: 21,
  /** Gauge: 1 while suspect in this worker. */
  suspect: 22,
  /** Requests it served whose home is another cache. */
  fallbackIn: 23,
  /** Requests whose home it is and that another cache got. */
  fallbackOut: 24,
  /** Requests passed by since it was at `maxConnections`. */
  full: 25,
  trials: 26,
  /** Requests repeated to it while it returned, so that it fills. */
  warmRequests: 27,
  /** Of those, that failed or got another status than 200. */
  warmFailures: 28,
  /** First-byte histogram: `FIRST_BYTE_BOUNDS_US.length + 1` counts, then the sum in µs. */
  firstByte: 32,
} as const

/** Upper bounds (inclusive) of the histogram of a cache's first byte. */
export const FIRST_BYTE_BOUNDS_US = [
  500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000,
] as const

/** Upper bounds (inclusive) of the histogram of whole requests. */
export const DURATION_BOUNDS_US = [
  500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
  5_000_000, 10_000_000, 60_000_000,
] as const

/** Numbers in a server's row. */
export const SERVER_STRIDE = SERVER.firstByte + FIRST_BYTE_BOUNDS_US.length + 2

/** Places that are states, not counts: they may fall, and end with their worker. */
export const GLOBAL_GAUGES: readonly number[] = [
  GLOBAL.connectionsActive,
  GLOBAL.connectionsIdle,
  GLOBAL.requestsActive,
]

/** As `GLOBAL_GAUGES`, in a server's row. */
export const SERVER_GAUGES: readonly number[] = [SERVER.active, SERVER.connections, SERVER.suspect]

/** A worker's counters at one moment: plain data, a copy, fit for a message to another process. */
export interface CountersSnapshot {
  readonly global: Float64Array
  /** Refused requests by reason (the head parser's short labels). */
  readonly refusals: Readonly<Record<string, number>>
  /** `DURATION_BOUNDS_US.length + 1` counts, then the sum in µs. */
  readonly durations: Float64Array
  /** `pool/server` of each row. */
  readonly serverKeys: readonly string[]
  /** `SERVER_STRIDE` numbers per row. */
  readonly servers: Float64Array
}

export class Counters {
  readonly global = new Float64Array(GLOBAL_SIZE)
  /** `DURATION_BOUNDS_US.length + 1` counts, then the sum in µs. */
  readonly durations = new Float64Array(DURATION_BOUNDS_US.length + 2)
  /** Replaced by a larger array when `serverRow` adds one: read it anew each time. */
  servers = new Float64Array(0)
  readonly #rows = new Map<string, number>()
  readonly #refusals = new Map<string, number>()

  /** Where the server's row starts in `servers`; made at the first call, the same for ever after. */
  serverRow(pool: string, server: string): number {
    const key = `${pool}/${server}`
    const known = this.#rows.get(key)
    if (known !== undefined) return known
    const row = this.servers.length
    const larger = new Float64Array(row + SERVER_STRIDE)
    larger.set(this.servers)
    this.servers = larger
    this.#rows.set(key, row)
    return row
  }

  /** Adds to a place of `GLOBAL`; negative for a gauge that falls. */
  add(place: number, amount: number): void {
    this.global[place] = (this.global[place] ?? 0) + amount
  }

  /** Adds to a server's row: `serverRow(…) + SERVER.…`. */
  addServer(place: number, amount: number): void {
    this.servers[place] = (this.servers[place] ?? 0) + amount
  }

  /** Counts a refused request under the head parser's label (a closed set of few words). */
  countRefusal(reason: string): void {
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1)
  }

  /** Counts a final status sent to a client, by its class. */
  countStatus(status: number): void {
    const statusClass = Math.trunc(status / 100)
    if (statusClass >= 1 && statusClass <= 5) this.add(GLOBAL.responses1xx - 1 + statusClass, 1)
  }

  /** Counts a whole request's time. */
  countDuration(durationUs: number): void {
    countInto(this.durations, 0, DURATION_BOUNDS_US, durationUs)
  }

  /** Counts a cache's time to its first byte in the row that `serverRow` gave. */
  countFirstByte(row: number, firstByteUs: number): void {
    countInto(this.servers, row + SERVER.firstByte, FIRST_BYTE_BOUNDS_US, firstByteUs)
  }

  snapshot(): CountersSnapshot {
    return {
      global: this.global.slice(),
      refusals: Object.fromEntries(this.#refusals),
      durations: this.durations.slice(),
      serverKeys: [...this.#rows.keys()],
      servers: this.servers.slice(),
    }
  }
}

function countInto(
  array: Float64Array,
  base: number,
  boundsUs: readonly number[],
  valueUs: number,
): void {
  const size = boundsUs.length
  let bucket = 0
  while (bucket < size && valueUs > (boundsUs[bucket] ?? 0)) bucket++
  array[base + bucket] = (array[base + bucket] ?? 0) + 1
  array[base + size + 1] = (array[base + size + 1] ?? 0) + valueUs
}
