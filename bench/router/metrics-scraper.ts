import type { Peer } from './peers/peer.ts'

/** Prometheus' usual interval is 15 s. */
const INTERVAL_MS = 5000

/** Asks a proxy for its metrics as an operator's Prometheus would, by the time that it is measured. */
export class MetricsScraper {
  readonly #peer: Peer
  /** The first slice, the warm-up, has a scrape. */
  #sinceLastMs = INTERVAL_MS

  constructor(peer: Peer) {
    this.#peer = peer
  }

  /** To be called when a slice of so long begins; resolves when its scrape, if any, is done. */
  async whileMeasuring(sliceMs: number): Promise<void> {
    const isDue = this.#sinceLastMs >= INTERVAL_MS
    this.#sinceLastMs = (isDue ? 0 : this.#sinceLastMs) + sliceMs
    const { name, metricsUrl } = this.#peer
    if (!isDue || metricsUrl === undefined) return
    const response = await fetch(metricsUrl, { headers: { connection: 'close' } })
    await response.arrayBuffer()
    if (!response.ok) throw new Error(`${name}'s metrics answer ${response.status}`)
  }
}
