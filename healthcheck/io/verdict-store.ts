import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { decodeVerdicts, encodeVerdicts } from '../core/saved-verdicts.ts'
import type { LocatedVerdict, SavedVerdict } from '../core/saved-verdicts.ts'

/** Keeps verdicts in a file, whole at any time: an old one or the new one. */
export interface VerdictStore {
  /** What a former life left, by `pool/server`; nothing if it is missing, damaged or too old. */
  load(wallMs: number): Map<string, SavedVerdict>
  /** Writes in the background; one write at a time, the last wins. A failure is told once. */
  save(located: readonly LocatedVerdict[], wallMs: number): void
  /** The last words of a prober that stops. */
  saveNow(located: readonly LocatedVerdict[], wallMs: number): void
}

/** `onFailure` gets a sentence, once until a write succeeds again. */
export function createVerdictStore(
  file: string,
  onFailure: (reason: string) => void,
): VerdictStore {
  const draft = `${file}.new`
  let isWriting = false
  let waiting: string | undefined
  let isFailing = false

  function fail(error: unknown): void {
    if (!isFailing) onFailure(`cannot keep the verdicts in ${file}: ${(error as Error).message}`)
    isFailing = true
  }

  async function write(text: string): Promise<void> {
    isWriting = true
    try {
      makeFolder(dirname(file))
      await writeFile(draft, text, { mode: 0o640 })
      await rename(draft, file)
      isFailing = false
    } catch (error) {
      fail(error)
    }
    isWriting = false
    const next = waiting
    waiting = undefined
    if (next !== undefined) await write(next)
  }

  return {
    load(wallMs) {
      try {
        return decodeVerdicts(readFileSync(file, 'utf8'), wallMs)
      } catch {
        return new Map()
      }
    },
    save(located, wallMs) {
      const text = encodeVerdicts(located, wallMs)
      if (isWriting) waiting = text
      else void write(text)
    },
    saveNow(located, wallMs) {
      waiting = undefined
      try {
        const last = `${draft}.last`
        makeFolder(dirname(file))
        writeFileSync(last, encodeVerdicts(located, wallMs), { mode: 0o640 })
        renameSync(last, file)
      } catch (error) {
        fail(error)
      }
    },
  }
}

/** Not its parents: where they are gone, somebody has cleared the place away. */
function makeFolder(folder: string): void {
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o750 })
}
