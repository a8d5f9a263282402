/**
 * How many requests may be asked a second time, so that a site in trouble is not asked twice for
 * everything. Over the last 10 s: retries ≤ the largest of 30, 20 % of the requests begun, and
 * twice the heaviest cache's share of them (one dead cache's users must all find their next rank).
 */
export class RetryBudget {
  readonly #requests = new Float64Array(WINDOW_S)
  readonly #retries = new Float64Array(WINDOW_S)
  #requestsInWindow = 0
  #retriesInWindow = 0
  #second = 0
  #share = RETRY_SHARE

  /** The heaviest cache's weight ÷ the sum of the pool's weights, 0 to 1. */
  setHeaviestShare(share: number): void {
    this.#share = Math.max(RETRY_SHARE, 2 * share)
  }

  /** Counts a request begun. */
  begin(nowMs: number): void {
    const place = this.#advance(nowMs)
    this.#requests[place] = (this.#requests[place] ?? 0) + 1
    this.#requestsInWindow++
  }

  /** Whether one more retry is within the budget; if so it is counted. */
  spend(nowMs: number): boolean {
    const place = this.#advance(nowMs)
    const allowed = Math.max(RETRIES_AT_LEAST, this.#share * this.#requestsInWindow)
    if (this.#retriesInWindow + 1 > allowed) return false
    this.#retries[place] = (this.#retries[place] ?? 0) + 1
    this.#retriesInWindow++
    return true
  }

  /** Forgets the seconds that left the window; returns the current second's place. */
  #advance(nowMs: number): number {
    const second = Math.trunc(nowMs / 1000)
    const passed = Math.min(second - this.#second, WINDOW_S)
    for (let i = 1; i <= passed; i++) {
      const place = (this.#second + i) % WINDOW_S
      this.#requestsInWindow -= this.#requests[place] ?? 0
      this.#retriesInWindow -= this.#retries[place] ?? 0
      this.#requests[place] = 0
      this.#retries[place] = 0
    }
    if (passed > 0) this.#second = second
    return this.#second % WINDOW_S
  }
}

const WINDOW_S = 10
const RETRIES_AT_LEAST = 30
const RETRY_SHARE = 0.2
