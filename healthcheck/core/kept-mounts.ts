/** What is known of a mount while it is gone, over a restart of the mount check, too. */
export interface KeptMount {
  readonly path: string
  readonly sizeBytes: number | undefined
  readonly token: string | undefined
}

/** What is to be written. */
export function encodeKeptMounts(mounts: readonly KeptMount[]): unknown {
  return { version: VERSION, mounts }
}

/** What was written; nothing of what is damaged, of another version or not ours. */
export function decodeKeptMounts(value: unknown): KeptMount[] {
  if (!isObject(value) || value['version'] !== VERSION) return []
  const { mounts } = value
  return Array.isArray(mounts) ? mounts.flatMap((entry: unknown) => decodeOne(entry) ?? []) : []
}

/** Whether `now` says more than `kept` does; a size may vary by a hundredth (ZFS's does). */
export function isWorthKeeping(now: readonly Known[], kept: readonly KeptMount[]): boolean {
  if (now.length !== kept.length) return true
  return now.some(({ config, sizeBytes = 0, token }) => {
    const before = kept.find(({ path }) => path === config.path)
    if (before === undefined || before.token !== token) return true
    return Math.abs(sizeBytes - (before.sizeBytes ?? 0)) * 100 > sizeBytes
  })
}

interface Known {
  readonly config: { readonly path: string }
  readonly sizeBytes: number | undefined
  readonly token: string | undefined
}

/** A cache's identity as it is kept in a mount. */
export const isToken = (text: string): boolean => /^[0-9a-f]{16}$/.test(text)

function decodeOne(entry: unknown): KeptMount | undefined {
  if (!isObject(entry)) return undefined
  const { path, sizeBytes, token } = entry
  if (typeof path !== 'string') return undefined
  return {
    path,
    sizeBytes: isSize(sizeBytes) ? sizeBytes : undefined,
    token: typeof token === 'string' && isToken(token) ? token : undefined,
  }
}

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

const VERSION = 1
