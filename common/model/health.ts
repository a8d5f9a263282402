/** A longer answer to a check fails, whatever it says: nobody waits for its end. */
export const LONGEST_BODY_BYTES = 16 * 1024 * 1024

/** So much of a body is kept for text, regex and JSON; the rest is only counted and digested. */
export const LOOKED_AT_BYTES = 256 * 1024

/** The file that the mount check writes and deletes; a leftover of a killed process is written over. */
export const PROBE_FILE = '.photoedge-check'

/** `unknown`: no check has finished yet; the server is not used. */
export type HealthState = 'unknown' | 'up' | 'down'

/** What the prober says of one server of one pool, all its checks taken together. */
export interface Verdict {
  readonly pool: string
  readonly server: string
  readonly state: HealthState
  /** Share of the server's weight that it can carry, 0 to 1; 0 whenever `state` is not `up`. */
  readonly factor: number
  /** Why, in words: `connect refused`, `no first byte within 500 ms`, `status 200`. */
  readonly reason: string
  /** Wall clock of the last change of `state`, milliseconds since 1970. */
  readonly sinceMs: number
  /**
   * An HTTP or photo check of the server's own photo port, begun after the last `checkNow` for it,
   * has just passed: a suspicion of that server may be dropped. True only in a `HealthChange`,
   * never in a list of verdicts.
   */
  readonly clearsSuspicion: boolean
  /**
   * Why `state` is not what the last checks alone would make it: `panic`, kept up while the prober
   * suspects itself; `flapping`, kept down though its checks pass again.
   */
  readonly held: 'no' | 'panic' | 'flapping'
  /** Times it went from up to down since the prober knows it. */
  readonly outageCount: number
  /**
   * How it last came from down to up (`sinceMs` is when): `same`, as its mount check told the same
   * `cache` as when it was last up, so that its content is still there; `cold`, as it told another
   * one or none; `no`: it never did, or what is in it was never in doubt.
   */
  readonly returned: 'no' | 'same' | 'cold'
  /** Identities that the server's mount check told last; an equal `cache` means "same cache as before". */
  readonly boot: string | undefined
  readonly cache: string | undefined
}

/**
 * A change of verdict: of its state, factor, hold or identity, or (`before` equal to the state) a
 * check that clears a suspicion.
 */
export interface HealthChange {
  readonly before: HealthState
  readonly verdict: Verdict
}

/** One finished check, as an operator is shown it. */
export interface CheckResult {
  /** Wall clock of its end, milliseconds since 1970. */
  readonly atMs: number
  /** The check's name. */
  readonly check: string
  /** `slow`: the right answer, later than allowed; `void`: the prober's own fault, not counted. */
  readonly result: 'passed' | 'slow' | 'failed' | 'void'
  readonly latencyMs: number
  readonly reason: string
}
