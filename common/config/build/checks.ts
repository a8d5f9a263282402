import { LOOKED_AT_BYTES } from '../../model/health.ts'
import type { CheckConfig, HttpCheckConfig } from '../config.ts'
import { listOf, quote } from '../problem.ts'
import { judgeRegex } from '../regex-judge.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'
import type { SourceCheck, SourceConfig } from '../schema/config-schema.ts'
import { formatDuration } from '../units.ts'
import type { BuildContext } from './context.ts'

const DEFAULT_TIMEOUT_MS = 500
/** Answers that end with their head (RFC 9112 section 6.3). */
const BODILESS = [204, 304]
const SHA256_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** The checks with their own defaults: intervals from the interval, deadlines from the timeout. */
export function buildChecks(
  source: SourceConfig['checks'],
  context: BuildContext,
): Map<string, CheckConfig> {
  const checks = new Map<string, CheckConfig>()
  for (const [name, entry] of source) checks.set(name, buildCheck(name, entry, context))
  return checks
}

function buildCheck(name: string, entry: SourceCheck, context: BuildContext): CheckConfig {
  const path = ['checks', name]
  const timing = timingOf(name, entry)
  if (timing.timeoutMs > Math.max(timing.intervalMs, timing.downIntervalMs)) {
    context.warning(
      entry.timeout === undefined ? [...path, 'interval'] : [...path, 'timeout'],
      `${label(path)} waits ${formatDuration(timing.timeoutMs)} for an answer and is due every ${formatDuration(timing.intervalMs)}: a server that does not answer is checked more seldom than that`,
    )
  }
  if (timing.fastIntervalMs > timing.intervalMs) {
    const [fast, normal] = [
      formatDuration(timing.fastIntervalMs),
      formatDuration(timing.intervalMs),
    ]
    context.problem(
      [...path, 'fastInterval'],
      `${label([...path, 'fastInterval'])} is ${quote(fast)}, longer than the interval of ${normal}: it must not be`,
    )
  }
  switch (entry.type) {
    case 'tcp':
      return { type: 'tcp', ...timing }
    case 'http':
    case 'https':
      return httpCheck(entry, timing, path, context)
    case 'script':
      entry.command.forEach((word, index) => {
        context.placeholders([...path, 'command', index], word, [
          'address',
          'port',
          'name',
          'box',
          'part',
        ])
      })
      return {
        type: 'script',
        ...timing,
        command: commandOf(entry.command, path, context),
        user: entry.user,
        dynamic: entry.dynamic,
      }
    case 'photo':
      if (entry.maxLatency !== undefined && entry.maxLatency > timing.timeoutMs) {
        const here = [...path, 'maxLatency']
        context.problem(
          here,
          `${label(here)} is ${quote(formatDuration(entry.maxLatency))}, and the check is over after its timeout of ${formatDuration(timing.timeoutMs)}: it must not be longer`,
        )
      }
      return {
        type: 'photo',
        ...timing,
        path: entry.path,
        host: entry.host,
        length: entry.length,
        sha256: entry.sha256,
        maxLatencyMs: entry.maxLatency,
      }
  }
}

function timingOf(name: string, entry: SourceCheck) {
  const { connect, firstByte, lastByte }: Deadlines = 'timeouts' in entry ? entry.timeouts : {}
  const deadlines = [connect ?? 0, firstByte ?? 0, lastByte ?? 0]
  return {
    name,
    intervalMs: entry.interval,
    fastIntervalMs: entry.fastInterval ?? entry.interval,
    downIntervalMs: entry.downInterval ?? entry.interval,
    timeoutMs: entry.timeout ?? (Math.max(...deadlines) || DEFAULT_TIMEOUT_MS),
    fall: entry.fall,
    rise: entry.rise,
    jitterPct: entry.jitter,
    port: entry.port,
  }
}

interface Deadlines {
  readonly connect?: number
  readonly firstByte?: number
  readonly lastByte?: number
}

type Timing = ReturnType<typeof timingOf>

