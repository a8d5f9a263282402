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
import { withNearestFolder } from './held-folder.ts'
import type { HeldFolder } from './held-folder.ts'

/**
 * One real look at a mount. Blocks for as long as the disk does, perhaps for ever: only to be
 * called in a process made for it.
 */
export function lookAtMount(config: MountConfig): MountReport {
  for (let triesLeft = TRIES; ; triesLeft -= 1) {
    const report = lookOnce(config)
    if (triesLeft === 1 || !mayBeChange(report)) return report
  }
}

/** A mount or an unmount amid a look is like a mount that is hidden; the next look tells. */
const mayBeChange = ({ hiddenBy, failure }: MountReport): boolean =>
  hiddenBy !== undefined || failure?.message === CHANGES

function lookOnce(config: MountConfig): MountReport {
  let report = failedReport(NONE)
  try {
    const entries = readMounts()
    const entry = mountAt(entries, config.path)
    if (entry === undefined) return missingReport(config, entries)
    report = { ...report, entry, errorCount: errorCountOf(entry) }
    return withNearestFolder(config.path, (folder) => lookIn(folder, config))
  } catch (error) {
    return { ...report, failure: failureOf('look', error) }
  }
}

const readMounts = (): MountEntry[] => parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))

/**
 * What the path leads to is the mount only if it lies in that one: the mount is hidden where
 * another one has been mounted above it. Nothing is written into anything else.
 */
function lookIn(folder: HeldFolder, config: MountConfig): MountReport {
  const entries = readMounts()
  const seen = entries.find(({ id }) => id === folder.mountId)
  if (seen?.mountPoint === config.path) return lookAtTop(folder.path, seen, config)
  const entry = mountAt(entries, config.path)
  if (entry === undefined) return missingReport(config, entries)
  if (seen === undefined) throw new Error(CHANGES)
  return { ...failedReport(NONE), failure: undefined, entry, hiddenBy: seen }
}

function missingReport({ path, source }: MountConfig, entries: readonly MountEntry[]): MountReport {
  const elsewhere = source === undefined ? undefined : entries.find(sourceIs(source))?.mountPoint
  const linkTarget = linkTargetOf(path)
  return { ...failedReport(NONE), failure: undefined, linkTarget, elsewhere }
}

/** `top` leads into that mount, and nowhere else. */
function lookAtTop(top: string, entry: MountEntry, config: MountConfig): MountReport {
  const isSource = config.source === undefined || sourceIs(config.source)(entry)
  const found = { entry, isSource, errorCount: errorCountOf(entry), failure: undefined }
  let report: MountReport = { ...failedReport(NONE), ...found }
  try {
    report = { ...report, space: spaceOf(top) }
  } catch (error) {
    return { ...report, failure: failureOf('look', error) }
  }
  if (isReadOnly(entry)) return report
  const tried = tryDisk(top)
  if (typeof tried === 'object') return { ...report, failure: tried }
  report = { ...report, latencyMs: tried }
  try {
    report = { ...report, token: keepToken(top) }
  } catch (error) {
    return { ...report, failure: failureOf('identity', error) }
  }
  if (config.canary === undefined) return report
  try {
    return { ...report, canarySha256: digestOf(join(top, config.canary.file)) }
  } catch (error) {
    return { ...report, failure: failureOf('canary', error) }
  }
}

/** Holds the cache's identity. No dot in front: whoever empties the cache takes it along. */
export const TOKEN_FILE = 'photoedge-cache-id'

function sourceIs(source: string): (entry: MountEntry) => boolean {
  const device = deviceOf(source)
  return (entry) => entry.source === source || deviceOf(entry.source) === device
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
/** Each takes a fraction of a millisecond. */
const TRIES = 3
const CHANGES = 'it is mounted and unmounted all the time'
const OTHER_BYTES = 'other bytes than written'
const NONE: MountFailure = { step: 'look', code: '', message: '' }
