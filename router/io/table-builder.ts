import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import type { StateFolder } from '../../common/runtime/state-folder.ts'
import type { WeightedServer } from '../core/rendezvous.ts'
import { shardProblemText } from '../core/shard-table.ts'
import type { ShardTableProblem } from '../core/shard-table.ts'
import type {
  TableAnswer,
  TableFolders,
  TableJob,
  TableKept,
  TableSource,
  TableWork,
} from './table-worker.ts'

/** A table on disk, as the primary tells the workers of it. */
export interface TableFile {
  readonly file: string
  /** SHA-256 of the file, in hex. */
  readonly digest: string
}

/** A shard table's file holds mistakes; `problems` has them all, with their lines. */
export class ShardTableError extends ApplianceError {
  readonly problems: readonly ShardTableProblem[]

  constructor(file: string, problems: readonly ShardTableProblem[]) {
    const lines = problems.map((problem) => shardProblemText(file, problem))
    super('RTR_SHARD_TABLE_INVALID', lines.join('\n'))
    this.problems = problems
  }
}

/** Builds tables in a thread of its own, so that no event loop is held by it. */
export interface TableBuilder {
  /** Since a table could not be written into the folder: where it lies, and why. */
  readonly elsewhere: { readonly folder: string; readonly reason: string } | undefined
  /** The slots' table for these servers; built once for equal servers, and restored after that. */
  buildSlots(servers: readonly WeightedServer[]): Promise<TableFile>
  /**
   * The searchable form of a shard table's file; read anew at each call. Rejects with
   * `ShardTableError` where the file has mistakes.
   */
  buildShards(file: string, servers: readonly string[]): Promise<TableFile>
  /**
   * The table's file as it is now: where it is gone or damaged, it is written anew, perhaps into
   * another folder. For tables of this builder that were not pruned.
   */
  restore(table: TableFile): Promise<TableFile>
  /** Removes all tables from the folder but these; leaves that for later while one is built. */
  prune(kept: readonly TableFile[]): Promise<void>
  /** Ends the thread; what is under way is rejected. */
  close(): Promise<void>
}

/** Tables, and drafts that a killed builder left. */
const TABLE_NAME = /^[0-9a-f]{32}\.(slots|shards)(\.\d+-\d+)?$/

/** A table as it was written last, and what it can be written from again. */
interface Written {
  readonly table: TableFile
  readonly source: TableSource
}

type WrittenAnswer = Extract<TableAnswer, { type: 'written' }>
type KeepAnswer = Extract<TableAnswer, { type: 'keep' }>

/** `Omit` for each member of the union. */
type Work = {
  [K in TableWork['type']]: Omit<Extract<TableWork, { type: K }>, 'isReachable'>
}[TableWork['type']]

/** Where tables are kept: a folder of a state folder. */
export interface TablePlace {
  readonly state: StateFolder
  readonly name: string
}

interface Pending {
  readonly resolve: (file: TableFile) => void
  readonly reject: (error: ApplianceError) => void
  readonly subject: string
}

/**
 * A builder that writes into a folder of the state folder; where that cannot be written, or does
 * not answer in time, into one of its own among the temporary ones, which goes with it. `onLost`
 * hears of each file that had to be written anew, with what was wrong with the one before.
 */
