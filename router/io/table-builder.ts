import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import type { WeightedServer } from '../core/rendezvous.ts'
import type { ShardTableProblem } from '../core/shard-table.ts'
import type { TableAnswer, TableJob } from './table-worker.ts'

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
    const lines = problems.map(({ line, message }) => `${file}:${line}: ${message}`)
    super('RTR_SHARD_TABLE_INVALID', lines.join('\n'))
    this.problems = problems
  }
}

/** Builds tables in a thread of its own, so that no event loop is held by it. */
export interface TableBuilder {
  /** Since a table could not be written into the folder: where they lie, and why. */
  readonly elsewhere: { readonly folder: string; readonly reason: string } | undefined
  /** The slots' table for these servers; built once for equal servers. */
  buildSlots(servers: readonly WeightedServer[]): Promise<TableFile>
  /**
   * The searchable form of a shard table's file; read anew at each call. Rejects with
   * `ShardTableError` where the file has mistakes.
   */
  buildShards(file: string, servers: readonly string[]): Promise<TableFile>
  /** Removes all tables from the folder but these; leaves that for later while one is built. */
  prune(kept: readonly TableFile[]): Promise<void>
  /** Ends the thread; what is under way is rejected. */
  close(): Promise<void>
}

/** Tables, and drafts that a killed builder left. */
const TABLE_NAME = /^[0-9a-f]{32}\.(slots|shards)(\.\d+-\d+)?$/

interface Pending {
  readonly resolve: (file: TableFile) => void
  readonly reject: (error: ApplianceError) => void
  readonly subject: string
}

/**
 * A builder that writes into `folder`, which it makes when it needs it; where that cannot be
 * written, into a folder of its own among the temporary ones, which goes with it.
 */
export function createTableBuilder(folder: string): TableBuilder {
  let thread: Worker | undefined
  let lastId = 0
  let elsewhere: TableBuilder['elsewhere']
  const pending = new Map<number, Pending>()
  const built = new Map<string, Promise<TableFile>>()

  const fail = (reason: string): void => {
    thread = undefined
    for (const { reject, subject } of pending.values())
      reject(new ApplianceError('RTR_TABLE_FAILED', `Cannot build ${subject}: ${reason}`))
    pending.clear()
  }

  const start = (): Worker => {
    const worker = new Worker(new URL('./table-worker.ts', import.meta.url), {
      workerData: { folder },
      name: 'tables',
    })
    worker.on('message', (answer: TableAnswer) => {
      const job = pending.get(answer.id)
      pending.delete(answer.id)
      if (pending.size === 0) worker.unref()
      if (job === undefined) return
      switch (answer.type) {
        case 'written':
          elsewhere ??= answer.elsewhere
          job.resolve({ file: answer.file, digest: answer.digest })
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

  const run = (
    job: { [K in TableJob['type']]: Omit<Extract<TableJob, { type: K }>, 'id'> }[TableJob['type']],
    subject: string,
  ): Promise<TableFile> =>
    new Promise((resolve, reject) => {
      thread ??= start()
      thread.ref()
      const id = ++lastId
      pending.set(id, { resolve, reject, subject })
      thread.postMessage({ ...job, id } satisfies TableJob)
    })

  return {
    get elsewhere() {
      return elsewhere
    },
    buildSlots(servers) {
      const key = JSON.stringify(servers.map(({ name, weight }) => [name, weight]))
      const known = built.get(key)
      if (known !== undefined) return known
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
    async prune(kept) {
      const files = new Set(kept.map(({ file }) => file))
      for (const [key, table] of built) {
        const file = await table.then((t) => t.file).catch(() => '')
        if (!files.has(file)) built.delete(key)
      }
      const folders = elsewhere === undefined ? [folder] : [folder, elsewhere.folder]
      for (const each of folders) {
        for (const name of await readdir(each).catch(() => [])) {
          const isKept = !TABLE_NAME.test(name) || files.has(join(each, name))
          // What is being built is not in the list yet. One that cannot be removed does no harm.
          if (!isKept && pending.size === 0)
            await rm(join(each, name), { force: true }).catch(() => undefined)
        }
      }
    },
    async close() {
      const ended = thread
      fail('the router is stopping')
      await ended?.terminate()
      if (elsewhere !== undefined) await rm(elsewhere.folder, { recursive: true, force: true })
    },
  }
}
