import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ApplianceError } from './appliance-error.ts'

/** Where a service keeps what must outlive it. Files are replaced whole, or not at all. */
export interface StateFolder {
  readonly path: string
  file(name: string): string
  /** What was written last, even where that failed, or undefined where nothing readable is. */
  readJson(name: string): unknown
  /** Throws `STATE_FOLDER_UNUSABLE` where it cannot be written. */
  writeJson(name: string, value: unknown): void
}

/**
 * Makes the folder where it is missing. One that cannot be used is told by the first who writes: a
 * service must start on a box whose disk is full or read-only.
 */
export function openStateFolder(path: string): StateFolder {
  const file = (name: string): string => join(path, name)
  const make = (): unknown => mkdirSync(path, { recursive: true, mode: 0o750 })
  const unwritten = new Map<string, unknown>()
  try {
    make()
  } catch {
    // As said above.
  }
  return {
    path,
    file,
    readJson(name) {
      if (unwritten.has(name)) return unwritten.get(name)
      try {
        return JSON.parse(readFileSync(file(name), 'utf8')) as unknown
      } catch {
        return undefined
      }
    },
    writeJson(name, value) {
      const draft = file(`${name}.${process.pid}`)
      try {
        make()
        writeFileSync(draft, `${JSON.stringify(value, undefined, 2)}\n`, {
          mode: 0o640,
          flush: true,
        })
        renameSync(draft, file(name))
        unwritten.delete(name)
      } catch (cause) {
        unwritten.set(name, value)
        discard(draft)
        throw unusable(path, cause)
      }
    },
  }
}

/** On a read-only disk, or in what is no folder, even that fails. */
function discard(draft: string): void {
  try {
    rmSync(draft, { force: true })
  } catch {
    // Then there is none.
  }
}

function unusable(path: string, cause: unknown): ApplianceError {
  return new ApplianceError(
    'STATE_FOLDER_UNUSABLE',
    `Cannot write in the state folder ${path} (admin.state): ${(cause as Error).message}`,
    { cause },
  )
}
