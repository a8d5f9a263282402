/** The ids that a shard table names. */
export interface NamedIds {
  /** Exact up to 2^53. */
  readonly count: number
  /** The id in this place of all, 0 to below `count`, in digits. */
  at(place: number): string
}

/** A shard table's ranges, short ones first; `ShardTable` says how they lie. */
export interface NamedRanges {
  readonly starts: Float64Array
  readonly ends: Float64Array
  readonly longOffsets: Uint32Array
  readonly digits: Uint8Array
}

/** However many ids they span, so many ranges' counts can be summed. */
const MOST_IDS = 1e290

/** How many ids each range has, the long ones behind the short ones. */
export function idCounts(ranges: NamedRanges): Float64Array {
  const { starts, ends } = ranges
  const shortCount = starts.length
  const longs = longRanges(ranges)
  const counts = new Float64Array(shortCount + longs.count)
  for (let i = 0; i < shortCount; i++) counts[i] = ends[i]! - starts[i]! + 1
  for (let i = 0; i < longs.count; i++)
    counts[shortCount + i] = Math.min(MOST_IDS, Number(longs.end(i) - longs.start(i) + 1n))
  return counts
}

/** Takes a walk over all ranges; then each id a search among them. */
export function namedIds(ranges: NamedRanges): NamedIds {
  const { starts } = ranges
  const longs = longRanges(ranges)
  const behind = idCounts(ranges)
  for (let i = 1; i < behind.length; i++) behind[i]! += behind[i - 1]!
  return {
    count: behind.at(-1) ?? 0,
    at(place) {
      const range = firstAbove(behind, place)
      const offset = Math.floor(place - (range === 0 ? 0 : behind[range - 1]!))
      if (range < starts.length) return String(starts[range]! + offset)
      const long = range - starts.length
      const id = longs.start(long) + BigInt(offset)
      const end = longs.end(long)
      return String(id < end ? id : end)
    },
  }
}

function firstAbove(sums: Float64Array, place: number): number {
  let low = 0
  let high = sums.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sums[middle]! > place) high = middle
    else low = middle + 1
  }
  return low
}

function longRanges({ longOffsets, digits }: NamedRanges) {
  const text = new TextDecoder().decode(digits)
  const id = (index: number): bigint =>
    BigInt(text.slice(longOffsets[index], longOffsets[index + 1]))
  return {
    count: (longOffsets.length - 1) / 2,
    start: (range: number) => id(2 * range),
    end: (range: number) => id(2 * range + 1),
  }
}
