/** One line of the tables: photos of one size over HTTP or HTTPS. */
export interface Cell {
  /** As `--cell` takes it: `http-64k`. */
  readonly name: string
  readonly isTls: boolean
  readonly sizeKb: number
}

export const SIZES_KB = [1, 16, 64, 128, 512] as const
const QUICK_CELLS = ['http-1k', 'http-64k', 'http-128k', 'https-1k', 'https-64k']

/** Every cell, HTTP first. */
export const ALL_CELLS: readonly Cell[] = [false, true].flatMap((isTls) =>
  SIZES_KB.map((sizeKb) => ({ name: `${isTls ? 'https' : 'http'}-${sizeKb}k`, isTls, sizeKb })),
)

export const QUICK: readonly Cell[] = ALL_CELLS.filter(({ name }) => QUICK_CELLS.includes(name))

export const cellTitle = ({ isTls, sizeKb }: Cell): string =>
  `${isTls ? 'HTTPS' : 'HTTP'} ${sizeKb} KB`

/** Our p99 at half of nginx's rate, as a share of nginx's. */
export const P99_BOUND = 1.2
/** Memory of an idle client connection, in KB of 1,024 bytes. */
export const IDLE_BOUND_KB = { http: 20, https: 80 } as const

/** What our CPU time per photo may be, as a share of a peer's; undefined: no promise. */
export function cpuBound(cell: Cell, peer: string): number | undefined {
  if (peer === 'reply-from') return 0.4
  if (peer !== 'nginx') return undefined
  if (cell.sizeKb >= 64) return 1.0
  return cell.isTls && cell.sizeKb === 1 ? 1.3 : 1.2
}