function httpCheck(
  entry: SourceCheck & { type: 'http' | 'https' },
  timing: Timing,
  path: Path,
  context: BuildContext,
): HttpCheckConfig {
  const { type, method, host, status, trustStatus, reuse } = entry
  if (type === 'http') refuseTlsKeys(entry, path, context)
  const both = status.find((code) => trustStatus.includes(code))
  if (both !== undefined) {
    context.problem(
      [...path, 'status'],
      `${label(path)} has ${both} both as status (up) and as trustStatus (down at once): take it from one`,
    )
  }
  if (method === 'HEAD' && entry.body !== undefined) {
    context.keyProblem(
      [...path, 'body'],
      `${label(path)} has body and the method "HEAD", whose answer has none: take GET`,
    )
  }
  const body = bodyOf(entry.body, [...path, 'body'], context)
  const isBodiless = status.length > 0 && status.every((code) => BODILESS.includes(code))
  if (isBodiless && body !== undefined && !mayBeEmpty(body)) {
    context.keyProblem(
      [...path, 'body'],
      `${label(path)} has body and the status ${listOf(status.map(String))}, and such an answer has none: take out the body or take another status`,
    )
  }
  return {
    type,
    ...timing,
    method,
    path: entry.path,
    host,
    sni: entry.sni,
    verify: entry.verify,
    status,
    trustStatus,
    reuse,
    timeouts: deadlinesOf(entry.timeouts, timing.timeoutMs, path, context),
    header: Object.fromEntries(entry.header),
    body,
  }
}

/** Whether no body at all is right, too; an expression that is refused itself is not judged. */
function mayBeEmpty(body: NonNullable<HttpCheckConfig['body']>): boolean {
  switch (body.type) {
    case 'contains':
      return false
    case 'sha256':
      return body.digest === SHA256_OF_NOTHING
    case 'regex':
      return judgeRegex(body.regex) !== undefined || new RegExp(body.regex).test('')
  }
}

function refuseTlsKeys(
  entry: SourceCheck & { type: 'http' | 'https' },
  path: Path,
  context: BuildContext,
): void {
  if (entry.sni !== undefined)
    context.keyProblem([...path, 'sni'], `${label(path)} has sni, which only type https has`)
  if (entry.verify)
    context.keyProblem([...path, 'verify'], `${label(path)} has verify, which only type https has`)
}

/** What is not written is the whole check's timeout; none may be longer, and none than a later one. */
function deadlinesOf(written: Deadlines, timeoutMs: number, path: Path, context: BuildContext) {
  const lastByteMs = written.lastByte ?? timeoutMs
  const firstByteMs = written.firstByte ?? lastByteMs
  const connectMs = written.connect ?? firstByteMs
  const order = [
    ['connect', connectMs, 'firstByte', firstByteMs],
    ['firstByte', firstByteMs, 'lastByte', lastByteMs],
    ['lastByte', lastByteMs, 'timeout', timeoutMs],
  ] as const
  for (const [key, ms, later, laterMs] of order) {
    if (ms <= laterMs) continue
    const here = [...path, 'timeouts', key]
    context.problem(
      here,
      `${label(here)} is ${quote(formatDuration(ms))}, later than ${later} (${formatDuration(laterMs)}): it must not be`,
    )
  }
  return { connectMs, firstByteMs, lastByteMs }
}

function bodyOf(
  body: { contains?: string; regex?: string; sha256?: string } | undefined,
  path: Path,
  context: BuildContext,
): HttpCheckConfig['body'] {
  if (body === undefined) return undefined
  const given = [body.contains, body.regex, body.sha256].filter((value) => value !== undefined)
  if (given.length !== 1)
    context.problem(path, `${label(path)} wants exactly one of contains, regex and sha256`)
  if (body.contains !== undefined) {
    const length = new TextEncoder().encode(body.contains).length
    if (length > LOOKED_AT_BYTES) {
      const here = [...path, 'contains']
      context.problem(
        here,
        `${label(here)} is ${quote(body.contains)}, ${length} bytes long, and of a body the first ${LOOKED_AT_BYTES} are looked at: write a shorter one`,
      )
    }
    return { type: 'contains', text: body.contains }
  }
  if (body.sha256 !== undefined) return { type: 'sha256', digest: body.sha256 }
  if (body.regex === undefined) return undefined
  const fault = judgeRegex(body.regex)
  if (fault !== undefined) {
    const here = [...path, 'regex']
    context.problem(here, `${label(here)} is ${quote(body.regex)}: ${fault}`)
  }
  return { type: 'regex', regex: body.regex }
}

/** The program, absolute, and its arguments. */
export function commandOf(
  command: readonly string[],
  path: Path,
  context: BuildContext,
): readonly string[] {
  const [program = '', ...rest] = command
  if (program === '') return command
  if (program.includes('/')) return [context.file([...path, 'command'], program), ...rest]
  const here = [...path, 'command', 0]
  context.problem(
    here,
    `${label(here)} is ${quote(program)}, no path: programs are not searched for, write one such as ${quote(`/usr/bin/${program}`)}`,
  )
  return command
}
