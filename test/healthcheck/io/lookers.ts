import { readFileSync, readdirSync } from 'node:fs'
import { findFormerLooker, lookerTitle } from '../../../healthcheck/io/former-looker.ts'

/** The process that looks at this mount for this one. */
export function lookerOf(path: string): number {
  const title = lookerTitle(path, process.pid)
  const pid = readdirSync('/proc').find((entry) => commandLine(entry).startsWith(title))
  if (pid === undefined) throw new Error(`nothing looks at ${path}`)
  return Number(pid)
}

/** Those that were let go end by themselves, a little later. */
export async function noLooker(path: string): Promise<void> {
  while (findFormerLooker(path) !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
