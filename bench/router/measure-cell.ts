import type { Caches } from './caches.ts'
import type { CellResult, PeerResult } from './cell-result.ts'
import type { Cell } from './cells.ts'
import type { LoadClient } from './load/load-client.ts'
import type { LoadReport } from './load/target.ts'
import { expectLogged } from './log-tally.ts'
import { MetricsScraper } from './metrics-scraper.ts'
import { measureLatencies } from './measure-latency.ts'
import { inTurn } from './in-turn.ts'
import { median } from './median.ts'
import type { BenchOptions } from './options.ts'
import type { Peer } from './peers/peer.ts'
import type { PhotoSet } from './photos.ts'
import { cpuTimeNs, processTree } from './process-tree.ts'
import type { Witness } from './witness.ts'

export interface CellGround {
  readonly caches: Caches
  readonly load: LoadClient
  readonly peers: readonly Peer[]
  /** One a core. */
  readonly witnesses: readonly Witness[]
  readonly options: BenchOptions
  readonly progress: (text: string) => void
}

/** Asks the caches for their counts after each slice and compares them with the client's. */
export class PhotoTally {
  #total = 0
  readonly #caches: Caches

  constructor(caches: Caches) {
    this.#caches = caches
  }

  /** Throws where the caches gave more or fewer photos than the client got. */
  async add(who: string, photos: number): Promise<void> {
    this.#total += photos
    try {
      await this.#caches.expectTotal(this.#total)
    } catch (error) {
      throw new Error(`Counts differ after a slice of ${who}`, { cause: error })
    }
  }

  /** Takes what was fetched by others as given. */
  rebase(): void {
    this.#total = this.#caches.counts().reduce((sum, count) => sum + count, 0)
  }
}

export interface CellTime {
  readonly warmUpMs: number
  /** Where it is over, the pairs that are left are not measured; Infinity: all are. */
  readonly budgetMs: number
}

/** Fewer have no median worth the name. */
const LEAST_PAIRS = 3

interface Measured {
  readonly report: LoadReport
  readonly cpuNs: number
}

/** One cell: warm-up, saturated slices in turn, then slices at half of nginx's rate in turn. */
export async function measureCell(
  cell: Cell,
  set: PhotoSet,
  tally: PhotoTally,
  { load, peers, witnesses, options, progress }: CellGround,
  { warmUpMs, budgetMs }: CellTime,
): Promise<CellResult> {
  const results = peers.map(({ name }) => emptyResult(name))
  const entries = peers.map((peer, index) => ({ peer, result: results[index] ?? emptyResult('') }))
  const cellResult: CellResult = {
    cell,
    peers: results,
    latencyRate: undefined,
    isRealtime: false,
    disturbedSlices: 0,
  }

  const slice = async (
    peer: Peer,
    durationMs: number,
    run: () => Promise<LoadReport>,
  ): Promise<Measured> => {
    const tree = processTree(peer.child.pid ?? -1)
    const before = cpuTimeNs(tree)
    const scrape = scrapers.get(peer)?.whileMeasuring(durationMs)
    const report = await run()
    const cpuNs = cpuTimeNs(tree) - before
    await scrape
    const now = processTree(peer.child.pid ?? -1)
    if (tree.length === 0 || now.join() !== tree.join()) {
      throw new Error(
        `${peer.name}'s processes changed while it served: ${tree.join()} → ${now.join()}`,
      )
    }
    await tally.add(peer.name, report.photos)
    return { report, cpuNs }
  }

  const scrapers = new Map(peers.map((peer) => [peer, new MetricsScraper(peer)]))
  const startedAt = performance.now()
  const isOver = (share: number): boolean => performance.now() - startedAt > share * budgetMs

  for (const { peer, result } of entries) {
    progress(`${cell.name}: ${peer.name} warms up`)
    const port = cell.isTls ? peer.httpsPort : peer.httpPort
    await load.open(peer.name, { port, isTls: cell.isTls }, set, options.connections)
    const { report } = await slice(peer, warmUpMs, () => load.runClosed(peer.name, warmUpMs))
    result.photos += report.photos
  }
  for (let pair = 0; pair < options.pairs; pair++) {
    if (pair >= LEAST_PAIRS && isOver(0.6)) break
    for (const { peer, result } of inTurn(entries, pair)) {
      progress(`${cell.name}: ${peer.name} saturated, ${pair + 1} of ${options.pairs}`)
      const { sliceMs } = options
      const { report, cpuNs } = await slice(peer, sliceMs, () => load.runClosed(peer.name, sliceMs))
      result.photos += report.photos
      result.cpuUsPerPhoto.push(cpuNs / 1000 / report.photos)
      result.photosPerSecond.push((report.photos / report.wallMs) * 1000)
      result.busyShare.push(cpuNs / 1e6 / report.wallMs)
      result.saturatedP50Ms.push(report.p50Ms)
    }
  }

  const baseline = results.find(({ peer }) => peer === 'nginx') ?? results[0]
  const rate = median(baseline?.photosPerSecond ?? []) / 2
  if (options.latencySlices > 0) cellResult.latencyRate = rate
  const able = entries.filter(({ result }) => {
    // By its CPU time, not by the rate it reached: a neighbour on the core would lower that one.
    if (1e6 / median(result.cpuUsPerPhoto) >= 1.2 * rate) return true
    result.latencyNote = 'cannot serve this rate'
    return false
  })
  await measureLatencies(cellResult, able, {
    witnesses,
    slices: options.latencySlices,
    sliceMs: options.latencySliceMs,
    isOver: () => isOver(0.9),
    run: async ({ peer, result }, round) => {
      progress(`${cell.name}: ${peer.name} p99, ${round + 1} of ${options.latencySlices}`)
      const { report } = await slice(peer, options.latencySliceMs, () =>
        load.runOpen(peer.name, options.latencySliceMs, rate),
      )
      result.photos += report.photos
      return report
    },
  })
  progress(`${cell.name}: counts the lines of the access logs`)
  for (const { peer, result } of entries) {
    await load.close(peer.name)
    await expectLogged(peer, result.photos)
  }
  return cellResult
}

function emptyResult(peer: string): PeerResult {
  return {
    peer,
    cpuUsPerPhoto: [],
    photosPerSecond: [],
    busyShare: [],
    saturatedP50Ms: [],
    p50Ms: [],
    p99Ms: [],
    photos: 0,
  }
}
