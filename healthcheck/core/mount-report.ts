import type { FreeBound, MountConfig } from '../../common/config/config.ts'
import { printable } from './blame.ts'
import { isReadOnly } from './mount-info.ts'
import type { MountEntry } from './mount-info.ts'

/** What one look at a mount found; later parts are missing where an earlier one failed. */
export interface MountReport {
  /** undefined: nothing is mounted there. */
  readonly entry: MountEntry | undefined
  /** What is seen at its path instead, as it is mounted above: nothing else is known then. */
  readonly hiddenBy: MountEntry | undefined
  /** Where the path leads by symbolic links, if nothing is mounted there. */
  readonly linkTarget: string | undefined
  /** Where the configured source is mounted instead, if it is. */
  readonly elsewhere: string | undefined
  /** Whether the entry's source is the configured one, links followed. */
  readonly isSource: boolean
  readonly space: MountSpace | undefined
  /** Of write, fsync, read and delete together. */
  readonly latencyMs: number | undefined
  /** The cache's identity, kept in the mount. */
  readonly token: string | undefined
  /** Hex, of the canary file. */
  readonly canarySha256: string | undefined
  /** I/O errors that the file system has counted itself (ext4). */
  readonly errorCount: number
  /** The step that failed, and how. */
  readonly failure: MountFailure | undefined
}

export interface MountSpace {
  readonly sizeBytes: number
  readonly freeBytes: number
  /** 0: the file system has no fixed number of inodes. */
  readonly inodes: number
  readonly freeInodes: number
}

export interface MountFailure {
  readonly step: 'look' | 'write' | 'sync' | 'read' | 'delete' | 'canary' | 'identity' | 'process'
  readonly code: string
  readonly message: string
}

/** A report of nothing but a failure. */
export function failedReport(failure: MountFailure): MountReport {
  return {
    entry: undefined,
    hiddenBy: undefined,
    linkTarget: undefined,
    elsewhere: undefined,
    isSource: true,
    space: undefined,
    latencyMs: undefined,
    token: undefined,
    canarySha256: undefined,
    errorCount: 0,
    failure,
  }
}

/** Whether the mount is as it should be, and in one sentence why not. */
export function judgeMount(
  config: MountConfig,
  report: MountReport,
): { readonly isUp: boolean; readonly reason: string } {
  const wrong = wrongMount(config, report)
  if (wrong !== undefined) return { isUp: false, reason: `${printable(config.path)} ${wrong}` }
  const { errorCount } = report
  const reason =
    errorCount > 0 ? `well, but its file system has counted ${inWords(errorCount)}` : 'well'
  return { isUp: true, reason }
}

function wrongMount(config: MountConfig, report: MountReport): string | undefined {
  const { entry, hiddenBy, failure } = report
  if (failure?.step === 'process' || failure?.step === 'look') return failureInWords(failure)
  if (entry === undefined) return `is not mounted${whereElse(config, report)}`
  if (hiddenBy !== undefined) return `is mounted, but hidden by ${mountInWords(hiddenBy)}`
  if (config.type !== undefined && entry.type !== config.type) {
    return `has type ${printable(entry.type)} instead of ${config.type}`
  }
  if (!report.isSource) {
    return `is mounted from ${printable(entry.source)} instead of ${config.source ?? ''}`
  }
  if (isReadOnly(entry)) return `is mounted read-only${countedErrors(report)}`
  const missing = config.options.find((option) => !entry.options.includes(option))
  if (missing !== undefined) return `is mounted without the option ${missing}`
  // A full disk shows in its numbers before it shows in a write; the numbers say more.
  return (
    wrongSpace(config, report) ??
    (failure && diskFailureInWords(failure, report)) ??
    wrongCanary(config, report)
  )
}

function whereElse(config: MountConfig, { linkTarget, elsewhere }: MountReport): string {
  if (linkTarget !== undefined)
    return `: a symbolic link leads from there to ${printable(linkTarget)}, name that`
  if (elsewhere === undefined) return ''
  return `: ${config.source ?? ''} is mounted at ${printable(elsewhere)}`
}

