import { idCounts, namedIds } from './named-ids.ts'
import { quoted } from './quoted.ts'
import type { ShardMap } from './shard-map.ts'

/**
 * The file of `shards: {table: FILE}`: one `from-to cache` or `id cache` a line, ids decimal and of
 * any length, ends included; `#` begins a comment, empty lines are skipped. Ranges must not overlap.
 *
 * Ids up to 15 digits are searched as numbers, longer ones as digits; a range that
 * crosses the border is cut in two. Each half is sorted by its starts.
 */
export interface ShardTable {
  readonly starts: Float64Array
  readonly ends: Float64Array
  readonly homes: Uint16Array
  /**
   * Where to search: an id lies in the bucket floor(id / guideStep), or the last one, and the starts in bucket b are
   * [guide[b], guide[b + 1]).
   */
  readonly guide: Uint32Array
  readonly guideStep: number
  /** Starts and ends of the long ranges lie in `digits`, in turn: [offsets[i], offsets[i + 1]). */
  readonly longOffsets: Uint32Array
  readonly longHomes: Uint16Array
  readonly digits: Uint8Array
}

/** What is wrong with a shard table's file. */
export interface ShardTableProblem {
  /** From 1; undefined: it is the whole file. */
  readonly line?: number
  readonly message: string
}

export type ParsedShardTable =
  | { readonly ok: true; readonly table: ShardTable }
  | { readonly ok: false; readonly problems: readonly ShardTableProblem[] }

/** Ids of so many significant digits are exact as numbers. */
const SHORT_DIGITS = 15
const FIRST_LONG = '1' + '0'.repeat(SHORT_DIGITS)
const LAST_SHORT = '9'.repeat(SHORT_DIGITS)
const LINE = /^(\d+)(?:-(\d+))?[ \t]+(\S+)$/
const MAX_PROBLEMS = 100
const MAX_BUCKETS = 262_144

type LineProblem = Required<ShardTableProblem>

interface Range {
  readonly from: string
  readonly to: string
  readonly home: number
  readonly line: number
}

/** Most likely an export that failed; who wants everybody hashed leaves `shards` out. */
const NAMES_NOBODY = 'it names no user'

/** Reads a shard table's text; `servers` are the pool's names as listed. All problems at once. */
export function parseShardTable(text: string, servers: readonly string[]): ParsedShardTable {
  const indices = new Map(servers.map((name, index) => [name, index]))
  const problems: LineProblem[] = []
  const ranges: Range[] = []
  let line = 0
  for (const written of text.split('\n')) {
    line++
    const content = written.replace(/#.*/, '').trim()
    if (content === '') continue
    const range = parseLine(content, line, indices)
    if ('message' in range) problems.push(range)
    else ranges.push(range)
  }
  if (ranges.length === 0 && problems.length === 0)
    return { ok: false, problems: [{ message: NAMES_NOBODY }] }
  ranges.sort((a, b) => compareIds(a.from, b.from))
  let widest: Range | undefined
  for (const range of ranges) {
    if (widest !== undefined && compareIds(range.from, widest.to) <= 0)
      problems.push({
        line: range.line,
        message: `${spanText(range)} overlaps ${spanText(widest)} of line ${widest.line}`,
      })
    if (widest === undefined || compareIds(range.to, widest.to) > 0) widest = range
  }
  if (problems.length === 0) return { ok: true, table: layOut(ranges) }
  problems.sort((a, b) => a.line - b.line)
  return { ok: false, problems: shorten(problems) }
}

/** Where and what, for one line of text. */
export const shardProblemText = (file: string, { line, message }: ShardTableProblem): string =>
  `${file}${line === undefined ? '' : `:${line}`}: ${message}`

function parseLine(
  content: string,
  line: number,
  indices: ReadonlyMap<string, number>,
): Range | LineProblem {
  const match = LINE.exec(content)
  if (match === null)
    return { line, message: `${quoted(content)} is neither "from-to cache" nor "id cache"` }
  const name = match[3]!
  const from = significant(match[1]!)
  const to = significant(match[2] ?? from)
  const home = indices.get(name)
  if (home === undefined) return { line, message: `the pool has no server ${quoted(name)}` }
  if (compareIds(from, to) > 0)
    return { line, message: `the range ${idText(from)}-${idText(to)} ends before it starts` }
  return { from, to, home, line }
}

const significant = (digits: string): string => digits.replace(/^0+(?=.)/, '')

/** Both without leading zeros. */
const compareIds = (a: string, b: string): number =>
  a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)

