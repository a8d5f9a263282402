/** One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
export interface MountEntry {
  /** The mount's own, until it is unmounted; then another one may get it. */
  readonly id: number
  readonly mountPoint: string
  readonly type: string
  readonly source: string
  /** The mount's own options and the file system's, each once. */
  readonly options: readonly string[]
}

/** All mounts, in the order mounted; lines that don't fit the format are left out. */
export function parseMountInfo(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? [])
}

/**
 * What is mounted at `path` itself (not somewhere above it): of several mounts on top of one
 * another the last. Whether it is the one that is seen there, its id tells.
 */
export function mountAt(entries: readonly MountEntry[], path: string): MountEntry | undefined {
  return entries.findLast((entry) => entry.mountPoint === path)
}

/** Writable, by the mount and by its file system: either may be read-only alone. */
export function isReadOnly(entry: MountEntry): boolean {
  return entry.options.includes('ro')
}

function parseLine(line: string): MountEntry | undefined {
  const fields = line.split(' ')
  const separator = fields.indexOf('-', 6)
  const [id, , , , mountPoint, mountOptions] = fields
  const [type, source, superOptions = ''] = fields.slice(separator + 1)
  if (separator < 0 || mountPoint === undefined || mountOptions === undefined) return undefined
  if (type === undefined || source === undefined) return undefined
  const options = [...new Set([...mountOptions.split(','), ...superOptions.split(',')])]
  return {
    id: Number(id),
    mountPoint: unescapeOctal(mountPoint),
    type: unescapeOctal(type),
    source: unescapeOctal(source),
    options: withoutContradiction(options.filter((option) => option !== '')),
  }
}

/** `rw` of one and `ro` of the other: the mount is read-only. */
function withoutContradiction(options: readonly string[]): readonly string[] {
  return options.includes('ro') ? options.filter((option) => option !== 'rw') : options
}

/** The kernel writes space, tab, newline and backslash as `\040`, `\011`, `\012`, `\134`. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}
