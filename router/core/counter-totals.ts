import {
  Counters,
  GLOBAL,
  GLOBAL_GAUGES,
  SERVER,
  SERVER_GAUGES,
  SERVER_STRIDE,
} from './counters.ts'
import type { CountersSnapshot } from './counters.ts'

/**
 * What all workers have counted together. A dead worker's counts stay in the sum, so no counter
 * ever falls; its gauges go with it.
 */
export class CounterTotals {
  readonly #buried = new Sum()
  readonly #living = new Map<number, { readonly worker: number; snapshot: CountersSnapshot }>()

  /** A worker's latest; `incarnation` differs for each process (its pid). */
  update(worker: number, incarnation: number, snapshot: CountersSnapshot): void {
    this.#living.set(incarnation, { worker, snapshot })
  }

  /** There will be no more from this one. */
  bury(incarnation: number): void {
    const dead = this.#living.get(incarnation)
    if (dead === undefined) return
    this.#living.delete(incarnation)
    this.#buried.add(withoutGauges(dead.snapshot))
  }

  /** The sums at this moment. */
  total(): CounterSums {
    const sum = new Sum()
    sum.add(this.#buried.snapshot())
    for (const { snapshot } of this.#living.values()) sum.add(snapshot)
    return sum
  }

  /** Requests of each worker that lives, by incarnation. */
  requestsByIncarnation(): Map<number, number> {
    return new Map(
      Array.from(this.#living, ([incarnation, { snapshot }]) => [
        incarnation,
        snapshot.global[GLOBAL.requests]!,
      ]),
    )
  }

  /** The workers (their numbers) in which the server is suspect now. */
  suspectIn(pool: string, server: string): number[] {
    const key = `${pool}/${server}`
    const workers: number[] = []
    for (const { worker, snapshot } of this.#living.values()) {
      const index = snapshot.serverKeys.indexOf(key)
      if (index >= 0 && snapshot.servers[index * SERVER_STRIDE + SERVER.suspect] === 1) {
        workers.push(worker)
      }
    }
    return [...new Set(workers)].sort((a, b) => a - b)
  }
}

/** Sums as a reader wants them. */
export interface CounterSums {
  /** As `Counters.global`. */
  readonly global: Float64Array
  /** As `Counters.durations`. */
  readonly durations: Float64Array
  readonly refusals: ReadonlyMap<string, number>
  /** The server's row, `SERVER_STRIDE` numbers; all 0 for one that was never asked. */
  server(pool: string, server: string): Float64Array
}

class Sum implements CounterSums {
  readonly #counters = new Counters()
  readonly refusals = new Map<string, number>()
  readonly #rows = new Map<string, Float64Array>()

  get global(): Float64Array {
    return this.#counters.global
  }

  get durations(): Float64Array {
    return this.#counters.durations
  }

  server(pool: string, server: string): Float64Array {
    return this.#rows.get(`${pool}/${server}`) ?? NO_ROW
  }

  add(snapshot: CountersSnapshot): void {
    addTo(this.global, snapshot.global)
    addTo(this.durations, snapshot.durations)
    for (const [reason, count] of Object.entries(snapshot.refusals)) {
      this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + count)
    }
    snapshot.serverKeys.forEach((key, index) => {
      let row = this.#rows.get(key)
      if (row === undefined) {
        row = new Float64Array(SERVER_STRIDE)
        this.#rows.set(key, row)
      }
      const start = index * SERVER_STRIDE
      addTo(row, snapshot.servers.subarray(start, start + SERVER_STRIDE))
    })
  }

  snapshot(): CountersSnapshot {
    const serverKeys = [...this.#rows.keys()]
    const servers = new Float64Array(serverKeys.length * SERVER_STRIDE)
    serverKeys.forEach((key, index) => {
      servers.set(this.#rows.get(key) ?? NO_ROW, index * SERVER_STRIDE)
    })
    return {
      global: this.global,
      durations: this.durations,
      refusals: Object.fromEntries(this.refusals),
      serverKeys,
      servers,
    }
  }
}

function addTo(sum: Float64Array, values: Float64Array): void {
  const size = Math.min(sum.length, values.length)
  for (let i = 0; i < size; i++) sum[i]! += values[i]!
}

function withoutGauges(snapshot: CountersSnapshot): CountersSnapshot {
  const global = snapshot.global.slice()
  for (const place of GLOBAL_GAUGES) global[place] = 0
  const servers = snapshot.servers.slice()
  for (let row = 0; row < servers.length; row += SERVER_STRIDE) {
    for (const place of SERVER_GAUGES) servers[row + place] = 0
  }
  return { ...snapshot, global, servers }
}

const NO_ROW = new Float64Array(SERVER_STRIDE)
