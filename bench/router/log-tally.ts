import { closeSync, openSync, readSync, truncateSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Peer } from './peers/peer.ts'

/** Every proxy writes its buffered log at least once a second. */
const DEADLINE_MS = 4000
const NEWLINE = 10
const CHUNK = Buffer.allocUnsafeSlow(4 << 20)

/**
 * Waits until a proxy has logged `photos` photos since the last call, then empties its log (all
 * append, so that is safe). Throws where lines are missing: a proxy that doesn't log is no peer.
 */
export async function expectLogged({ name, logFile }: Peer, photos: number): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  const log = openSync(logFile, 'r')
  try {
    let lines = 0
    let position = 0
    for (;;) {
      const count = readSync(log, CHUNK, 0, CHUNK.length, position)
      position += count
      for (let at = CHUNK.indexOf(NEWLINE); at >= 0 && at < count; lines++) {
        at = CHUNK.indexOf(NEWLINE, at + 1)
      }
      if (count > 0) continue
      if (lines >= photos) break
      if (performance.now() > deadline) {
        throw new Error(`${name} logged ${lines} lines for ${photos} photos in ${logFile}`)
      }
      await sleep(100)
    }
  } finally {
    closeSync(log)
  }
  truncateSync(logFile)
}
