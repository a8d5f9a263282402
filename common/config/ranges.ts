/** The one range of `router-[01-20]`, expanded by `expandRange`; a text without one is itself. */
export type Expansion =
  | { readonly ok: true; readonly texts: readonly string[] }
  | { readonly ok: false; readonly message: string }

/** More of them than this in one range is a slip of the pen. */
const MAX_RANGE = 10_000

/**
 * `a[8-10]b` → `a8b`, `a9b`, `a10b`. A first number with leading zeros keeps its width, and then
 * both numbers must have the same.
 */
export function expandRange(text: string): Expansion {
  const match = /^([^]*)\[([0-9]{1,9})-([0-9]{1,9})\]([^[\]]*)$/.exec(text)
  if (match === null) return { ok: true, texts: [text] }
  const [, before = '', first = '', last = '', after = ''] = match
  const isPadded = first.startsWith('0') && first.length > 1
  if (isPadded && first.length !== last.length) {
    return no(
      `the range [${first}-${last}] has numbers of ${first.length} and ${last.length} digits: write both alike`,
    )
  }
  const size = Number(last) - Number(first) + 1
  if (size < 1) return no(`the range [${first}-${last}] runs backwards: write [${last}-${first}]`)
  if (size > MAX_RANGE)
    return no(`the range [${first}-${last}] counts ${size}: ${MAX_RANGE} is the most`)
  const width = isPadded ? first.length : 0
  const texts = Array.from({ length: size }, (_, index) => {
    const number = String(Number(first) + index).padStart(width, '0')
    return `${before}${number}${after}`
  })
  return { ok: true, texts }
}

/** Whether the text holds a range. */
export function hasRange(text: string): boolean {
  return /\[[0-9]+-[0-9]+\]/.test(text)
}

/** The names that a pattern (`router-*`), a range or a name means, in the order of `names`. */
export function matchNames(pattern: string, names: readonly string[]): readonly string[] {
  if (!pattern.includes('*')) {
    const expansion = expandRange(pattern)
    if (!expansion.ok) return []
    const wanted = new Set(expansion.texts)
    return names.filter((name) => wanted.has(name))
  }
  const parts = pattern.split('*')
  return names.filter((name) => matchesParts(name, parts))
}

/** Greedy from both ends, then left to right: linear, whatever the stars. */
function matchesParts(name: string, parts: readonly string[]): boolean {
  const [head = '', tail = ''] = [parts[0], parts.at(-1)]
  if (!name.startsWith(head) || !name.endsWith(tail)) return false
  if (name.length < head.length + tail.length) return false
  const end = name.length - tail.length
  let at = head.length
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at)
    if (found < 0 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}

const no = (message: string): Expansion => ({ ok: false, message })
