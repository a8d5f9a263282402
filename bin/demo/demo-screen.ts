/** One cache's line. */
export interface CacheView {
  readonly name: string
  readonly port: number
  /** undefined: no such process now. */
  readonly pid: number | undefined
  /** The router's verdict with its reason; undefined while the router has not said. */
  readonly verdict: string | undefined
  readonly requestsPerSecond: number
  /** Of its requests in the last second, answered from its own disk; undefined: no request. */
  readonly hitPct: number | undefined
}

/** All that the table shows; rates are the last second's. */
export interface EdgeView {
  readonly caches: readonly CacheView[]
  readonly storageRequestsPerSecond: number
  readonly requestsPerSecond: number
  readonly worstMs: number
  readonly failedCount: number
  readonly lastFailure: string
}

const BAR_WIDTH = 30

/** The table for a terminal, line by line, at most `columns` wide. */
export function tableLines(view: EdgeView, columns: number): string[] {
  const most = Math.max(1, ...view.caches.map((cache) => cache.requestsPerSecond))
  const lines = [
    'cache      port   pid      requests/s  hits    verdict',
    ...view.caches.map((cache) => cacheLine(cache, most)),
    `storage: ${view.storageRequestsPerSecond} requests/s`,
    summary(view),
  ]
  return lines.map((line) => line.slice(0, columns))
}

/** The same in one line, for a log. */
export function logLine(view: EdgeView): string {
  const caches = view.caches.map(({ name, pid, verdict, requestsPerSecond }) => {
    if (pid === undefined) return `${name} gone`
    return verdict === 'up' ? `${name} ${requestsPerSecond}/s` : `${name} ${verdict ?? 'unknown'}`
  })
  return `${caches.join('  ')}  storage ${view.storageRequestsPerSecond}/s  ${summary(view)}`
}

function cacheLine(cache: CacheView, most: number): string {
  const { name, port, pid, requestsPerSecond, hitPct, verdict } = cache
  const bar = '█'.repeat(Math.round((requestsPerSecond / most) * BAR_WIDTH))
  return [
    name.padEnd(10),
    String(port).padEnd(6),
    (pid === undefined ? 'gone' : String(pid)).padEnd(8),
    String(requestsPerSecond).padStart(10),
    ` ${hitPct === undefined ? '   –' : `${Math.round(hitPct)}%`.padStart(4)}`,
    `   ${(verdict ?? '').padEnd(8)}`,
    bar,
  ].join(' ')
}

function summary(view: EdgeView): string {
  const failure = view.failedCount > 0 ? ` (last: ${view.lastFailure})` : ''
  const worst = `${Math.round(view.worstMs)} ms`
  return `public address: ${view.requestsPerSecond} requests/s, worst ${worst}, failed since start: ${view.failedCount}${failure}`
}

/**
 * Writes the demo's events, and below them the table: on a terminal redrawn in place, else as a
 * line each time.
 */
export class DemoScreen {
  readonly #out: NodeJS.WriteStream
  #drawnLines = 0

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** Text that stays, above the table. */
  print(text: string): void {
    this.#erase()
    this.#out.write(`${text}\n`)
  }

  draw(view: EdgeView): void {
    if (!this.#out.isTTY) {
      this.#out.write(`${logLine(view)}\n`)
      return
    }
    this.#erase()
    const lines = ['', ...tableLines(view, this.#out.columns)]
    this.#out.write(`${lines.join('\n')}\n`)
    this.#drawnLines = lines.length
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#out.write(`\x1b[${this.#drawnLines}A\x1b[0J`)
    this.#drawnLines = 0
  }
}
