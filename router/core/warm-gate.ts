/**
 * Which requests are repeated to one returning cache by one worker, so that it fills: at most every
 * fourth of those that are offered, at most 20 a second and 4 at a time, and none twice in a short
 * while. So however many workers and routers there are, a returning cache gets a part of the load
 * that it will have, and storage no more than that.
 */
export class WarmGate {
  /** Under way now. */
  activeCount = 0
  #credit = 0
  #nextAt = 0
  readonly #recent = new Uint32Array(RECENT)

  /** May this one be repeated now? `hash` tells photos apart. Then `done` is to follow. */
  admit(hash: number, nowMs: number): boolean {
    this.#credit = Math.min(1, this.#credit + SHARE)
    if (this.#credit < 1 || nowMs < this.#nextAt || this.activeCount >= MOST_ACTIVE) return false
    const place = hash % RECENT
    // 0 is an empty place: the one photo of that hash is repeated each time.
    if (hash !== 0 && this.#recent[place] === hash) return false
    this.#recent[place] = hash
    this.#credit = 0
    this.#nextAt = nowMs + LEAST_INTERVAL_MS
    this.activeCount++
    return true
  }

  /** One of them is over. */
  done(): void {
    this.activeCount--
  }
}

const SHARE = 1 / 4
const MOST_ACTIVE = 4
const LEAST_INTERVAL_MS = 50
const RECENT = 4096
