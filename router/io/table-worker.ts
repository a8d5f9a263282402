import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
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
import { withFile } from '../../common/runtime/regular-file.ts'
import type { WeightedServer } from '../core/rendezvous.ts'
import { encodeShardTable, parseShardTable } from '../core/shard-table.ts'
import type { ShardTableProblem } from '../core/shard-table.ts'
import { buildSlotTable } from '../core/slot-table.ts'

/** The builder's thread: takes one job at a time, writes the table, answers with its digest. */
export type TableJob = { readonly id: number } & TableWork

/** `isReachable`: the folder's disk answers; else it is not touched. */
export type TableWork = { readonly isReachable: boolean } & (
  | { readonly type: 'slots'; readonly servers: readonly WeightedServer[] }
  | {
      readonly type: 'shards'
      readonly file: string
      readonly servers: readonly string[]
    }
  /** Looks whether the file still holds its table, and writes that anew where not. */
  | {
      readonly type: 'restore'
      readonly file: string
      readonly digest: string
      readonly source: TableSource
    }
)

/** What became of a `keep`: why it could not be; undefined: it is kept. */
export interface TableKept {
  readonly type: 'kept'
  readonly reason: string | undefined
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
  /** To be written into the folder, by who does not hang with its disk: `TableKept` comes back. */
  | {
      readonly id: number
      readonly type: 'keep'
      readonly name: string
      readonly bytes: Uint8Array
    }

export interface TableFolders {
  readonly folder: string
  /** Private, and made when the first one cannot be written. */
  readonly otherFolder: string | undefined
}

const { folder, ...others } = workerData as TableFolders
let { otherFolder } = others

let lastJob: Promise<void> = Promise.resolve()
let onKept: (message: TableKept) => void = () => undefined

parentPort?.on('message', (message: TableJob | TableKept) => {
  if (message.type === 'kept') onKept(message)
  else lastJob = lastJob.then(() => work(message))
})

async function work(job: TableJob): Promise<void> {
  parentPort?.postMessage(await answer(job))
}

async function answer(job: TableJob): Promise<TableAnswer> {
  const { id } = job
  try {
    switch (job.type) {
      case 'slots':
        return written(job, await write(job, { type: 'slots', servers: job.servers }))
      case 'shards': {
        const parsed = parseShardTable(readText(job.file), job.servers)
        if (!parsed.ok) return { id, type: 'refused', problems: parsed.problems }
        const bytes = sharedCopy(encodeShardTable(parsed.table))
        return written(job, await write(job, { type: 'shards', bytes }))
      }
      case 'restore':
        return written(job, await restore(job))
    }
  } catch (cause) {
    return { id, type: 'failed', reason: (cause as Error).message }
  }
}

const written = ({ id }: TableJob, table: Written): TableAnswer => ({
  id,
  type: 'written',
  ...table,
})

const readText = (file: string): string =>
  withFile(file, constants.O_RDONLY, (descriptor) => readFileSync(descriptor, 'utf8'))

function sharedCopy(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.byteLength))
  copy.set(bytes)
  return copy
}

type Written = Omit<Extract<TableAnswer, { type: 'written' }>, 'id' | 'type'>

async function restore(job: Extract<TableJob, { type: 'restore' }>): Promise<Written> {
  const { file, digest, source, isReachable } = job
  const canBeRead = isReachable || dirname(file) !== folder
  const lost = canBeRead ? faultOf(file, digest) : NO_ANSWER
  if (lost === undefined) return { file, digest, source }
  return { lost, ...(await write(job, source)) }
}

/** A table that is there already needs no room. One that cannot be kept still has to be used. */
async function write(job: TableJob, source: TableSource): Promise<Written> {
  const bytes =
    source.type === 'slots' ? new Uint8Array(buildSlotTable(source.servers).buffer) : source.bytes
  const digest = digestOf(bytes)
  // Named by its content: a file that a worker is about to read never changes under it.
  const name = `${digest.slice(0, 32)}.${source.type}`
  const file = join(folder, name)
  if (job.isReachable && faultOf(file, digest) === undefined) return { file, digest, source }
  const reason = job.isReachable ? await keep(job.id, name, bytes) : NO_ANSWER
  if (reason === undefined) return { file, digest, source }
  const other = writeElsewhere(name, bytes)
  return { file: other, digest, source, elsewhere: { folder: dirname(other), reason } }
}

function keep(id: number, name: string, bytes: Uint8Array): Promise<string | undefined> {
  return new Promise((resolve) => {
    onKept = ({ reason }) => {
      resolve(reason)
    }
    parentPort?.postMessage({ id, type: 'keep', name, bytes } satisfies TableAnswer)
  })
}

const NO_ANSWER = 'its disk does not answer'

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
