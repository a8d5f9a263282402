import { cellTitle, cpuBound, IDLE_BOUND_KB, P99_BOUND } from './cells.ts'
import type { CellResult, PeerResult } from './cell-result.ts'
import type { IdleResult } from './measure-idle.ts'
import { median, medianRatio } from './median.ts'

/** A ratio with its bound: what was promised and whether it holds. */
export interface Verdict {
  readonly cell: string
  readonly what: string
  readonly ratio: number
  readonly bound: number | undefined
  readonly isKept: boolean
}

/** Ratios ours/peer of a cell, the CPU time's first; empty without ours. */
export function verdictsOf({ cell, peers }: CellResult, ours: string): Verdict[] {
  const mine = peers.find(({ peer }) => peer === ours)
  if (mine === undefined) return []
  const verdict = (what: string, ratio: number, bound: number | undefined): Verdict => ({
    ...{ cell: cell.name, what, ratio, bound },
    isKept: bound === undefined || ratio <= bound,
  })
  const verdicts: Verdict[] = []
  for (const other of peers) {
    if (other === mine) continue
    const cpu = medianRatio(mine.cpuUsPerPhoto, other.cpuUsPerPhoto)
    verdicts.push(verdict(`CPU/${other.peer}`, cpu, cpuBound(cell, other.peer)))
  }
  const nginx = peers.find(({ peer }) => peer === 'nginx')
  if (nginx !== undefined && nginx.p99Ms.length > 0) {
    const ratio = mine.p99Ms.length > 0 ? median(mine.p99Ms) / median(nginx.p99Ms) : Infinity
    verdicts.push(verdict('p99/nginx', ratio, P99_BOUND))
  }
  return verdicts
}

const number = (value: number, digits: number): string =>
  Number.isNaN(value)
    ? '-'
    : value.toLocaleString('en-US', {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      })

const rpad = (text: string, width: number): string => text.padEnd(width)
const lpad = (text: string, width: number): string => text.padStart(width)

/** One cell's table, 80 columns. */
export function cellTable(result: CellResult, ours: string): string {
  const { cell, peers, latencyRate, isRealtime, disturbedSlices } = result
  const again = disturbedSlices > 0 ? `, ${disturbedSlices} slices disturbed` : ''
  const how = isRealtime ? `SCHED_RR${again}` : 'disturbed by other threads'
  const rate =
    latencyRate === undefined ? '' : `; p50, p99 at ${number(latencyRate, 0)}/s, open loop, ${how}`
  const lines = [
    `${cellTitle(cell)}${rate}`,
    rpad('', 12) +
      ['CPU/photo', 'photos/s', 'core', 'p50', 'p99', 'photos', 'ours/it']
        .map((head, i) => lpad(head, [10, 9, 6, 9, 9, 10, 9][i] ?? 9))
        .join(''),
  ]
  const mine = peers.find(({ peer }) => peer === ours)
  for (const peer of peers) lines.push(cellLine(peer, mine))
  return `${lines.join('\n')}\n`
}

function cellLine(peer: PeerResult, mine: PeerResult | undefined): string {
  const ratio =
    mine === undefined || mine === peer
      ? ''
      : number(medianRatio(mine.cpuUsPerPhoto, peer.cpuUsPerPhoto), 2)
  return (
    rpad(peer.peer, 12) +
    lpad(`${number(median(peer.cpuUsPerPhoto), 1)} µs`, 10) +
    lpad(number(median(peer.photosPerSecond), 0), 9) +
    lpad(`${number(median(peer.busyShare) * 100, 0)} %`, 6) +
    lpad(milliseconds(peer.p50Ms), 9) +
    lpad(milliseconds(peer.p99Ms), 9) +
    lpad(number(peer.photos, 0), 10) +
    lpad(ratio, 9)
  )
}

const milliseconds = (values: readonly number[]): string =>
  values.length === 0 ? '-' : `${number(median(values), 2)} ms`

/** The ratios with their bounds, 80 columns. */
export function verdictTable(verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return ''
  const names = [...new Set(verdicts.map(({ what }) => what))]
  const width = Math.min(17, Math.floor(68 / names.length))
  const lines = [
    "Ours as a share of the peer's (median of the pairs), with its bound",
    rpad('', 12) + names.map((name) => lpad(name, width)).join(''),
  ]
  for (const cell of new Set(verdicts.map((verdict) => verdict.cell))) {
    const columns = names.map((name) => {
      const verdict = verdicts.find((one) => one.cell === cell && one.what === name)
      return lpad(verdict === undefined ? '-' : verdictText(verdict), width)
    })
    lines.push(rpad(cell, 12) + columns.join(''))
  }
  return `${lines.join('\n')}\n`
}

function verdictText({ ratio, bound, isKept }: Verdict): string {
  const text = number(ratio, 2)
  return bound === undefined ? text : `${text} ≤${number(bound, 1)} ${isKept ? 'ok' : 'NOT'}`
}

export const idleBoundKb = (isTls: boolean): number =>
  isTls ? IDLE_BOUND_KB.https : IDLE_BOUND_KB.http

/** Memory of idle client connections, 80 columns. */
export function idleTable(results: readonly IdleResult[], ours: string): string {
  if (results.length === 0) return ''
  const lines = [
    `Memory of an idle client connection (${number(results[0]?.connections ?? 0, 0)}, one photo each, 5 s idle)`,
  ]
  for (const { peer, isTls, bytesPerConnection, bytesSinceStart } of results) {
    const kb = bytesPerConnection / 1024
    const bound = idleBoundKb(isTls)
    const verdict = peer === ours ? `≤ ${bound} KB ${kb <= bound ? 'ok' : 'NOT'}` : ''
    lines.push(
      rpad(peer, 12) +
        rpad(isTls ? 'HTTPS' : 'HTTP', 6) +
        lpad(number(kb, 1), 8) +
        rpad(` KB ${verdict}`, 18) +
        `(${number(bytesSinceStart / 1024, 1)} KB since it started)`,
    )
  }
  return `${lines.join('\n')}\n`
}
