import { existsSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { AccessLogConfig } from '../../../common/config/config.ts'
import type { EdgeEvent } from '../../../common/model/edge-event.ts'
import { monotonicMs } from '../../../common/net/units.ts'
import { AccessRecord, logText } from '../../../router/core/access-record.ts'
import { Counters, GLOBAL } from '../../../router/core/counters.ts'
import { openAccessLog } from '../../../router/io/access-log.ts'
import type { AccessLog, AccessLogComponents } from '../../../router/io/access-log.ts'
import { openLogFile } from '../../../router/io/log-file.ts'
import type { LogFile } from '../../../router/io/log-file.ts'

interface Bench {
  readonly log: AccessLog
  readonly counters: Counters
  readonly events: EdgeEvent[]
  /** Logs one line that carries the number. */
  readonly line: (number: number) => void
}

function bench(config: Partial<AccessLogConfig>, part: Partial<AccessLogComponents> = {}): Bench {
  const counters = new Counters()
  const events: EdgeEvent[] = []
  const log = openAccessLog(
    {
      clock: { now: () => monotonicMs(0), wallMs: () => 1_000 },
      counters,
      onEvent: (event) => events.push(event),
      ...part,
    },
    { format: 'json', file: '/none', samplePct: 100, ...config },
  )
  const record = new AccessRecord()
  record.client = logText('192.0.2.7')
  return {
    log,
    counters,
    events,
    line(number) {
      record.reset(0)
      record.status = 200
      record.bodyBytes = number
      log.write(record)
    },
  }
}

/** A disk of so many bytes, or one that stands still. */
class Disk implements LogFile {
  room: number
  isHung = false
  text = ''
  writes = 0
  readonly takesBack: boolean
  #resume: (() => void)[] = []

  constructor(room: number, takesBack = true) {
    this.room = room
    this.takesBack = takesBack
  }

  async append(pieces: readonly Uint8Array[]): Promise<number> {
    this.writes++
    const bytes = Buffer.concat(pieces)
    if (this.isHung) await new Promise<void>((resolve) => this.#resume.push(resolve))
    const count = Math.min(bytes.length, this.room)
    if (count === 0) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    this.room -= count
    this.text += bytes.toString('latin1', 0, count)
    return count
  }

  takeBack(bytes: Uint8Array, from: number, to: number): Promise<boolean> {
    if (!this.takesBack) return Promise.resolve(false)
    const cut = String.fromCharCode(...bytes.subarray(from, to))
    if (!this.text.endsWith(cut)) throw new Error('not mine')
    this.text = this.text.slice(0, this.text.length - cut.length)
    this.room += cut.length
    return Promise.resolve(true)
  }

  resume(): void {
    this.isHung = false
    for (const resolve of this.#resume.splice(0)) resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

const onDisk = (disk: Disk): Partial<AccessLogComponents> => ({
  files: { open: () => disk, reopen: () => Promise.resolve(disk) },
})

const numbers = (text: string): number[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { bytes: number }).bytes)

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/** Until what was handed to the disk has been dealt with. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

void t.test('every line is in the file after close, in order', async (t) => {
  const file = join(t.testdir({}), 'access.log')
  const { log, line, counters, events } = bench({ file })
  for (const i of upTo(5_000)) line(i)
  await log.close()
  t.strictSame(numbers(readFileSync(file, 'latin1')), upTo(5_000))
  t.equal(counters.global[GLOBAL.logLines], 5_000)
  t.equal(counters.global[GLOBAL.logLinesLost], 0)
  t.equal(statSync(file).mode & 0o007, 0, 'nobody else reads it')
  t.strictSame(events, [])
})

void t.test('two logs on one file mix whole lines only', async (t) => {
  const file = join(t.testdir({}), 'access.log')
  const one = bench({ file })
  const other = bench({ file })
  for (const i of upTo(4_000)) {
    one.line(i)
    other.line(10_000 + i)
  }
  await Promise.all([one.log.close(), other.log.close()])
  const all = numbers(readFileSync(file, 'latin1'))
  t.equal(all.length, 8_000)
  t.strictSame(
    all.filter((n) => n < 10_000),
    upTo(4_000),
  )
})

void t.test('a line is written within a second when nothing follows it', async (t) => {
  const disk = new Disk(Infinity)
  let now = 0
  // Each look at the clock is two seconds later.
  const clock = { now: () => monotonicMs((now += 2_000)), wallMs: () => 0 }
  const { line, log } = bench({}, { ...onDisk(disk), clock })
  line(7)
  t.equal(disk.text, '', 'not at once')
  await new Promise((resolve) => setTimeout(resolve, 5))
  t.strictSame(numbers(disk.text), [7])
  await log.close()
})

void t.test('reopen: lines from before are in the old file, later ones in the new', async (t) => {
  const file = join(t.testdir({}), 'access.log')
  const { log, line } = bench({ file })
  for (const i of upTo(700)) line(i)
  renameSync(file, `${file}.1`)
  log.reopen()
  line(700)
  await log.close()
  t.strictSame(numbers(readFileSync(`${file}.1`, 'latin1')), upTo(700))
  t.strictSame(numbers(readFileSync(file, 'latin1')), [700])
})

void t.test('reopen where the folder is gone: told, and the old file is written on', async (t) => {
  const dir = join(t.testdir({ logs: {} }), 'logs')
  const file = join(dir, 'access.log')
  const { log, line, events } = bench({ file })
  line(0)
  renameSync(dir, `${dir}-old`)
  log.reopen()
  line(1)
  await log.close()
  t.notOk(existsSync(file))
  t.strictSame(numbers(readFileSync(join(`${dir}-old`, 'access.log'), 'latin1')), [0, 1])
  t.match(events, [
    {
      event: 'access log not reopened',
      subject: file,
      reason: `Cannot open the access log ${file}: its folder does not exist; the old file is written on`,
    },
  ])
})

void t.test(
  'a full disk: whole lines, the rest counted, told once, and again when it works',
  async (t) => {
    const disk = new Disk(150_000)
    const { log, line, counters, events } = bench({}, onDisk(disk))
    for (const i of upTo(6_000)) {
      line(i)
      if (i % 500 === 0) await settle()
    }
    await settle()
    const kept = numbers(disk.text)
    t.strictSame(kept, upTo(kept.length), 'no cut line, none doubled')
    t.ok(disk.text.length > 149_000)
    t.match(events, [
      {
        event: 'access log failed',
        reason:
          'Cannot write the access log /none: no space is left on the disk; lines are dropped until it works again',
      },
    ])
    disk.room = Infinity
    for (const i of upTo(1_000)) line(10_000 + i)
    await log.close()
    const all = numbers(disk.text)
    const lostCount = counters.global[GLOBAL.logLinesLost] ?? 0
    t.equal(all.length + lostCount, 7_000, 'written and lost are all there are')
    t.equal(counters.global[GLOBAL.logLines], all.length)
    t.equal(events.length, 2)
    t.match(events[1], {
      event: 'access log works again',
      reason: `The access log /none is written again; ${lostCount} lines were lost`,
    })
  },
)

void t.test('a cut line that cannot be taken back is ended before the next', async (t) => {
  const disk = new Disk(1_000, false)
  const { log, line } = bench({}, onDisk(disk))
  for (const i of upTo(700)) line(i)
  await settle()
  t.notOk(disk.text.endsWith('\n'), 'the disk holds a cut line')
  disk.room = Infinity
  line(700)
  await log.close()
  const lines = disk.text.trimEnd().split('\n')
  t.match(JSON.parse(lines.at(-1) ?? ''), { bytes: 700 })
})

void t.test(
  'a disk that stands still: bounded memory, lines counted, then all goes on',
  async (t) => {
    const disk = new Disk(Infinity)
    disk.isHung = true
    const { log, line, counters, events } = bench({}, onDisk(disk))
    const count = 50_000
    for (const i of upTo(count)) line(i)
    const lostCount = counters.global[GLOBAL.logLinesLost] ?? 0
    t.ok(lostCount > 0)
    t.match(events, [{ event: 'access log failed', reason: /the disk takes less than is logged/ }])
    disk.resume()
    await settle()
    const kept = numbers(disk.text)
    t.equal(kept.length, count - lostCount, 'what was kept is all written, without another line')
    t.strictSame(kept, upTo(kept.length))
    t.ok(disk.text.length <= 64 * 65_536, `${disk.text.length} bytes were held`)
    t.equal(disk.writes, 2, 'all that waited in one write')
    line(count)
    await log.close()
    t.equal(numbers(disk.text).at(-1), count)
    t.match(events.at(-1), { event: 'access log works again' })
  },
)

void t.test('a disk that is full within much that waited keeps whole lines', async (t) => {
  const disk = new Disk(200_000)
  disk.isHung = true
  const { log, line, counters } = bench({}, onDisk(disk))
  for (const i of upTo(5_000)) line(i)
  disk.resume()
  await settle()
  const kept = numbers(disk.text)
  t.strictSame(kept, upTo(kept.length), 'no cut line, none doubled')
  t.ok(disk.text.length > 199_000)
  await log.close()
  t.equal(counters.global[GLOBAL.logLines], kept.length)
  t.equal(counters.global[GLOBAL.logLinesLost], 5_000 - kept.length)
})

void t.test('a real full device is survived', async (t) => {
  const { log, line, counters, events } = bench({ file: '/dev/full' })
  line(1)
  await log.close()
  t.equal(counters.global[GLOBAL.logLinesLost], 1)
  t.match(events, [{ event: 'access log failed', reason: /no space is left on the disk/ }])
})

void t.test('a real file gives back the cut end of a line, and only its own', async (t) => {
  const file = join(t.testdir({ log: 'one\ntwo' }), 'log')
  const opened = openLogFile(file)
  const bytes = new TextEncoder().encode('a two')
  t.equal(await opened.takeBack(new TextEncoder().encode('a owt'), 2, 5), false)
  t.equal(readFileSync(file, 'latin1'), 'one\ntwo')
  t.equal(await opened.takeBack(bytes, 2, 5), true)
  t.equal(readFileSync(file, 'latin1'), 'one\n')
  t.equal(await opened.takeBack(new Uint8Array(50), 0, 50), false)
  await opened.close()
})

void t.test('a sample of 12.5 percent logs every eighth request', async (t) => {
  const disk = new Disk(Infinity)
  const { log, line } = bench({ samplePct: 12.5 }, onDisk(disk))
  for (const i of upTo(80)) line(i)
  await log.close()
  t.strictSame(
    numbers(disk.text),
    upTo(10).map((i) => i * 8 + 7),
  )
})

void t.test('off and a sample of 0 log nothing', async (t) => {
  const off = bench({ format: 'off', file: undefined })
  off.line(1)
  off.log.reopen()
  await off.log.close()
  const disk = new Disk(Infinity)
  const none = bench({ samplePct: 0 }, onDisk(disk))
  for (const i of upTo(1_000)) none.line(i)
  await none.log.close()
  t.equal(disk.text, '')
})

void t.test('a file that cannot be opened is one sentence', (t) => {
  const missing = join(t.testdir({}), 'none', 'access.log')
  t.throws(() => bench({ file: missing }), {
    code: 'RTR_ACCESS_LOG_OPEN',
    message: `Cannot open the access log ${missing}: its folder does not exist`,
  })
  t.throws(() => bench({ file: t.testdir({}) }), { message: /: it is a directory$/ })
  t.end()
})
