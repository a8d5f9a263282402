import cluster from 'node:cluster'
import { flushCompileCache } from 'node:module'
import { Counters } from '../core/counters.ts'
import type { PrimaryMessage, WorkerMessage } from './messages.ts'
import { createPhotoServer } from './photo-server.ts'
import { loadShardTable, loadSlotTable } from './table-file.ts'
import { Worker } from './worker.ts'
import type { ListeningHandle } from './worker.ts'

const COMPILE_CACHE_FLUSH_MS = 1_000

/** A worker's process: its channel to the primary, its signals, its end. */
const send = (message: WorkerMessage): void => {
  // The channel may close at any time: the primary died, and 'disconnect' says so.
  if (process.connected) process.send?.(message, undefined, {}, () => undefined)
}

const worker = new Worker({
  counters: new Counters(),
  createPhotoServer,
  loadSlotTable,
  loadShardTable,
  send,
  onEnd: () => {
    process.exit()
  },
})

// Without this, node:cluster ends the process in the moment the primary dies.
if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true

process.on('message', (message: PrimaryMessage, handle: ListeningHandle | undefined) => {
  void worker.receive(message, handle)
})

process.on('disconnect', () => {
  // No successor may take these sockets while we hold them: they are closed at once.
  void worker.stop(worker.drainDeadlineMs, 0)
})

// The terminal's Ctrl-C reaches the whole group; what becomes of it is the primary's to say.
process.on('SIGINT', () => undefined)
for (const signal of ['SIGTERM', 'SIGQUIT'] as const)
  process.on(signal, () => {
    if (!process.connected) process.exit(1)
    send({ type: 'leaving', signal })
    void worker.stop(worker.drainDeadlineMs, 0)
  })

send({ type: 'hello' })

// A worker that is killed would leave nothing to its successor's start.
setTimeout(flushCompileCache, COMPILE_CACHE_FLUSH_MS).unref()
