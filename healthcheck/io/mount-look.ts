import { createHash, randomBytes } from 'node:crypto'
import {
  constants,
  fchmodSync,
  fsyncSync,
  readFileSync,
  readSync,
  realpathSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import type { MountConfig } from '../../common/config/config.ts'
import { PROBE_FILE } from '../../common/model/health.ts'
import { isToken } from '../core/kept-mounts.ts'
import { isReadOnly, mountAt, parseMountInfo } from '../core/mount-info.ts'
import type { MountEntry } from '../core/mount-info.ts'
import { failedReport } from '../core/mount-report.ts'
import type { MountFailure, MountReport, MountSpace } from '../core/mount-report.ts'
import { withFile } from '../../common/runtime/regular-file.ts'

/**
 * One real look at a mount. Blocks for as long as the disk does, perhaps for ever: only to be
 * called in a process made for it.
 */
export function lookAtMount(config: MountConfig): MountReport {
  let found: Found
  try {
    found = find(config)
  } catch (error) {
    return failedReport(failureOf('look', error))
  }
  const { entry } = found
  let report: MountReport = { ...failedReport(NONE), ...found, failure: undefined }
  // What lies under a missing mount is another file system: nothing is written there.
  if (entry === undefined) return report
  report = { ...report, errorCount: errorCountOf(entry) }
  try {
    report = { ...report, space: spaceOf(config.path) }
  } catch (error) {
    return { ...report, failure: failureOf('look', error) }
  }
  if (isReadOnly(entry)) return report
  const tried = tryDisk(config.path)
  if (typeof tried === 'object') return { ...report, failure: tried }
  report = { ...report, latencyMs: tried }
  try {
    report = { ...report, token: keepToken(config.path) }
  } catch (error) {
    return { ...report, failure: failureOf('identity', error) }
  }
  if (config.canary === undefined) return report
  try {
    return { ...report, canarySha256: digestOf(join(config.path, config.canary.file)) }
  } catch (error) {
    return { ...report, failure: failureOf('canary', error) }
  }
}

/** Holds the cache's identity. No dot in front: whoever empties the cache takes it along. */
export const TOKEN_FILE = 'photoedge-cache-id'

type Found = Pick<MountReport, 'entry' | 'linkTarget' | 'elsewhere' | 'isSource'>

function find(config: MountConfig): Found {
  const entries = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
  const entry = mountAt(entries, config.path)
  const linkTarget = entry === undefined ? linkTargetOf(config.path) : undefined
  const { source } = config
  if (source === undefined) return { entry, linkTarget, elsewhere: undefined, isSource: true }
  const device = deviceOf(source)
  const isIt = (other: MountEntry): boolean =>
    other.source === source || deviceOf(other.source) === device
  if (entry !== undefined) return { entry, linkTarget, elsewhere: undefined, isSource: isIt(entry) }
  return { entry, linkTarget, elsewhere: entries.find(isIt)?.mountPoint, isSource: true }
}

/** The kernel lists a mount by the path without any link. */
function linkTargetOf(path: string): string | undefined {
  try {
    const target = realpathSync(path)
    return target === path ? undefined : target
  } catch {
    return undefined
  }
}

/** `/dev/disk/by-uuid/…` and `/dev/sdb1` are one device. */
function deviceOf(source: string): string {
  if (!source.startsWith('/dev/')) return source
  try {
    return realpathSync(source)
  } catch {
    return source
  }
}

function spaceOf(path: string): MountSpace {
  const { bsize, blocks, bavail, files, ffree } = statfsSync(path)
  return {
    sizeBytes: blocks * bsize,
    freeBytes: bavail * bsize,
    inodes: files,
    freeInodes: ffree,
  }
}

/** Writes, syncs, reads back and deletes; the time it took, or what failed. */
function tryDisk(path: string): number | MountFailure {
  const tried = tryFile(join(path, PROBE_FILE))
  if (typeof tried === 'number' || !mayBeOthersDoing(tried)) return tried
  const file = join(path, `${PROBE_FILE}-${randomBytes(8).toString('hex')}`)
  const triedAlone = tryFile(file)
  if (typeof triedAlone === 'object') removeRest(file)
  return triedAlone
}

/**
 * Whoever looks at the same file system writes the same file (another mount check, or this one at
 * another path), and what a killed one of another user left can't be written over.
 */
function mayBeOthersDoing({ step, code, message }: MountFailure): boolean {
  if (step === 'write') return code === 'EACCES'
  return code === 'ENOENT' || message === OTHER_BYTES
}

function removeRest(file: string): void {
  try {
    unlinkSync(file)
  } catch {
    // It was never there, or the disk says no more than it has said already.
  }
}

function tryFile(file: string): number | MountFailure {
  const written = randomBytes(PROBE_BYTES)
  const startedAt = performance.now()
  let step: MountFailure['step'] = 'write'
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
    withFile(file, flags, (descriptor) => {
      if (writeSync(descriptor, written) !== PROBE_BYTES) throw new Error('short write')
      step = 'sync'
      fsyncSync(descriptor)
    })
    step = 'read'
    withFile(file, constants.O_RDONLY | constants.O_NOFOLLOW, (descriptor) => {
      const read = Buffer.alloc(PROBE_BYTES)
      const length = readSync(descriptor, read)
      if (length !== PROBE_BYTES || !read.equals(written)) throw new Error(OTHER_BYTES)
    })
    step = 'delete'
    unlinkSync(file)
    return performance.now() - startedAt
  } catch (error) {
    return failureOf(step, error)
  }
}

/** The identity kept in the mount; a mount without one gets a new one. */
function keepToken(path: string): string {
  const file = join(path, TOKEN_FILE)
  const known = readToken(file)
  if (known !== undefined) return known
  const token = randomBytes(8).toString('hex')
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
  withFile(file, flags, (descriptor) => {
    allowAllToRead(descriptor)
    writeSync(descriptor, `${token}\n`)
    fsyncSync(descriptor)
  })
  return token
}

/** A mount check that was once run as another user has made it, and the service goes by it. */
function allowAllToRead(descriptor: number): void {
  try {
    fchmodSync(descriptor, 0o644)
  } catch {
    // A file system without modes.
  }
}

function readToken(file: string): string | undefined {
  try {
    const start = Buffer.alloc(64)
    const length = withFile(file, constants.O_RDONLY, (descriptor) => readSync(descriptor, start))
    const text = start.toString('latin1', 0, length).trim()
    return isToken(text) ? text : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function digestOf(file: string): string {
  const hash = createHash('sha256')
  const block = Buffer.alloc(1 << 20)
  withFile(file, constants.O_RDONLY, (descriptor) => {
    for (;;) {
      const length = readSync(descriptor, block)
      if (length === 0) return
      hash.update(block.subarray(0, length))
    }
  })
  return hash.digest('hex')
}

/** ext4 counts the errors that it meets; others don't tell. */
function errorCountOf({ source, type }: MountEntry): number {
  if (!type.startsWith('ext')) return 0
  try {
    const file = `/sys/fs/ext4/${basename(deviceOf(source))}/errors_count`
    return Number(readFileSync(file, 'latin1')) || 0
  } catch {
    return 0
  }
}

function failureOf(step: MountFailure['step'], error: unknown): MountFailure {
  const { code, message } = error as NodeJS.ErrnoException
  return code === undefined ? { step, code: '', message } : { step, code, message: '' }
}

const PROBE_BYTES = 4096
const OTHER_BYTES = 'other bytes than written'
const NONE: MountFailure = { step: 'look', code: '', message: '' }
