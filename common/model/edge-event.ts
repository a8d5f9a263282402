/**
 * One automatic decision and its reason, as log, metrics and status all show it.
 */
export interface EdgeEvent {
  /** Wall clock, milliseconds since 1970. */
  readonly atMs: number
  /** The kind, in a few fixed words: `cache down`, `cache up`, `reload refused`, `worker died`. */
  readonly event: string
  /** What it happened to: `caches/cache-3`, `worker 2`, a file. */
  readonly subject: string
  readonly from: string | undefined
  readonly to: string | undefined
  /** A sentence for the operator. */
  readonly reason: string
}
