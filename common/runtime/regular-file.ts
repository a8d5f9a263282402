import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'

/**
 * Opens a file for as long as `use` takes. A pipe, a device or anything else in its place is an
 * error: it may have no other end, or no end at all.
 */
export function withFile<T>(file: string, flags: number, use: (descriptor: number) => T): T {
  const descriptor = openRegular(file, flags)
  try {
    return use(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function openRegular(file: string, flags: number): number {
  let descriptor: number | undefined
  try {
    // Not to wait for a pipe's other end; regular files are read and written as ever.
    descriptor = openSync(file, flags | constants.O_NONBLOCK, 0o600)
    if (fstatSync(descriptor).isFile()) return descriptor
  } catch (error) {
    // A disk that is gone says the same as a socket, or a pipe that nobody reads.
    const { code } = error as NodeJS.ErrnoException
    if ((code !== 'ENXIO' && code !== 'EISDIR') || statSync(file).isFile()) throw error
  }
  if (descriptor !== undefined) closeSync(descriptor)
  throw new Error(`${basename(file)} is not a regular file`)
}

/**
 * The whole of a regular file, read off the event loop. Anything else in its place is an error that
 * says so, as above.
 */
export async function readRegularFile(file: string): Promise<Buffer> {
  let handle: FileHandle
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENXIO' || (await stat(file)).isFile()) throw error
    throw new Error(NOT_REGULAR)
  }
  try {
    if (!(await handle.stat()).isFile()) throw new Error(NOT_REGULAR)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

const NOT_REGULAR = 'it is no regular file'