/** No id that anybody has is as long. */
const idText = (id: string): string => (id.length > 80 ? `${id.slice(0, 77)}...` : id)

const spanText = ({ from, to }: Range): string =>
  from === to ? idText(from) : `${idText(from)}-${idText(to)}`

function shorten(problems: readonly LineProblem[]): readonly ShardTableProblem[] {
  if (problems.length <= MAX_PROBLEMS) return problems
  const rest = problems.length - MAX_PROBLEMS
  const { line } = problems[MAX_PROBLEMS]!
  return [
    ...problems.slice(0, MAX_PROBLEMS),
    { line, message: `and ${rest} more problems from here on` },
  ]
}

function layOut(ranges: readonly Range[]): ShardTable {
  const short = ranges
    .filter(({ from }) => from.length <= SHORT_DIGITS)
    .map((range) => (range.to.length <= SHORT_DIGITS ? range : { ...range, to: LAST_SHORT }))
  const long = ranges
    .filter(({ to }) => to.length > SHORT_DIGITS)
    .map((range) => (range.from.length > SHORT_DIGITS ? range : { ...range, from: FIRST_LONG }))
  const offsets = [0]
  for (const { from, to } of long) {
    offsets.push(offsets.at(-1)! + from.length)
    offsets.push(offsets.at(-1)! + to.length)
  }
  const starts = Float64Array.from(short, ({ from }) => Number(from))
  return {
    starts,
    ...guideOf(starts),
    ends: Float64Array.from(short, ({ to }) => Number(to)),
    homes: Uint16Array.from(short, ({ home }) => home),
    longOffsets: Uint32Array.from(offsets),
    longHomes: Uint16Array.from(long, ({ home }) => home),
    digits: new TextEncoder().encode(long.map(({ from, to }) => from + to).join('')),
  }
}

/** Rounding may put the last start, and any id may lie, behind the last bucket. */
const bucketOf = (id: number, guideStep: number, bucketCount: number): number =>
  Math.min(Math.floor(id / guideStep), bucketCount - 1)

function guideOf(starts: Float64Array): Pick<ShardTable, 'guide' | 'guideStep'> {
  const bucketCount = Math.min(MAX_BUCKETS, 2 * starts.length + 1)
  const guideStep = ((starts.at(-1) ?? 0) + 1) / bucketCount
  const guide = new Uint32Array(bucketCount + 1)
  for (const start of starts) guide[bucketOf(start, guideStep, bucketCount) + 1]! += 1
  for (let bucket = 1; bucket <= bucketCount; bucket++) guide[bucket]! += guide[bucket - 1]!
  return { guide, guideStep }
}

const ZERO = 0x30

/** The shard map that a table describes; a user it does not name takes the hash. */
export function tableShardMap(table: ShardTable): ShardMap {
  return {
    homeOf(user, length) {
      let start = 0
      while (start < length - 1 && user[start] === ZERO) start++
      let id = 0
      for (let i = start; i < length; i++) {
        const digit = user[i]! - ZERO
        if (digit < 0 || digit > 9) return -1
        id = id * 10 + digit
      }
      if (length === 0) return -1
      return length - start <= SHORT_DIGITS
        ? shortHome(table, id)
        : longHome(table, user, start, length)
    },
    homeShares(serverCount) {
      const counts = new Float64Array(serverCount)
      let total = 0
      idCounts(table).forEach((ids, i) => {
        const home = table.homes[i] ?? table.longHomes[i - table.homes.length]!
        counts[home]! += ids
        total += ids
      })
      return total === 0 ? counts : counts.map((ids) => ids / total)
    },
    named: () => namedIds(table),
  }
}

function shortHome(table: ShardTable, id: number): number {
  const { starts, ends, homes, guide } = table
  const bucket = bucketOf(id, table.guideStep, guide.length - 1)
  let low = guide[bucket]!
  let high = guide[bucket + 1]!
  while (low < high) {
    const middle = (low + high) >>> 1
    if (starts[middle]! <= id) low = middle + 1
    else high = middle
  }
  return low > 0 && id <= ends[low - 1]! ? homes[low - 1]! : -1
}

