import type { LoadReport } from './load/target.ts'
import type { CellResult, Entry } from './cell-result.ts'
import { inTurn } from './in-turn.ts'
import { setRealtime } from './realtime.ts'
import type { Witness } from './witness.ts'

export interface LatencyGround {
  readonly witnesses: readonly Witness[]
  readonly slices: number
  readonly sliceMs: number
  /** No slice begins after the time is up. */
  readonly isOver: () => boolean
  /** One slice of that proxy, at the cell's rate. */
  readonly run: (entry: Entry, round: number) => Promise<LoadReport>
}

/** p50 and p99 of the proxies that can serve the cell's rate, in turn. */
export async function measureLatencies(
  cell: CellResult,
  able: readonly Entry[],
  ground: LatencyGround,
): Promise<void> {
  const { witnesses, slices, isOver } = ground
  if (slices === 0) return
  try {
    cell.isRealtime = setRealtime(true) && witnesses.every((one) => one.rise())
    for (let round = 0; round < slices; round++) {
      if (round > 0 && isOver()) break
      for (const entry of inTurn(able, round)) {
        const report = await undisturbed(cell, ground, () => ground.run(entry, round))
        if (report === undefined) continue
        entry.result.p50Ms.push(report.p50Ms)
        entry.result.p99Ms.push(report.p99Ms)
      }
    }
  } finally {
    setRealtime(false)
  }
  if (cell.isRealtime && able.some(({ result }) => result.p99Ms.length < slices / 2)) forget(cell)
}

/** Measures again where a core stood still for too long, a few times; undefined: always. */
async function undisturbed(
  cell: CellResult,
  { witnesses, sliceMs }: LatencyGround,
  run: () => Promise<LoadReport>,
): Promise<LoadReport | undefined> {
  if (!cell.isRealtime) return run()
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const watching = Promise.all(witnesses.map((one) => one.watch(sliceMs)))
    const [report, stoodMs] = await Promise.all([run(), watching])
    if (Math.max(...stoodMs) <= sliceMs * DISTURBED_SHARE) return report
    cell.disturbedSlices++
  }
  return undefined
}

/** A few slices are no measure, for none of the proxies. */
function forget({ peers }: CellResult): void {
  for (const peer of peers) {
    peer.latencyNote ??= 'the cores stood still too often'
    peer.p50Ms.length = 0
    peer.p99Ms.length = 0
  }
}

/** At half load twice as many requests wait as come while a core stands still: 1 % is p99. */
const DISTURBED_SHARE = 0.003
const MOST_ATTEMPTS = 4
