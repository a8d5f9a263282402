import type { AccessLogConfig } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import type { Clock } from '../../common/runtime/clock.ts'
import { createDeadlineDriver } from '../../common/runtime/deadline-driver.ts'
import { createCombinedFormatter } from '../core/access-log-combined.ts'
import type { LineFormatter } from '../core/access-log-format.ts'
import { createJsonFormatter } from '../core/access-log-json.ts'
import type { AccessRecord } from '../core/access-record.ts'
import { GLOBAL } from '../core/counters.ts'
import type { Counters } from '../core/counters.ts'
import { openLogFile, reopenLogFile } from './log-file.ts'
import type { LogFile } from './log-file.ts'

export interface AccessLogComponents {
  readonly clock: Clock
  readonly counters: Counters
  readonly onEvent: (event: EdgeEvent) => void
  /** How the file is opened; the disk's, if left out. */
  readonly files?: {
    readonly open: (path: string) => LogFile
    readonly reopen: (path: string) => Promise<LogFile>
  }
}

/** The access log of one worker. Several workers write one file, whole lines only. */
export interface AccessLog {
  /** Formats the record's line into the buffer; returns at once, and forgets the record. */
  write(record: AccessRecord): void
  /** Goes on in a new file of the same name; lines written before stay in the old one. */
  reopen(): void
  /** Resolves when every line is in the file (or counted as lost), and the file is closed. */
  close(): Promise<void>
}

/**
 * Opens the access log; a file that can't be opened throws an `ApplianceError`. The buffer is
 * written when 64 KB are full or its first line is a second old. While the disk refuses, or is
 * slower than the traffic by more than 4 MB, lines are dropped and counted: one event says when
 * that begins, one when the log works again.
 */
export function openAccessLog(components: AccessLogComponents, config: AccessLogConfig): AccessLog {
  const { format, file, samplePct } = config
  if (format === 'off' || file === undefined) return NO_LOG
  const open = components.files?.open ?? openLogFile
  try {
    const formatter = format === 'json' ? createJsonFormatter() : createCombinedFormatter()
    return new BufferedLog(components, open(file), { file, samplePct, format: formatter })
  } catch (error) {
    const message = `Cannot open the access log ${file}: ${inWords(error)}`
    throw new ApplianceError('RTR_ACCESS_LOG_OPEN', message, { cause: error })
  }
}

const NO_LOG: AccessLog = {
  write: () => undefined,
  reopen: () => undefined,
  close: () => Promise.resolve(),
}

interface Init {
  readonly file: string
  readonly samplePct: number
  readonly format: LineFormatter
}

/** Invariant: `bytes[0, length)` holds `lineCount` whole lines. */
interface LineBuffer {
  readonly bytes: Uint8Array
  length: number
  lineCount: number
}

const REOPEN = 'reopen'

class BufferedLog implements AccessLog {
  readonly #components: AccessLogComponents
  readonly #init: Init
  readonly #driver
  #file: LogFile
  #filling = newBuffer()
  #flushAt: MonotonicMs | undefined
  readonly #free: LineBuffer[] = []
  #bufferCount = 1
  readonly #queue: (LineBuffer | typeof REOPEN)[] = []
  #pumping: Promise<void> | undefined
  #sampled = 0
  #isClosed = false
  /** Lines lost since the log last worked; undefined while it does. */
  #lostCount: number | undefined
  /** A cut line stands at the file's end and could not be taken back. */
  #endsInCutLine = false

