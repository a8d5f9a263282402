import { join } from 'node:path'
import { ApplianceError } from './appliance-error.ts'
import { createStateQueue } from './state-queue.ts'

/**
 * Where a service keeps what must outlive it. Files are replaced whole, or not at all, and nobody
 * waits for the disk for long: what it has not answered within a bound is refused with
 * `STATE_FOLDER_UNUSABLE`, as what failed is. A write that was late is still made when the disk
 * answers again, unless another one of the same file has been asked for since.
 */
export interface StateFolder {
  readonly path: string
  file(name: string): string
  /** The disk owes no answer that is late. */
  readonly isAnswering: boolean
  /** What was written last, or undefined where there is none. */
  read(name: string): Promise<string | undefined>
  /** As `read`; what is no JSON is refused: an operator must hear that it is lost. */
  readJson(name: string): Promise<unknown>
  /** Resolves when it, or what was asked for after it, is kept. */
  write(name: string, content: string | Uint8Array): Promise<void>
  writeJson(name: string, value: unknown): Promise<void>
  /** What a folder in it holds; nothing of one that is missing or can't be read. */
  list(name: string): Promise<readonly string[]>
  /** A file that can't be removed stays. */
  remove(name: string): Promise<void>
  /** Waits for what is under way, within the bound of a write. */
  close(): Promise<void>
}

/** How long who asks waits for the disk. */
export interface StateBounds {
  readonly readMs: number
  readonly writeMs: number
}

/** A slow disk may be read for so long at a start: what it holds would else be lost. */
const BOUNDS: StateBounds = { readMs: 3_000, writeMs: 1_000 }

/**
 * One that cannot be used is told by the first who writes: a service must start on a box whose disk
 * is full, read-only or hangs. The folder is made by the first write.
 */
export function openStateFolder(path: string, bounds = BOUNDS): StateFolder {
  const queue = createStateQueue(path)
  const file = (name: string): string => join(path, name)

  const read = async (name: string): Promise<string | undefined> => {
    const answer = await queue.ask({ type: 'read', file: file(name) }, bounds.readMs)
    if (answer.ok) return answer.text
    if (answer.code === 'ENOENT' || answer.code === 'ENOTDIR') return undefined
    throw unusable('read', path, answer)
  }
  const write = async (name: string, content: string | Uint8Array): Promise<void> => {
    const job = { type: 'write', file: file(name), content } as const
    const answer = await queue.ask(job, bounds.writeMs)
    if (!answer.ok) throw unusable('write', path, answer)
  }
  return {
    path,
    file,
    get isAnswering() {
      return queue.isAnswering
    },
    read,
    async readJson(name) {
      const text = await read(name)
      if (text === undefined) return undefined
      try {
        return JSON.parse(text) as unknown
      } catch {
        throw unusable('read', path, { reason: `${name} is damaged: it holds no JSON` })
      }
    },
    write,
    writeJson: (name, value) => write(name, `${JSON.stringify(value, undefined, 2)}\n`),
    async list(name) {
      const answer = await queue.ask({ type: 'list', path: file(name) }, bounds.writeMs)
      return (answer.ok ? answer.names : undefined) ?? []
    },
    async remove(name) {
      await queue.ask({ type: 'remove', file: file(name) }, bounds.writeMs)
    },
    close: () => queue.close(bounds.writeMs),
  }
}

function unusable(
  verb: string,
  path: string,
  { reason }: { readonly reason: string },
): ApplianceError {
  return new ApplianceError(
    'STATE_FOLDER_UNUSABLE',
    `Cannot ${verb} in the state folder ${path} (admin.state): ${reason}`,
  )
}
