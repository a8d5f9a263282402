// Cleans up after a demo that was killed and could not do it itself: when the demo is gone, ends
// what the demo told it of (process ids, one message each) and removes its folder (the argument).

import '../../common/runtime/first.ts'
import fs from 'node:fs'

const [, , folder = ''] = process.argv
const pids = new Set<number>()

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined)
process.on('message', (message: { readonly started?: number; readonly ended?: number }) => {
  if (message.started !== undefined) pids.add(message.started)
  if (message.ended !== undefined) pids.delete(message.ended)
})
process.once('disconnect', () => {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGTERM')
    } catch {
      // It is gone already.
    }
  }
  fs.rmSync(folder, { recursive: true, force: true })
  process.exit(0)
})
