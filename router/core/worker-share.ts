/**
 * What one of `workers` may have of a limit that is the whole router's: together no more than it,
 * but none is left without any.
 */
export function workerShare(limit: number | undefined, workers: number): number {
  return Math.max(1, Math.floor((limit ?? Infinity) / workers))
}
