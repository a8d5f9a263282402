import { stat } from 'node:fs/promises'
import type { FileQueue } from '../../../common/runtime/file-queue.ts'
import { NoAnswer } from '../../../common/runtime/file-queue.ts'

/** Changes whenever a file is written, replaced or removed; two of one state are equal. */
export async function fingerprint(files: readonly string[], queue: FileQueue): Promise<string> {
  const parts: string[] = []
  for (const file of files) {
    try {
      const { dev, ino, size, mtimeMs, ctimeMs } = await queue.ask(file, (name) => stat(name))
      parts.push(`${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`)
    } catch (error) {
      if (error instanceof NoAnswer) throw error
      parts.push((error as NodeJS.ErrnoException).code ?? 'unreadable')
    }
  }
  return parts.join('\n')
}

/** A file's text; why it cannot be read becomes what `refused` makes of it, in words. */
export async function readSecret(
  file: string,
  queue: FileQueue,
  refused: (reason: string, cause: unknown) => Error,
): Promise<string> {
  try {
    return (await queue.read(file)).toString('latin1')
  } catch (cause) {
    if (cause instanceof NoAnswer) throw cause
    throw refused(reasonOf(cause), cause)
  }
}

/** Why a file can't be read, in words. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  switch (code) {
    case 'ENOENT':
      return 'there is no such file'
    case 'EACCES':
      return 'permission denied'
    case 'EISDIR':
      return 'it is a folder'
    case undefined:
    default:
      return message
  }
}
