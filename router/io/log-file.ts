import { close, constants, fstat, ftruncate, open, openSync, read, writev } from 'node:fs'
import { promisify } from 'node:util'

/**
 * A file that several processes append whole lines to: each write goes to its end (O_APPEND). It
 * never blocks the caller; a pipe that nobody reads is an error, not a wait.
 */
export interface LogFile {
  /** Appends some of the bytes, in order; how many (a disk that fills takes a part). */
  append(pieces: readonly Uint8Array[]): Promise<number>
  /**
   * Takes the bytes off the file's end if they stand there: what is left of a line that the disk
   * had no room for. False: something else stands there, or it is no ordinary file.
   */
  takeBack(bytes: Uint8Array, from: number, to: number): Promise<boolean>
  close(): Promise<void>
}

/** Opens the file for appending, makes it where it is missing; throws the system's error. */
export function openLogFile(path: string): LogFile {
  return logFile(openSync(path, FLAGS, MODE))
}

/** As `openLogFile`, without waiting for the disk. */
export async function reopenLogFile(path: string): Promise<LogFile> {
  return logFile(await openAsync(path, FLAGS, MODE))
}

function logFile(fd: number): LogFile {
  return {
    async append(pieces) {
      const { bytesWritten } = await writevAsync(fd, pieces)
      return bytesWritten
    },
    async takeBack(bytes, from, to) {
      const length = to - from
      const reader = await openAsync(`/proc/self/fd/${fd}`, constants.O_RDONLY)
      try {
        const { size } = await fstatAsync(fd)
        const tail = new Uint8Array(length)
        if (size < length) return false
        const { bytesRead } = await readAsync(reader, tail, 0, length, size - length)
        if (bytesRead < length || !tail.every((byte, i) => byte === bytes[from + i])) return false
        await ftruncateAsync(fd, size - length)
        return true
      } finally {
        await closeAsync(reader)
      }
    },
    close: () => closeAsync(fd),
  }
}

const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
const MODE = 0o640
const openAsync = promisify(open)
const readAsync = promisify(read)
const writevAsync = promisify(writev)
const fstatAsync = promisify(fstat)
const ftruncateAsync = promisify(ftruncate)
const closeAsync = promisify(close)
