import { createHash } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { parentPort, threadId, workerData } from 'node:worker_threads'
import type { WeightedServer } from '../core/rendezvous.ts'
import { encodeShardTable, parseShardTable } from '../core/shard-table.ts'
import type { ShardTableProblem } from '../core/shard-table.ts'
import { buildSlotTable } from '../core/slot-table.ts'

/** The builder's thread: takes one job at a time, writes the table, answers with its digest. */
export type TableJob =
  | { readonly id: number; readonly type: 'slots'; readonly servers: readonly WeightedServer[] }
  | {
      readonly id: number
      readonly type: 'shards'
      readonly file: string
      readonly servers: readonly string[]
    }

export type TableAnswer =
  | {
      readonly id: number
      readonly type: 'written'
      readonly file: string
      readonly digest: string
    }
  | {
      readonly id: number
      readonly type: 'refused'
      readonly problems: readonly ShardTableProblem[]
    }
  | { readonly id: number; readonly type: 'failed'; readonly reason: string }

const { folder } = workerData as { readonly folder: string }

parentPort?.on('message', (job: TableJob) => {
  parentPort?.postMessage(answer(job))
})

function answer(job: TableJob): TableAnswer {
  const { id } = job
  try {
    if (job.type === 'slots') {
      const table = buildSlotTable(job.servers)
      return { id, ...write(new Uint8Array(table.buffer), 'slots') }
    }
    const parsed = parseShardTable(readFileSync(job.file, 'utf8'), job.servers)
    if (!parsed.ok) return { id, type: 'refused', problems: parsed.problems }
    return { id, ...write(encodeShardTable(parsed.table), 'shards') }
  } catch (cause) {
    return { id, type: 'failed', reason: (cause as Error).message }
  }
}

/** Whole under its name, or not there at all: written beside it, then renamed. */
function write(
  bytes: Uint8Array,
  kind: string,
): { readonly type: 'written'; readonly file: string; readonly digest: string } {
  const digest = createHash('sha256').update(bytes).digest('hex')
  mkdirSync(folder, { recursive: true })
  // Named by its content: a file that a worker is about to read never changes under it.
  const file = join(folder, `${digest.slice(0, 32)}.${kind}`)
  const draft = `${file}.${process.pid}-${threadId}`
  try {
    const descriptor = openSync(draft, 'w', 0o644)
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(draft, file)
  } catch (cause) {
    rmSync(draft, { force: true })
    throw cause
  }
  return { type: 'written', file, digest }
}
