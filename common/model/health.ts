/** `unknown`: no check has finished yet; the server is not used. */
export type HealthState = 'unknown' | 'up' | 'down'

/** What the prober says of one server of one pool, all its checks taken together. */
export interface Verdict {
  readonly pool: string
  readonly server: string
  readonly state: HealthState
  /** Share of the server's weight that it can carry, 0 to 1; 0 whenever `state` is not `up`. */
  readonly factor: number
  /** Why, in words: `connect refused`, `no answer within 500 ms`, `status 200`. */
  readonly reason: string
  /** Wall clock of the last change of `state`. */
  readonly sinceMs: number
  /**
   * Monotonic counter of finished probes that reached the server's own photo port over HTTP;
   * a suspicion formed before a good one of these may be dropped (`clearsSuspicion`).
   */
  readonly clearsSuspicion: boolean
}

/** A change of verdict. */
export interface HealthChange {
  readonly before: HealthState
  readonly verdict: Verdict
}