export function createTableBuilder(
  { state, name: folderName }: TablePlace,
  onLost: (before: TableFile, after: TableFile, reason: string) => void = () => undefined,
): TableBuilder {
  const folder = state.file(folderName)
  let thread: Worker | undefined
  let lastId = 0
  let elsewhere: TableBuilder['elsewhere']
  const pending = new Map<number, Pending>()
  const built = new Map<string, Promise<TableFile>>()
  /** By digest. */
  const written = new Map<string, Written>()

  const fail = (reason: string): void => {
    thread = undefined
    for (const { reject, subject } of pending.values())
      reject(new ApplianceError('RTR_TABLE_FAILED', `Cannot build ${subject}: ${reason}`))
    pending.clear()
  }

  const keep = ({ file, digest, source, lost, ...rest }: WrittenAnswer): TableFile => {
    elsewhere = rest.elsewhere ?? elsewhere
    const before = written.get(digest)?.table
    const table = before?.file === file ? before : { file, digest }
    written.set(digest, { table, source })
    if (before !== undefined && lost !== undefined) onLost(before, table, lost)
    return table
  }

  /** Why not. */
  const write = async ({ name, bytes }: KeepAnswer): Promise<string | undefined> => {
    try {
      // A copy: shared memory can't be sent to another process.
      await state.write(join(folderName, name), new Uint8Array(bytes))
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }

  const start = (): Worker => {
    const worker = new Worker(new URL('./table-worker.ts', import.meta.url), {
      workerData: { folder, otherFolder: elsewhere?.folder } satisfies TableFolders,
      name: 'tables',
    })
    worker.on('message', (answer: TableAnswer) => {
      if (answer.type === 'keep') {
        void write(answer).then((reason) => {
          worker.postMessage({ type: 'kept', reason } satisfies TableKept)
        })
        return
      }
      const job = pending.get(answer.id)
      pending.delete(answer.id)
      if (pending.size === 0) worker.unref()
      if (job === undefined) return
      switch (answer.type) {
        case 'written':
          job.resolve(keep(answer))
          return
        case 'refused':
          job.reject(new ShardTableError(job.subject, answer.problems))
          return
        case 'failed':
          job.reject(
            new ApplianceError('RTR_TABLE_FAILED', `Cannot build ${job.subject}: ${answer.reason}`),
          )
      }
    })
    worker.on('error', (error: Error) => {
      if (thread === worker) fail(error.message)
    })
    worker.on('exit', () => {
      if (thread === worker) fail('its thread ended')
    })
    return worker
  }

  const run = (work: Work, subject: string): Promise<TableFile> =>
    new Promise((resolve, reject) => {
      try {
        thread ??= start()
      } catch (cause) {
        const reason = `its thread cannot be started: ${(cause as Error).message}`
        throw new ApplianceError('RTR_TABLE_FAILED', `Cannot build ${subject}: ${reason}`, {
          cause,
        })
      }
      thread.ref()
      const id = ++lastId
      pending.set(id, { resolve, reject, subject })
      const { isAnswering: isReachable } = state
      thread.postMessage({ ...work, id, isReachable } satisfies TableJob)
    })

  const restore = async (table: TableFile): Promise<TableFile> => {
    const known = written.get(table.digest)
    if (known === undefined) return table
    const { table: last, source } = known
    return run({ type: 'restore', ...last, source }, `the table ${last.file} anew`)
  }

  const pruneFolder = async (
    path: string,
    names: readonly string[],
    remove: (name: string) => Promise<void>,
  ): Promise<void> => {
    for (const name of names) {
      const file = join(path, name)
      const isKept =
        !TABLE_NAME.test(name) || [...written.values()].some(({ table }) => table.file === file)
      if (!isKept && pending.size === 0) await remove(name)
    }
  }

  return {
    get elsewhere() {
      return elsewhere
    },
    buildSlots(servers) {
      const key = JSON.stringify(servers.map(({ name, weight }) => [name, weight]))
      const known = built.get(key)
      if (known !== undefined) return known.then(restore)
      const table = run(
        { type: 'slots', servers: servers.map(({ name, weight }) => ({ name, weight })) },
        `the slot table of ${servers.length} servers`,
      )
      built.set(key, table)
      table.catch(() => built.delete(key))
      return table
    },
    buildShards(file, servers) {
      return run({ type: 'shards', file, servers }, file)
    },
    restore,
    async prune(kept) {
      const digests = new Set(kept.map(({ digest }) => digest))
      for (const [key, table] of built) {
        const digest = await table.then((t) => t.digest).catch(() => '')
        if (!digests.has(digest)) built.delete(key)
      }
      // What is being built is not in the list yet.
      if (pending.size === 0)
        for (const digest of written.keys()) if (!digests.has(digest)) written.delete(digest)
      // Who waits for this is not to wait for a disk that hangs.
      const names = state.isAnswering ? await state.list(folderName) : []
      await pruneFolder(folder, names, (name) => state.remove(join(folderName, name)))
      if (elsewhere === undefined) return
      const { folder: other } = elsewhere
      await pruneFolder(other, await readdir(other).catch(() => []), (name) =>
        // One that cannot be removed does no harm.
        rm(join(other, name), { force: true }).catch(() => undefined),
      )
    },
    async close() {
      const ended = thread
      fail('the router is stopping')
      await ended?.terminate()
      if (elsewhere !== undefined) await rm(elsewhere.folder, { recursive: true, force: true })
    },
  }
}
