// Cleans up after a demo that was killed and could not do it itself: when the demo is gone, ends
// what the demo told it of (process ids, one message each) and removes its folder (the argument).

import '../../common/runtime/first.ts'
import fs from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

const [, , folder = ''] = process.argv
const pids = new Set<number>()

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined)
process.on('message', (message: { readonly started?: number; readonly ended?: number }) => {
  if (message.started !== undefined) pids.add(message.started)
  if (message.ended !== undefined) pids.delete(message.ended)
})
process.once('disconnect', () => {
  void cleanUp()
})

/** What still writes is waited for, else it would write behind the removal. */
async function cleanUp(): Promise<void> {
  for (const pid of pids) signal(pid, 'SIGTERM')
  for (let waitedMs = 0; waitedMs < LONGEST_END_MS; waitedMs += LOOK_MS) {
    if (![...pids].some((pid) => signal(pid, 0))) break
    await delay(LOOK_MS)
  }
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  process.exit(0)
}

/** False: it is gone. */
function signal(pid: number, what: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, what)
  } catch {
    return false
  }
}

const LONGEST_END_MS = 10_000
const LOOK_MS = 50
