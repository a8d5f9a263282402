import {
  accessSync,
  constants,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ApplianceError } from './appliance-error.ts'

/** Where a service keeps what must outlive it. Files are replaced whole, or not at all. */
export interface StateFolder {
  readonly path: string
  file(name: string): string
  /** What was written last, or undefined where nothing readable is. */
  readJson(name: string): unknown
  writeJson(name: string, value: unknown): void
}

/** Makes the folder where it is missing; throws `STATE_FOLDER_UNUSABLE` unless it can be written. */
export function openStateFolder(path: string): StateFolder {
  const file = (name: string): string => join(path, name)
  try {
    mkdirSync(path, { recursive: true, mode: 0o750 })
    accessSync(path, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw unusable(path, cause)
  }
  return {
    path,
    file,
    readJson(name) {
      try {
        return JSON.parse(readFileSync(file(name), 'utf8')) as unknown
      } catch {
        return undefined
      }
    },
    writeJson(name, value) {
      const draft = file(`${name}.${process.pid}`)
      try {
        writeFileSync(draft, `${JSON.stringify(value, undefined, 2)}\n`, {
          mode: 0o640,
          flush: true,
        })
        renameSync(draft, file(name))
      } catch (cause) {
        rmSync(draft, { force: true })
        throw unusable(path, cause)
      }
    },
  }
}

function unusable(path: string, cause: unknown): ApplianceError {
  return new ApplianceError(
    'STATE_FOLDER_UNUSABLE',
    `Cannot write in the state folder ${path} (admin.state): ${(cause as Error).message}`,
    { cause },
  )
}
