import { encodeVerdicts } from '../core/saved-verdicts.ts'
import type { LocatedVerdict } from '../core/saved-verdicts.ts'

/** Keeps verdicts over a restart; nobody waits for it. */
export interface VerdictStore {
  /** The last of several wins. A failure is told once, until a write succeeds again. */
  save(located: readonly LocatedVerdict[], wallMs: number): void
}

/** Rejects where it could not be written. */
export type WriteState = (name: string, text: string) => Promise<void>

/** `onFailure` gets a sentence. */
export function createVerdictStore(
  write: WriteState,
  onFailure: (reason: string) => void,
): VerdictStore {
  let isFailing = false
  return {
    save(located, wallMs) {
      write(VERDICTS_FILE, encodeVerdicts(located, wallMs)).then(
        () => {
          isFailing = false
        },
        (error: unknown) => {
          if (!isFailing) onFailure((error as Error).message)
          isFailing = true
        },
      )
    },
  }
}

/** In the state folder. */
export const VERDICTS_FILE = 'verdicts.json'
