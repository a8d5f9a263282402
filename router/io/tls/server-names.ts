/** Finds what belongs to a server name: the name itself first, then its wildcard. */
export interface NameTable<T> {
  /** `name` in any case, its last dot or not. `*.example.com` takes one label only (RFC 6125 section 6.4.3). */
  find(name: string): T | undefined
}

/** Where several entries have one name, the first counts. */
export function createNameTable<T>(entries: readonly (readonly [string, T])[]): NameTable<T> {
  const table = new Map<string, T>()
  for (const [name, value] of entries) if (!table.has(name)) table.set(name, value)
  return {
    find: (written) => {
      const name = written.toLowerCase().replace(/\.$/, '')
      return table.get(name) ?? table.get(`*${name.slice(Math.max(0, name.indexOf('.')))}`)
    },
  }
}
