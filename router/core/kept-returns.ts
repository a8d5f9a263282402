/**
 * How far a cache's return has come, as it is kept over a restart: `underWay` since `begunMs` (of
 * the wall clock); `owed` from `reachedMs` on, as the cache is drained; `brokenOff` at `reachedMs`.
 */
export type KeptReturn =
  | { readonly state: 'underWay'; readonly begunMs: number }
  | { readonly state: 'owed'; readonly reachedMs: number }
  | { readonly state: 'brokenOff'; readonly reachedMs: number }

/** By `pool/server`. */
export type KeptReturns = Readonly<Record<string, KeptReturn>>

/** What is to be written; `readKeptReturns` understands it. */
export function keptReturnsFile(returns: KeptReturns, wallMs: number): unknown {
  return { version: VERSION, savedAtMs: wallMs, returns }
}

/** What a file holds, as far as it is right; total. Nothing if it is too old, or of the future. */
export function readKeptReturns(value: unknown, wallMs: number): KeptReturns {
  if (!isRecord(value) || value['version'] !== VERSION) return {}
  const { savedAtMs, returns } = value
  if (!isTime(savedAtMs) || savedAtMs > wallMs || wallMs - savedAtMs > KEPT_FOR_MS) return {}
  if (!isRecord(returns)) return {}
  return Object.fromEntries(
    Object.entries(returns).flatMap(([key, entry]) => {
      const kept = readOne(entry)
      return kept === undefined ? [] : [[key, kept]]
    }),
  )
}

function readOne(entry: unknown): KeptReturn | undefined {
  if (!isRecord(entry)) return undefined
  const { state, begunMs, reachedMs } = entry
  if (state === 'underWay') return isTime(begunMs) ? { state, begunMs } : undefined
  if (state !== 'owed' && state !== 'brokenOff') return undefined
  return isTime(reachedMs) ? { state, reachedMs } : undefined
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isTime = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0

const VERSION = 1
/** It is written when a return begins or ends, which may be long before a restart. */
const KEPT_FOR_MS = 30 * 86_400_000
