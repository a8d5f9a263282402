import { printable, spanInWords } from './blame.ts'
import { NOTHING_TOLD } from './outcome.ts'
import type { Outcome } from './outcome.ts'

/** How a script's process ended. */
export interface ScriptEnd {
  /** undefined: ended by a signal. */
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  /** The last line that it wrote. */
  readonly lastLine: string
  readonly latencyMs: number
  readonly lateMs: number
}

/**
 * Keepalived's MISC_CHECK: 0 is up, 1 is down; with `dynamic` 2 to 255 are up with the weight
 * status - 2 (0 to 253), else down.
 */
export function judgeScript(isDynamic: boolean, end: ScriptEnd): Outcome {
  const { exitCode, latencyMs, lateMs } = end
  const said = end.lastLine === '' ? '' : `: ${printable(end.lastLine)}`
  const base = { ...NOTHING_TOLD, latencyMs, lateMs }
  if (exitCode === 0) return { ...base, result: 'passed', reason: `exit 0${said}` }
  if (isDynamic && exitCode !== undefined && exitCode >= 2) {
    const weight = exitCode - 2
    return {
      ...base,
      result: 'passed',
      weight,
      reason: `exit ${exitCode}, weight ${weight}${said}`,
    }
  }
  const how = exitCode === undefined ? `killed by ${end.signal ?? 'a signal'}` : `exit ${exitCode}`
  return {
    ...base,
    result: 'failed',
    blame: 'server',
    isExplicit: false,
    reason: `${how}${said}`,
  }
}

/** The script's own deadline passed; its process group has been killed. */
export const scriptTimeout = (timeoutMs: number): string =>
  `the script did not end within ${spanInWords(timeoutMs)} and was killed`
