import type { HttpCheckConfig, PhotoCheckConfig } from '../../common/config/config.ts'
import { LOOKED_AT_BYTES } from '../../common/model/health.ts'
import { printable, spanInWords } from './blame.ts'
import { NOTHING_TOLD } from './outcome.ts'
import type { NotPassed, Outcome, Told } from './outcome.ts'

/** An answer, as far as it is looked at; a whole one, unless its status alone decides. */
export interface Answer {
  readonly status: number
  /** Names in lower case; repeated fields joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** The first `LOOKED_AT_BYTES` of the body. */
  readonly body: string
  readonly bodyBytes: number
  /** Hex; only of checks that ask for it. */
  readonly sha256: string | undefined
  readonly latencyMs: number
  readonly lateMs: number
}

/** Does the answer pass? `regex` is the check's own, compiled. */
export function judgeAnswer(
  check: HttpCheckConfig | PhotoCheckConfig,
  answer: Answer,
  regex: RegExp | undefined,
): Outcome {
  return check.type === 'photo' ? judgePhoto(check, answer) : judgeHttp(check, answer, regex)
}

/** Is the status alone the server's own word that it is down, whatever becomes of the body? */
export function isTrusted(check: HttpCheckConfig | PhotoCheckConfig, status: number): boolean {
  if (check.type === 'photo') return false
  return check.trustStatus.includes(status) && !check.status.includes(status)
}

function judgeHttp(check: HttpCheckConfig, answer: Answer, regex: RegExp | undefined): Outcome {
  const told = readTold(answer.body)
  if (!check.status.includes(answer.status)) {
    const reason = statusReason(answer, check.status, told.reason)
    return failed(answer, reason, told, isTrusted(check, answer.status))
  }
  const wrong = wrongHeader(check, answer) ?? wrongBody(check, answer, regex)
  if (wrong !== undefined) return failed(answer, wrong, told)
  const reason = `status ${answer.status}${told.note}`
  return { result: 'passed', reason, ...measured(answer), ...pick(told) }
}

function judgePhoto(check: PhotoCheckConfig, answer: Answer): Outcome {
  const { status, bodyBytes, sha256 } = answer
  if (status !== 200) return failed(answer, statusReason(answer, [200]))
  if (check.length !== undefined && bodyBytes !== check.length) {
    return failed(answer, `wrong photo: ${bodyBytes} bytes instead of ${check.length}`)
  }
  if (check.sha256 !== undefined && sha256 !== check.sha256.toLowerCase()) {
    return failed(answer, `wrong photo: SHA-256 is ${insteadOf(sha256, check.sha256)}`)
  }
  // What the prober itself was late by is not the server's.
  const tookMs = Math.max(0, answer.latencyMs - answer.lateMs)
  if (check.maxLatencyMs !== undefined && tookMs > check.maxLatencyMs) {
    const bound = spanInWords(check.maxLatencyMs)
    const reason = `slow: ${spanInWords(tookMs)} for a photo allowed ${bound}`
    return { ...failed(answer, reason), result: 'slow' }
  }
  const reason = `status 200, ${bodyBytes} bytes`
  return { result: 'passed', reason, ...measured(answer), ...NOTHING_TOLD }
}

function wrongHeader(check: HttpCheckConfig, answer: Answer): string | undefined {
  for (const [name, wanted] of Object.entries(check.header)) {
    const value = answer.headers[name.toLowerCase()]
    if (value === undefined) return `no ${name} in the answer`
    const withoutParameters = value.split(';', 1)[0]?.trim()
    if (value !== wanted && withoutParameters !== wanted) {
      return `${name} is "${printable(value)}" instead of "${wanted}"`
    }
  }
  return undefined
}

function wrongBody(
  check: HttpCheckConfig,
  answer: Answer,
  regex: RegExp | undefined,
): string | undefined {
  const wanted = check.body
  switch (wanted?.type) {
    case undefined:
      return undefined
    case 'contains':
      return answer.body.includes(wanted.text)
        ? undefined
        : `no "${printable(wanted.text)}" in the body`
    case 'regex':
      return regex?.test(answer.body) === true
        ? undefined
        : `the body does not match /${printable(wanted.regex)}/`
    case 'sha256':
      return answer.sha256 === wanted.digest.toLowerCase()
        ? undefined
        : `the body's SHA-256 is ${insteadOf(answer.sha256, wanted.digest)}`
  }
}

const insteadOf = (sha256: string | undefined, wanted: string): string =>
  `${sha256 ?? 'unknown'} instead of ${wanted.toLowerCase()}`

function statusReason(answer: Answer, wanted: readonly number[], said?: string): string {
  const { location } = answer.headers
  const isRedirect = answer.status >= 300 && answer.status < 400 && location !== undefined
  const to = isRedirect ? `, a redirect to ${printable(location)}, not followed` : ''
  const status = `status ${answer.status}${insteadOfStatuses(wanted)}`
  return `${status}${to}${said === undefined ? '' : `: ${said}`}`
}

/** Nothing where it is what everybody expects. */
function insteadOfStatuses(wanted: readonly number[]): string {
  if (wanted.length === 1 && wanted[0] === 200) return ''
  const names = wanted.length <= 5 ? wanted : [...wanted.slice(0, 4), `${wanted.length - 4} others`]
  return ` instead of ${names.join(' or ')}`
}

interface Said extends Told {
  readonly reason: string | undefined
  /** What to add to a good verdict's reason. */
  readonly note: string
}

/** The mount check's answer, or any JSON object with its keys; anything else tells nothing. */
function readTold(body: string): Said {
  const nothing = { ...NOTHING_TOLD, reason: undefined, note: '' }
  // Also of a byte order mark, which JSON.parse refuses.
  const text = body.trimStart()
  if (!text.startsWith('{') || body.length >= LOOKED_AT_BYTES) return nothing
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return nothing
  }
  if (typeof value !== 'object' || value === null) return nothing
  const { weight, boot, cache, reason } = value as Record<string, unknown>
  const isShare = typeof weight === 'number' && weight >= 0 && weight <= 1
  const factor = isShare ? weight : 1
  return {
    factor,
    weight: undefined,
    boot: shortText(boot),
    cache: shortText(cache),
    reason: shortText(reason),
    note: factor < 1 ? `, weight ${factor}` : '',
  }
}

function shortText(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = printable(value)
  return text === '' ? undefined : text
}

const pick = ({ factor, weight, boot, cache }: Told): Told => ({ factor, weight, boot, cache })

const measured = ({ latencyMs, lateMs }: Answer) => ({ latencyMs, lateMs })

function failed(
  answer: Answer,
  reason: string,
  told: Told = NOTHING_TOLD,
  isExplicit = false,
): NotPassed {
  const { latencyMs, lateMs } = answer
  return {
    result: 'failed',
    blame: 'server',
    isExplicit,
    reason,
    latencyMs,
    lateMs,
    ...pick(told),
  }
}