function longHome(table: ShardTable, user: Uint8Array, start: number, end: number): number {
  let low = 0
  let high = table.longHomes.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareDigits(table, 2 * middle, user, start, end) <= 0) low = middle + 1
    else high = middle
  }
  if (low === 0 || compareDigits(table, 2 * low - 1, user, start, end) < 0) return -1
  return table.longHomes[low - 1]!
}

/** Compares the table's `index`-th long id with user[start, end). */
function compareDigits(
  { longOffsets, digits }: ShardTable,
  index: number,
  user: Uint8Array,
  start: number,
  end: number,
): number {
  const at = longOffsets[index]!
  const length = longOffsets[index + 1]! - at
  if (length !== end - start) return length - (end - start)
  for (let i = 0; i < length; i++) {
    const difference = digits[at + i]! - user[start + i]!
    if (difference !== 0) return difference
  }
  return 0
}

const HEADER_BYTES = 24

const aligned = (bytes: number): number => (bytes + 7) & ~7

type Counts = [shortCount: number, guideCount: number, longCount: number, digitCount: number]

interface Layout {
  readonly starts: number
  readonly ends: number
  readonly homes: number
  readonly guide: number
  readonly longOffsets: number
  readonly longHomes: number
  readonly digits: number
  readonly byteCount: number
}

function layoutOf(
  shortCount: number,
  guideCount: number,
  longCount: number,
  digitCount: number,
): Layout {
  const starts = HEADER_BYTES
  const ends = starts + 8 * shortCount
  const homes = ends + 8 * shortCount
  const guide = aligned(homes + 2 * shortCount)
  const longOffsets = guide + 4 * guideCount
  const longHomes = longOffsets + 4 * (2 * longCount + 1)
  const digits = longHomes + 2 * longCount
  return {
    starts,
    ends,
    homes,
    guide,
    longOffsets,
    longHomes,
    digits,
    byteCount: digits + digitCount,
  }
}

/** The table as bytes that `decodeShardTable` reads without copying them. */
export function encodeShardTable(table: ShardTable): Uint8Array {
  const counts = [
    table.homes.length,
    table.guide.length,
    table.longHomes.length,
    table.digits.length,
  ] as const
  const layout = layoutOf(...counts)
  const bytes = new Uint8Array(layout.byteCount)
  bytes.set(viewBytes(Uint32Array.from(counts)))
  bytes.set(viewBytes(Float64Array.of(table.guideStep)), 16)
  bytes.set(viewBytes(table.starts), layout.starts)
  bytes.set(viewBytes(table.ends), layout.ends)
  bytes.set(viewBytes(table.homes), layout.homes)
  bytes.set(viewBytes(table.guide), layout.guide)
  bytes.set(viewBytes(table.longOffsets), layout.longOffsets)
  bytes.set(viewBytes(table.longHomes), layout.longHomes)
  bytes.set(table.digits, layout.digits)
  return bytes
}

const viewBytes = (view: ArrayBufferView): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength)

/** The table in these bytes, as views of them; undefined if they are none. */
export function decodeShardTable(bytes: ArrayBuffer): ShardTable | undefined {
  if (bytes.byteLength < HEADER_BYTES) return undefined
  const counts = new Uint32Array(bytes, 0, 4)
  const [shortCount, guideCount, longCount, digitCount] = [...counts] as Counts
  const layout = layoutOf(shortCount, guideCount, longCount, digitCount)
  if (layout.byteCount !== bytes.byteLength) return undefined
  return {
    starts: new Float64Array(bytes, layout.starts, shortCount),
    ends: new Float64Array(bytes, layout.ends, shortCount),
    homes: new Uint16Array(bytes, layout.homes, shortCount),
    guide: new Uint32Array(bytes, layout.guide, guideCount),
    guideStep: new Float64Array(bytes, 16, 1)[0]!,
    longOffsets: new Uint32Array(bytes, layout.longOffsets, 2 * longCount + 1),
    longHomes: new Uint16Array(bytes, layout.longHomes, longCount),
    digits: new Uint8Array(bytes, layout.digits, digitCount),
  }
}
