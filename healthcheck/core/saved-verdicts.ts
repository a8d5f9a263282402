import type { Verdict } from '../../common/model/health.ts'

/** A verdict as it is kept over a restart, with the address that it was formed of. */
export interface SavedVerdict {
  readonly pool: string
  readonly server: string
  readonly address: string
  readonly port: number | undefined
  readonly state: 'up' | 'down'
  readonly factor: number
  readonly reason: string
  readonly sinceMs: number
  readonly outageCount: number
  readonly returned: Verdict['returned']
  readonly upCache: string | undefined
  readonly boot: string | undefined
  readonly cache: string | undefined
  /** When its checks last said so. */
  readonly confirmedMs: number
  /** Its checks fail, and it is kept: when that ends, or ended. */
  readonly keptUntilMs: number | undefined
}

/** A verdict and where its server is. */
export interface LocatedVerdict {
  readonly verdict: Verdict
  /** The `cache` that it told while it was last up. */
  readonly upCache: string | undefined
  readonly address: string
  readonly port: number | undefined
  readonly confirmedMs: number
  readonly keptUntilMs: number | undefined
}

/** Older ones say nothing any more: the servers are unknown again until they are checked. */
export const SAVED_FOR_MS = 120_000

/** Confirmed so lately that it may be taken over. */
export function isYoung({ confirmedMs }: SavedVerdict, wallMs: number): boolean {
  return confirmedMs <= wallMs && wallMs - confirmedMs <= SAVED_FOR_MS
}

/** The text to keep. Servers that are unknown are left out. */
export function encodeVerdicts(located: readonly LocatedVerdict[], wallMs: number): string {
  const verdicts = located.flatMap(({ verdict, ...where }) => {
    const { pool, server, state, factor, reason, sinceMs, outageCount, returned, boot, cache } =
      verdict
    if (state === 'unknown') return []
    const told = { state, factor, reason, sinceMs, outageCount, returned, boot, cache }
    return [{ pool, server, ...where, ...told }]
  })
  return `${JSON.stringify({ version: VERSION, savedAtMs: wallMs, verdicts })}\n`
}

/** What was kept and is young, by `pool/server`; nothing of a text that is damaged or not ours. */
export function decodeVerdicts(text: string, wallMs: number): Map<string, SavedVerdict> {
  const saved = new Map<string, SavedVerdict>()
  const file = parseObject(text)
  if (file?.['version'] !== VERSION || !Array.isArray(file['verdicts'])) return saved
  const { savedAtMs } = file
  if (typeof savedAtMs !== 'number' || savedAtMs > wallMs) return saved
  for (const entry of file['verdicts'] as unknown[]) {
    const verdict = decodeOne(entry, savedAtMs)
    if (verdict !== undefined && isYoung(verdict, wallMs))
      saved.set(`${verdict.pool}/${verdict.server}`, verdict)
  }
  return saved
}

function decodeOne(entry: unknown, savedAtMs: number): SavedVerdict | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined
  const told = entry as Record<string, unknown>
  const { pool, server, address, port, state, factor, reason, sinceMs } = told
  const { outageCount, returned, upCache, boot, cache, confirmedMs, keptUntilMs } = told
  if (typeof pool !== 'string' || typeof server !== 'string' || typeof address !== 'string')
    return undefined
  if (state !== 'up' && state !== 'down') return undefined
  if (typeof factor !== 'number' || factor < 0 || factor > 1) return undefined
  if (typeof reason !== 'string' || typeof sinceMs !== 'number') return undefined
  return {
    pool,
    server,
    address,
    port: typeof port === 'number' ? port : undefined,
    state,
    factor,
    reason,
    sinceMs,
    outageCount: typeof outageCount === 'number' ? outageCount : 0,
    returned: returned === 'same' || returned === 'cold' ? returned : 'no',
    upCache: typeof upCache === 'string' ? upCache : undefined,
    boot: typeof boot === 'string' ? boot : undefined,
    cache: typeof cache === 'string' ? cache : undefined,
    confirmedMs: typeof confirmedMs === 'number' ? confirmedMs : savedAtMs,
    keptUntilMs: typeof keptUntilMs === 'number' ? keptUntilMs : undefined,
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

const VERSION = 1
