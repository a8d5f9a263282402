/**
 * Splits `total` into whole parts that add up to it, in proportion to `shares` (largest remainder,
 * of equal ones the first). No part is more than its `most`; where these leave too little room the
 * parts add up to less. Without any share nobody has anything.
 */
export function apportion(
  total: number,
  shares: ArrayLike<number>,
  most: ArrayLike<number> = [],
): number[] {
  const all = Array.from(shares)
  const sum = all.reduce((before, share) => before + share, 0)
  if (sum === 0) return all
  const exact = all.map((share) => (total * share) / sum)
  const parts = exact.map((part, i) => Math.min(Math.floor(part), most[i] ?? Infinity))
  const left = total - parts.reduce((before, part) => before + part, 0)
  const remainder = (i: number): number => exact[i]! - parts[i]!
  const inTurn = Array.from(parts.keys())
    .filter((i) => all[i]! > 0 && parts[i]! < (most[i] ?? Infinity))
    .sort((a, b) => remainder(b) - remainder(a))
  for (const i of inTurn.slice(0, left)) parts[i]!++
  return parts
}
