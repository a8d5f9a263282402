import { statSync } from 'node:fs'

/** Changes whenever a file is written, replaced or removed; two of one state are equal. */
export function fingerprint(files: readonly string[]): string {
  return files
    .map((file) => {
      try {
        const { dev, ino, size, mtimeMs, ctimeMs } = statSync(file)
        return `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`
      } catch (error) {
        return (error as NodeJS.ErrnoException).code ?? 'unreadable'
      }
    })
    .join('\n')
}

/** Why a file can't be read, in words. */
export function reasonOf(error: unknown): string {
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
