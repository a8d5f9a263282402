/** The middle value; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  if (sorted.length % 2 === 1) return upper
  return (upper + (sorted[middle - 1] ?? NaN)) / 2
}

/** The median of the ratios of pairs that were measured one after the other. */
export function medianRatio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((value, index) => value / (theirs[index] ?? NaN)))
}
