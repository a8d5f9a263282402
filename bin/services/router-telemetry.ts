import { systemClock } from '../../common/runtime/clock.ts'
import { CounterTotals } from '../../router/core/counter-totals.ts'
import { GLOBAL, SERVER } from '../../router/core/counters.ts'
import type { CountersSnapshot } from '../../router/core/counters.ts'
import { RateWindow } from '../../router/core/rate-window.ts'

const SAMPLE_INTERVAL_MS = 1_000

/** The servers' counters whose sum is what an operator calls errors. */
const ERRORS = [
  SERVER.connectRefused,
  SERVER.connectUnreachable,
  SERVER.connectTimeouts,
  SERVER.connectFailed,
  SERVER.resets,
  SERVER.firstByteTimeouts,
  SERVER.badHeads,
  SERVER.cuts,
  SERVER.bodyTimeouts,
] as const

/** What the workers have counted together, and how fast it grows. */
export class RouterTelemetry {
  readonly totals = new CounterTotals()
  readonly #rates = new RateWindow()
  readonly #timer: NodeJS.Timeout
  #servers: readonly (readonly [pool: string, server: string])[] = []

  constructor() {
    this.#timer = setInterval(() => {
      this.#sample()
    }, SAMPLE_INTERVAL_MS)
  }

  readonly onStats = (worker: number, incarnation: number, snapshot: CountersSnapshot): void => {
    this.totals.update(worker, incarnation, snapshot)
  }

  readonly onGone = (_worker: number, incarnation: number): void => {
    this.totals.bury(incarnation)
  }

  /** Whose rates are wanted. */
  watch(servers: readonly (readonly [pool: string, server: string])[]): void {
    this.#servers = servers
  }

  /** Requests per second of the router, over the last ten seconds. */
  requestsPerSecond(): number {
    return this.#rates.perSecond('requests')
  }

  /** Answers with a status of 500 or more, of all in the last ten seconds, percent. */
  errorPct(): number {
    const answers = this.#rates.increase('answers')
    return answers === 0 ? 0 : (100 * this.#rates.increase('errors')) / answers
  }

  server(pool: string, server: string): ServerRates {
    const key = `${pool}/${server}`
    return {
      requestsPerSecond: this.#rates.perSecond(`${key} requests`),
      errorsPerSecond: this.#rates.perSecond(`${key} errors`),
    }
  }

  /** Requests per second of one worker's process. */
  workerRequestsPerSecond(incarnation: number): number {
    return this.#rates.perSecond(`worker ${incarnation}`)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #sample(): void {
    const sums = this.totals.total()
    const values = new Map<string, number>()
    const { global } = sums
    const classes = [1, 2, 3, 4].map((step) => global[GLOBAL.responses1xx + step] ?? 0)
    values.set('requests', global[GLOBAL.requests] ?? 0)
    values.set(
      'answers',
      classes.reduce((sum, count) => sum + count, 0),
    )
    values.set('errors', global[GLOBAL.responses5xx] ?? 0)
    for (const [pool, server] of this.#servers) {
      const row = sums.server(pool, server)
      values.set(`${pool}/${server} requests`, row[SERVER.requests] ?? 0)
      values.set(`${pool}/${server} errors`, errorCount(row))
    }
    for (const [incarnation, requests] of this.totals.requestsByIncarnation())
      values.set(`worker ${incarnation}`, requests)
    this.#rates.sample(systemClock.now(), values)
  }
}

export interface ServerRates {
  readonly requestsPerSecond: number
  readonly errorsPerSecond: number
}

/** Failed attempts and cut bodies, from a server's row. */
export const errorCount = (row: Float64Array): number =>
  ERRORS.reduce((sum, place) => sum + (row[place] ?? 0), 0)
