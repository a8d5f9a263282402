/**
 * One cache as one worker's traffic sees it. Three failures in a row with no success between make
 * it suspect: its requests go to their next rank, unasked. A good verdict of a check that was asked
 * for afterwards and that spoke HTTP with the photo port itself clears it; where no such check
 * exists, one request at a time is let through as a trial, and a success clears. The verdicts of
 * the checks are never changed by this.
 */
export class Suspicion {
  #failures = 0
  #isSuspect = false
  #isTrialUnderWay = false

  get isSuspect(): boolean {
    return this.#isSuspect
  }

  /** An attempt failed. True when the cache became suspect by it: ask for a check now. */
  fail(isTrial: boolean): boolean {
    if (isTrial) this.#isTrialUnderWay = false
    if (this.#isSuspect) return false
    this.#failures++
    if (this.#failures < FAILURES_IN_A_ROW) return false
    this.#isSuspect = true
    this.#isTrialUnderWay = false
    return true
  }

  /**
   * The first byte of an answer came. True when that cleared the suspicion: only a trial's success
   * does, since an answer to a request sent before the trouble says nothing of now.
   */
  succeed(isTrial: boolean): boolean {
    if (isTrial) this.#isTrialUnderWay = false
    if (!this.#isSuspect) {
      this.#failures = 0
      return false
    }
    return isTrial ? this.clear() : false
  }

  /** A check's verdict cleared it. True when it was suspect. */
  clear(): boolean {
    const wasSuspect = this.#isSuspect
    this.#isSuspect = false
    this.#isTrialUnderWay = false
    this.#failures = 0
    return wasSuspect
  }

  /** Whether this request may go to the suspect cache as the one trial; if so it is taken. */
  takeTrial(): boolean {
    if (!this.#isSuspect || this.#isTrialUnderWay) return false
    this.#isTrialUnderWay = true
    return true
  }

  /** A trial ended without telling anything (its client went away). */
  dropTrial(): void {
    this.#isTrialUnderWay = false
  }
}

const FAILURES_IN_A_ROW = 3
