/** Units as operators write them. Parsers give undefined for text that is no such unit. */

const DURATION_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const SIZE_BYTES = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 } as const

/** `100ms`, `1.5s`, `2m`, `1h`, `1d` in whole milliseconds. */
export function parseDuration(text: string): number | undefined {
  return parseUnit(text, /^([0-9]{1,15}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)$/, DURATION_MS)
}

/** The shortest exact text: the largest unit that divides it. */
export function formatDuration(ms: number): string {
  return formatUnit(ms, DURATION_MS, 's')
}

/** `512B`, `8KB`, `256MB`, `1GB`, `2TB` in bytes; KB is 1,024 bytes. */
export function parseSize(text: string): number | undefined {
  return parseUnit(text, /^([0-9]{1,15}(?:\.[0-9]{1,6})?)(B|KB|MB|GB|TB)$/, SIZE_BYTES)
}

/** The shortest exact text: the largest unit that divides it. */
export function formatSize(bytes: number): string {
  return formatUnit(bytes, SIZE_BYTES, 'B')
}

/** `0%` to `100%`, up to four decimals; the number of percent. */
export function parsePercent(text: string): number | undefined {
  const match = /^([0-9]{1,3}(?:\.[0-9]{1,4})?)%$/.exec(text)
  const pct = match ? Number(match[1]) : Number.NaN
  return pct <= 100 ? pct : undefined
}

/** The inverse of `parsePercent`. */
export function formatPercent(pct: number): string {
  return `${pct}%`
}

function parseUnit(
  text: string,
  form: RegExp,
  units: Readonly<Record<string, number>>,
): number | undefined {
  const match = form.exec(text)
  if (match === null) return undefined
  const value = Number(match[1]) * units[match[2]!]!
  const whole = Math.round(value)
  return Math.abs(value - whole) < 1e-6 && Number.isSafeInteger(whole) ? whole : undefined
}

function formatUnit(value: number, units: Readonly<Record<string, number>>, zero: string): string {
  if (value === 0) return `0${zero}`
  const fitting = Object.entries(units).filter(([, size]) => value % size === 0)
  const [unit, size] = fitting.at(-1)!
  return `${value / size}${unit}`
}
