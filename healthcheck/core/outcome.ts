/**
 * What one run of one check came to. `latencyMs` is from start to end; `lateMs` is how much of it
 * the prober itself was late by.
 */
export type Outcome = Passed | NotPassed

export interface Passed extends Measured, Told {
  readonly result: 'passed'
}

export interface NotPassed extends Measured, Told {
  /** `slow`: the right answer, later than allowed. */
  readonly result: 'slow' | 'failed'
  /**
   * Whose fault it can be. `server`: it answered, wrongly, or refused. `doubtful`: nothing came,
   * which may be the network's or the prober's fault too. `prober`: surely the prober's own.
   */
  readonly blame: 'server' | 'doubtful' | 'prober'
  /** The server itself said that it is down (`trustStatus`): `fall` is not waited for. */
  readonly isExplicit: boolean
}

interface Measured {
  /** Why, in words, no full stop. */
  readonly reason: string
  readonly latencyMs: number
  readonly lateMs: number
}

/** What an answer may say about the server beside passing. */
export interface Told {
  /** Share of its weight that the server can carry, 0 to 1. */
  readonly factor: number
  /** A weight in the configuration's own unit (a script's exit status); undefined: as configured. */
  readonly weight: number | undefined
  readonly boot: string | undefined
  readonly cache: string | undefined
}

/** A server that tells nothing beside its answer. */
export const NOTHING_TOLD: Told = {
  factor: 1,
  weight: undefined,
  boot: undefined,
  cache: undefined,
}