  constructor(components: AccessLogComponents, file: LogFile, init: Init) {
    this.#components = components
    this.#file = file
    this.#init = init
    this.#driver = createDeadlineDriver({
      clock: components.clock,
      nextDeadline: () => this.#flushAt,
      onDeadline: () => {
        this.#flush()
      },
    })
  }

  write(record: AccessRecord): void {
    if (this.#init.samplePct < 100) {
      this.#sampled += this.#init.samplePct
      if (this.#sampled < 100) return
      this.#sampled -= 100
    }
    let buffer = this.#filling
    let end = this.#init.format(record, buffer.bytes, buffer.length)
    if (end < 0) {
      if (!this.#flush()) {
        this.#lose(1, `the disk takes less than is logged`)
        return
      }
      buffer = this.#filling
      end = this.#init.format(record, buffer.bytes, 0)
    }
    if (buffer.length === 0 && !this.#isClosed) {
      this.#flushAt = monotonicMs(this.#components.clock.now() + FLUSH_AFTER_MS)
      this.#driver.rearm()
    }
    buffer.length = end
    buffer.lineCount++
  }

  reopen(): void {
    this.#flush()
    this.#queue.push(REOPEN)
    this.#pump()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#driver.stop()
    // Once more after the wait: a line may have come meanwhile.
    for (;;) {
      await this.#pumping
      if (this.#filling.length === 0 && this.#queue.length === 0) break
      this.#flush()
      this.#pump()
    }
    await this.#file.close().catch(() => undefined)
  }

  /** Hands the lines to the disk and begins a new buffer; false: there is none to be had. */
  #flush(): boolean {
    this.#flushAt = undefined
    if (this.#filling.length === 0) return true
    let next = this.#free.pop()
    if (next === undefined && this.#bufferCount < MAX_BUFFERS) {
      next = newBuffer()
      this.#bufferCount++
    }
    if (next === undefined) return false
    this.#queue.push(this.#filling)
    this.#filling = next
    this.#pump()
    return true
  }

  #pump(): void {
    this.#pumping ??= this.#drainQueue().finally(() => {
      this.#pumping = undefined
      if (this.#queue.length > 0) this.#pump()
    })
  }

  async #drainQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const lines = this.#linesFirst()
      if (lines.length === 0) await this.#reopenFile()
      else await this.#append(lines)
      for (const buffer of lines) {
        buffer.length = 0
        buffer.lineCount = 0
        this.#free.push(buffer)
      }
      this.#queue.splice(0, Math.max(1, lines.length))
      // No buffer was to be had when this one was due.
      if (this.#flushAt === undefined) this.#flush()
    }
  }

  /** What waits before the next reopening; none: that comes first. */
  #linesFirst(): readonly LineBuffer[] {
    const lines: LineBuffer[] = []
    for (const entry of this.#queue) {
      if (entry === REOPEN) break
      lines.push(entry)
    }
    return lines
  }

  /** All in one write: the end of one is seen only a turn of the loop later, and turns are long. */
  async #append(buffers: readonly LineBuffer[]): Promise<void> {
    const total = buffers.reduce((sum, { length }) => sum + length, 0)
    const lineCount = buffers.reduce((sum, buffer) => sum + buffer.lineCount, 0)
    let at = 0
    try {
      if (this.#endsInCutLine) {
        await this.#file.append([NEWLINE])
        this.#endsInCutLine = false
      }
      while (at < total) at += await this.#file.append(bytesFrom(buffers, at))
    } catch (error) {
      const lostCount = await this.#cutAt(buffers, at)
      this.#components.counters.add(GLOBAL.logLines, lineCount - lostCount)
      this.#lose(lostCount, inWords(error))
      return
    }
    this.#components.counters.add(GLOBAL.logLines, lineCount)
    const isAll = this.#queue.length === buffers.length
    if (this.#lostCount !== undefined && isAll) this.#worksAgain(this.#lostCount)
  }

  /** Takes back the line that the file holds a part of; how many lines are not in it. */
  async #cutAt(buffers: readonly LineBuffer[], at: number): Promise<number> {
    let lostCount = 0
    let left = at
    for (const { bytes, length } of buffers) {
      const taken = Math.min(left, length)
      left -= taken
      if (taken === length) continue
      const lostFrom = taken === 0 ? 0 : bytes.lastIndexOf(0x0a, taken - 1) + 1
      if (taken > lostFrom) await this.#takeBack(bytes, lostFrom, taken)
      lostCount += countLines(bytes, lostFrom, length)
    }
    return lostCount
  }

  async #takeBack(bytes: Uint8Array, from: number, to: number): Promise<void> {
    const isGone = await this.#file.takeBack(bytes, from, to).catch(() => false)
    this.#endsInCutLine = !isGone
  }

  async #reopenFile(): Promise<void> {
    const { file } = this.#init
    try {
      const opened = await (this.#components.files?.reopen ?? reopenLogFile)(file)
      const old = this.#file
      this.#file = opened
      this.#endsInCutLine = false
      await old.close()
    } catch (error) {
      this.#report(
        'access log not reopened',
        `Cannot open the access log ${file}: ${inWords(error)}; the old file is written on`,
      )
    }
  }

  #lose(count: number, why: string): void {
    this.#components.counters.add(GLOBAL.logLinesLost, count)
    if (this.#lostCount === undefined) {
      const reason = `Cannot write the access log ${this.#init.file}: ${why}; lines are dropped until it works again`
      this.#report('access log failed', reason)
    }
    this.#lostCount = (this.#lostCount ?? 0) + count
  }

  #worksAgain(lostCount: number): void {
    this.#lostCount = undefined
    const reason = `The access log ${this.#init.file} is written again; ${lostCount} lines were lost`
    this.#report('access log works again', reason)
  }

  #report(event: string, reason: string): void {
    const { clock, onEvent } = this.#components
    const subject = this.#init.file
    onEvent({ atMs: clock.wallMs(), event, subject, from: undefined, to: undefined, reason })
  }
}

function newBuffer(): LineBuffer {
  return { bytes: new Uint8Array(BUFFER_BYTES), length: 0, lineCount: 0 }
}

/** What is left of the buffers from their byte `at` on. */
function bytesFrom(buffers: readonly LineBuffer[], at: number): readonly Uint8Array[] {
  let skipped = at
  return buffers.flatMap(({ bytes, length }) => {
    const from = Math.min(skipped, length)
    skipped -= from
    return from === length ? [] : [bytes.subarray(from, length)]
  })
}

function countLines(bytes: Uint8Array, from: number, to: number): number {
  let count = 0
  for (let i = from; i < to; i++) if (bytes[i] === 0x0a) count++
  return count
}

function inWords(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return WORDS[code] ?? (error instanceof Error ? error.message : String(error))
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EAGAIN: 'its reader takes less than is logged',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is as large as it may become',
  EIO: 'the disk reports an input/output error',
  EISDIR: 'it is a directory',
  ENOENT: 'its folder does not exist',
  ENOSPC: 'no space is left on the disk',
  ENOTDIR: 'a part of its path is no folder',
  ENXIO: 'nobody reads that pipe',
  EPERM: 'operation not permitted',
  EPIPE: 'nobody reads that pipe',
  EROFS: 'the file system is read-only',
}

const NEWLINE = new Uint8Array([0x0a])
const BUFFER_BYTES = 65_536
const FLUSH_AFTER_MS = 1_000
/** 4 MB: what a disk may be behind. */
const MAX_BUFFERS = 64
