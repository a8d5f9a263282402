import http from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a storage or a cache of the demo tells the demo. */
export type ChildReport =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  | { readonly type: 'counts'; readonly requests: number; readonly hits: number }

/** Requests answered, and of these the ones that needed nobody else, since the last report. */
export interface ChildCounts {
  requests: number
  hits: number
}

/** The child leaves with the demo, however that ends, and not at the terminal's Ctrl-C before it. */
export function leaveWithParent(): void {
  process.on('SIGINT', () => undefined)
  process.once('SIGTERM', () => process.exit(0))
  process.once('disconnect', () => process.exit(0))
}

/**
 * Serves on loopback and reports the port, then the counts five times a second. A taken port is reported
 * as failed, or, unless `isPortFixed`, another one is taken.
 */
export function serveOnLoopback(
  listener: http.RequestListener,
  port: number,
  isPortFixed: boolean,
  counts: ChildCounts,
): void {
  const server = http.createServer({ keepAliveTimeout: 120_000 }, listener)
  let isRetry = isPortFixed
  server.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE' && !isRetry) {
      isRetry = true
      server.listen(0, '127.0.0.1')
      return
    }
    report({ type: 'failed', code: error.code ?? '', message: error.message })
    process.disconnect()
  })
  server.on('listening', () => {
    report({ type: 'listening', port: (server.address() as AddressInfo).port })
  })
  server.listen(port, '127.0.0.1')
  setInterval(() => {
    report({ type: 'counts', ...counts })
    counts.requests = 0
    counts.hits = 0
  }, 200)
}

function report(message: ChildReport): void {
  // Whoever listened may be gone just now: 'disconnect' says so.
  if (process.connected) process.send?.(message, undefined, {}, () => undefined)
}
