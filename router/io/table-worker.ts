import { createHash } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
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
      /** The folder cannot be written, and why: `file` lies in this one, made for it. */
      readonly elsewhere?: { readonly folder: string; readonly reason: string }
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

type Written = Omit<Extract<TableAnswer, { type: 'written' }>, 'id'>

/** Private, and made when the folder cannot be written. */
let otherFolder: string | undefined

/** A table that is there already needs no room. One that cannot be kept still has to be used. */
function write(bytes: Uint8Array, kind: string): Written {
  const digest = digestOf(bytes)
  // Named by its content: a file that a worker is about to read never changes under it.
  const name = `${digest.slice(0, 32)}.${kind}`
  const file = join(folder, name)
  if (holds(file, digest)) return { type: 'written', file, digest }
  try {
    mkdirSync(folder, { recursive: true })
    writeWhole(file, bytes)
    return { type: 'written', file, digest }
  } catch (cause) {
    const { message: reason } = cause as Error
    otherFolder ??= mkdtempSync(join(tmpdir(), 'photoedge-tables-'))
    const other = join(otherFolder, name)
    writeWhole(other, bytes)
    return { type: 'written', file: other, digest, elsewhere: { folder: otherFolder, reason } }
  }
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function holds(file: string, digest: string): boolean {
  try {
    return digestOf(readFileSync(file)) === digest
  } catch {
    return false
  }
}

/** Whole under its name, or not there at all: written beside it, then renamed. */
function writeWhole(file: string, bytes: Uint8Array): void {
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
}