const mountInWords = ({ source, mountPoint }: MountEntry): string =>
  `${printable(source)}, mounted at ${printable(mountPoint)}`

function wrongSpace(config: MountConfig, { space }: MountReport): string | undefined {
  if (space === undefined) return undefined
  const { freeBytes, sizeBytes, freeInodes, inodes } = space
  if (isBelow(config.minFree, freeBytes, sizeBytes)) {
    return `has ${amountOf(config.minFree, freeBytes, sizeBytes)} of its bytes free, less than ${boundOf(config.minFree)}`
  }
  if (inodes > 0 && isBelow(config.minInodes, freeInodes, inodes)) {
    return `has ${amountOf(config.minInodes, freeInodes, inodes)} of its inodes free, less than ${boundOf(config.minInodes)}`
  }
  return undefined
}

function wrongCanary(config: MountConfig, report: MountReport): string | undefined {
  const { canary } = config
  if (canary === undefined || report.canarySha256 === canary.sha256.toLowerCase()) return undefined
  return `has a wrong canary file ${canary.file}: its SHA-256 is ${report.canarySha256 ?? 'unknown'}`
}

function failureInWords({ step, code, message }: MountFailure): string {
  const why = WORDS[code] ?? printable(`${code} ${message}`)
  return `${STEPS[step]}: ${why}`
}

/** What the disk's own numbers add to an error code, which alone may name the wrong cause. */
function diskFailureInWords(failure: MountFailure, report: MountReport): string {
  const { code, step } = failure
  if (code === 'ENOSPC') return `${STEPS[step]}: ${missingSpace(report.space)}`
  const more = code === 'EROFS' || code === 'EIO' ? countedErrors(report) : ''
  return `${failureInWords(failure)}${more}`
}

/**
 * A device may be out of space itself (a thin volume or an image whose store is full); it says so
 * by the same code as a full file system, and the operator looks for files to delete in vain.
 */
function missingSpace(space: MountSpace | undefined): string {
  if (space === undefined) return 'no space or no inode left'
  const { freeBytes, inodes, freeInodes } = space
  if (inodes > 0 && freeInodes === 0) return 'no inode left'
  if (freeBytes < LAST_BYTES) return 'no space left'
  return `no space left on the device beneath, though the file system itself has ${Math.floor(freeBytes / 1024 / 1024)} MB free`
}

function countedErrors({ errorCount }: MountReport): string {
  return errorCount > 0 ? `; its file system has counted ${inWords(errorCount)}` : ''
}

const inWords = (errorCount: number): string => `${errorCount} error${errorCount === 1 ? '' : 's'}`

function isBelow(bound: FreeBound, free: number, whole: number): boolean {
  return bound.type === 'share' ? free * 100 < bound.pct * whole : free < bound.amount
}

const amountOf = (bound: FreeBound, free: number, whole: number): string =>
  bound.type === 'share' ? `${whole > 0 ? ((free * 100) / whole).toFixed(1) : 0} %` : String(free)

const boundOf = (bound: FreeBound): string =>
  bound.type === 'share' ? `${bound.pct} %` : String(bound.amount)

const STEPS: Record<MountFailure['step'], string> = {
  look: 'cannot be looked at',
  write: 'cannot be written',
  sync: 'cannot be synced',
  read: 'cannot be read',
  delete: 'cannot be deleted from',
  canary: 'has a canary file that cannot be read',
  identity: "cannot keep the cache's identity",
  process: 'cannot be checked',
}

/** With less than this free a file system may really have no block for a small file. */
const LAST_BYTES = 1024 * 1024

const WORDS: Readonly<Record<string, string>> = {
  EIO: 'I/O error',
  EROFS: 'it has made itself read-only, as after an error',
  EACCES: 'permission denied to the user that the mount check runs as',
  EPERM: 'not permitted',
  ENOENT: 'no such file',
  ELOOP: 'a symbolic link lies in its place',
  ENODEV: 'the device is gone',
  ENXIO: 'the device is gone',
  ESHUTDOWN: 'the file system has shut down',
  EUCLEAN: 'the file system is damaged',
  ESTALE: 'stale file handle',
  EDQUOT: 'quota exceeded',
}
