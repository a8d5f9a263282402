/** A column of a table on a terminal. */
export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/**
 * Rows as lines, columns as wide as their widest cell and two spaces apart; the last column is cut to
 * fit `width` (with `…`), and not at all where the width is Infinity.
 */
export function textTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const all = [columns.map(({ title }) => title), ...rows]
  const widths = columns.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)))
  return all.map((row) =>
    cut(
      columns
        .map(({ align }, i) => {
          const cell = row[i] ?? ''
          return align === 'right' ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)
        })
        .join('  ')
        .trimEnd(),
      width,
    ),
  )
}

/** A line cut to fit, with `…` where something is missing. */
export function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`
}

/** A line folded between its words to fit, what follows indented; a word that is longer stays whole. */
export function fold(line: string, width: number): string[] {
  const lines: string[] = []
  for (const word of line.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined) lines.push(word)
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(`  ${word}`)
  }
  return lines
}

/** `42s`, `3m20s`, `2h5m`, `9d4h`. */
export function span(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000)
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit))
  if (days !== undefined && days > 0) return `${days}d${(hours ?? 0) % 24}h`
  if (hours !== undefined && hours > 0) return `${hours}h${(minutes ?? 0) % 60}m`
  if (minutes !== undefined && minutes > 0) return `${minutes}m${seconds % 60}s`
  return `${seconds}s`
}

/** A number for reading: `0`, `0.4`, `12`, `1234`. */
export function figure(value: number): string {
  if (value === 0) return '0'
  return value < 10 ? String(Number(value.toFixed(1))) : String(Math.round(value))
}
