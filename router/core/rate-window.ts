/** How long back a rate looks. */
export const RATE_WINDOW_MS = 10_000

interface Sample {
  readonly atMs: number
  readonly values: ReadonlyMap<string, number>
}

/**
 * Rates of counters that only rise, by name, over the last ten seconds (less at the beginning).
 * Feed it about once a second; times are monotonic milliseconds.
 */
export class RateWindow {
  readonly #samples: Sample[] = []

  /** The counters as they are now. */
  sample(atMs: number, values: ReadonlyMap<string, number>): void {
    this.#samples.push({ atMs, values })
    while (this.#samples.length > 2 && (this.#samples[1]?.atMs ?? 0) <= atMs - RATE_WINDOW_MS) {
      this.#samples.shift()
    }
  }

  /** By how much the counter rose; a name that is new in the window rose from 0. */
  increase(name: string): number {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined) return 0
    return Math.max(0, (last.values.get(name) ?? 0) - (first.values.get(name) ?? 0))
  }

  /** Per second; 0 until there are two samples. */
  perSecond(name: string): number {
    const spanMs = (this.#samples.at(-1)?.atMs ?? 0) - (this.#samples[0]?.atMs ?? 0)
    return spanMs > 0 ? (this.increase(name) * 1000) / spanMs : 0
  }
}
