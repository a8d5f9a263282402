import { createHash } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
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
  /** Looks whether the file still holds its table, and writes that anew where not. */
  | {
      readonly id: number
      readonly type: 'restore'
      readonly file: string
      readonly digest: string
      readonly source: TableSource
    }

/** What a table that was written once can be written from again. */
export type TableSource =
  | { readonly type: 'slots'; readonly servers: readonly WeightedServer[] }
  /** Its very bytes, in shared memory: the file that it was read from may have changed since. */
  | { readonly type: 'shards'; readonly bytes: Uint8Array }

export type TableAnswer =
  | {
      readonly id: number
      readonly type: 'written'
      readonly file: string
      readonly digest: string
      readonly source: TableSource
      /** Restored: what was wrong with its file. */
      readonly lost?: string
      /** The folder cannot be written, and why: `file` lies in this one, made for it. */
      readonly elsewhere?: { readonly folder: string; readonly reason: string }
    }
  | {
      readonly id: number
      readonly type: 'refused'
      readonly problems: readonly ShardTableProblem[]
    }
  | { readonly id: number; readonly type: 'failed'; readonly reason: string }

export interface TableFolders {
  readonly folder: string
  /** Private, and made when the first one cannot be written. */
  readonly otherFolder: string | undefined
}

const { folder, ...others } = workerData as TableFolders
let { otherFolder } = others

parentPort?.on('message', (job: TableJob) => {
  parentPort?.postMessage(answer(job))
})

function answer(job: TableJob): TableAnswer {
  const { id } = job
  try {
    switch (job.type) {
      case 'slots':
        return { id, type: 'written', ...write({ type: 'slots', servers: job.servers }) }
      case 'shards': {
        const parsed = parseShardTable(readFileSync(job.file, 'utf8'), job.servers)
        if (!parsed.ok) return { id, type: 'refused', problems: parsed.problems }
        const bytes = sharedCopy(encodeShardTable(parsed.table))
        return { id, type: 'written', ...write({ type: 'shards', bytes }) }
      }
      case 'restore':
        return { id, type: 'written', ...restore(job) }
    }
  } catch (cause) {
    return { id, type: 'failed', reason: (cause as Error).message }
  }
}

function sharedCopy(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.byteLength))
  copy.set(bytes)
  return copy
}

type Written = Omit<Extract<TableAnswer, { type: 'written' }>, 'id' | 'type'>

function restore({ file, digest, source }: Extract<TableJob, { type: 'restore' }>): Written {
  const lost = faultOf(file, digest)
  if (lost === undefined) return { file, digest, source }
  return { lost, ...write(source) }
}

/** A table that is there already needs no room. One that cannot be kept still has to be used. */
function write(source: TableSource): Written {
  const bytes =
    source.type === 'slots' ? new Uint8Array(buildSlotTable(source.servers).buffer) : source.bytes
  const digest = digestOf(bytes)
  // Named by its content: a file that a worker is about to read never changes under it.
  const name = `${digest.slice(0, 32)}.${source.type}`
  const file = join(folder, name)
  if (faultOf(file, digest) === undefined) return { file, digest, source }
  try {
    mkdirSync(folder, { recursive: true })
    writeWhole(file, bytes)
    return { file, digest, source }
  } catch (cause) {
    const { message: reason } = cause as Error
    const other = writeElsewhere(name, bytes)
    return { file: other, digest, source, elsewhere: { folder: dirname(other), reason } }
  }
}

function writeElsewhere(name: string, bytes: Uint8Array): string {
  if (otherFolder === undefined || !isOurs(otherFolder))
    otherFolder = mkdtempSync(join(tmpdir(), 'photoedge-tables-'))
  const file = join(otherFolder, name)
  writeWhole(file, bytes)
  return file
}

/** Temporary folders are cleaned by age: then anybody may have made another of that name. */
const isOurs = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.uid === process.getuid?.()

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Why the file does not hold what it should; undefined: it does. */
function faultOf(file: string, digest: string): string | undefined {
  try {
    const found = digestOf(readFileSync(file))
    return found === digest ? undefined : `its digest is ${found} instead of ${digest}`
  } catch (cause) {
    return (cause as Error).message
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
