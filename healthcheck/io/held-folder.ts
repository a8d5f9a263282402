import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** What a path led to when it was opened: a mount or an unmount makes it no other one. */
export interface HeldFolder {
  /** Leads to it, whatever its own path leads to by now. */
  readonly path: string
  /** Of the mount that it lies in, as in /proc/self/mountinfo; nobody else's while it is held. */
  readonly mountId: number
}

/**
 * Holds the folder at `path`, or the nearest one above it that there is, for as long as `use`
 * takes: its mount is busy for so long.
 */
export function withNearestFolder<T>(path: string, use: (folder: HeldFolder) => T): T {
  const descriptor = openNearest(path)
  try {
    return use({ path: `/proc/self/fd/${descriptor}`, mountId: mountIdOf(descriptor) })
  } finally {
    closeSync(descriptor)
  }
}

function openNearest(path: string): number {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      return openSync(folder, O_PATH | constants.O_DIRECTORY)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || folder === '/') throw error
    }
  }
}

function mountIdOf(descriptor: number): number {
  const text = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1')
  const [, id] = /^mnt_id:\s*(\d+)$/m.exec(text) ?? []
  if (id === undefined) throw new Error('the kernel tells of no mount there')
  return Number(id)
}

/**
 * Asks nothing of the disk, nor for the right to list the folder. Node has no name for it; the
 * number is that of every architecture that Node runs on.
 */
const O_PATH = 0o10000000
