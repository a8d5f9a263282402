import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Failure } from '../core/blame.ts'
import { printable } from '../core/blame.ts'
import { findUser } from './script-file.ts'
import { MARK } from './script-mark.ts'

/**
 * Starts the script by way of a shell that becomes it: Node waits, and everything with it, until a
 * child has come to its program, and from a disk that hangs none ever comes. May throw.
 */
export function startScript(
  command: readonly string[],
  user: string | undefined,
  mark: string,
): ChildProcess {
  const identity = user === undefined ? undefined : findUser(user)
  const mayChange = process.geteuid?.() === 0 && identity !== undefined
  return spawn('/bin/sh', ['-c', BECOME, mark, ...command], {
    cwd: '/',
    detached: true,
    env: { PATH, LANG: 'C', [MARK]: mark },
    stdio: ['ignore', 'pipe', 'ignore'],
    ...(mayChange && identity),
  })
}

/** That this box can't run it says nothing of the server. `code` is what the start failed with. */
export function startFailure({ code = 'ERROR' }: NodeJS.ErrnoException): Failure {
  return ownFailure(START_WORDS[code] ?? code)
}

/**
 * Why the shell could not become the script; undefined: it did. Its exit code alone does not tell, as
 * a script may end with the same.
 */
export function becomeFailure(output: string, mark: string): Failure | undefined {
  const [line = ''] = output.split('\n')
  if (!line.startsWith(`${mark}: `)) return undefined
  if (line.endsWith(': Text file busy')) return BEING_WRITTEN
  if (NOT_FOUND.test(line)) return ownFailure('the program that its first line names is not there')
  const why = line.slice(line.lastIndexOf(': ') + 2)
  return ownFailure(printable(why.charAt(0).toLowerCase() + why.slice(1)))
}

function ownFailure(why: string): Failure {
  return { reason: `the script cannot be started: ${why} (the prober's own)`, blame: 'prober' }
}

/** It can be started as soon as it is whole. */
export const BEING_WRITTEN: Failure = ownFailure('its file is being written')

/**
 * Where that fails the shell tries once more as it ends, now to say on the output, after the mark,
 * what is wrong. bash does so only if it does not end at once. The script gets no variable that
 * the shell has made, but for bash's SHLVL.
 */
const BECOME = `test "$BASH_VERSION" && shopt -s execfail
trap 'exec "$@" 2>&1' EXIT
unset PWD SHLVL _
exec "$@"`

/** As dash and bash say it. */
const NOT_FOUND = /: (?:not found|No such file or directory|.*required file not found)$/

const START_WORDS: Readonly<Record<string, string>> = {
  EAGAIN: 'too many processes',
  EMFILE: 'no descriptors left',
  ENFILE: 'no descriptors left on this box',
  ENOENT: 'there is no /bin/sh',
  ENOMEM: 'no memory',
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
