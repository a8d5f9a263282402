/**
 * What the worker at `place` (from 1) of `workers` may have of a limit that is the whole router's:
 * together exactly it, the first ones one more where it does not divide evenly. But none is left
 * without any, so of less than `workers` each has one.
 */
export function workerShare(limit: number | undefined, workers: number, place: number): number {
  if (limit === undefined) return Infinity
  return Math.max(1, Math.floor(limit / workers) + (place <= limit % workers ? 1 : 0))
}
