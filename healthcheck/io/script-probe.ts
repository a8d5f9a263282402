import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { ScriptCheckConfig } from '../../common/config/config.ts'
import type { Failure } from '../core/blame.ts'
import type { Outcome } from '../core/outcome.ts'
import type { ProbeTarget } from '../core/probe-plan.ts'
import { judgeScript, scriptTimeout } from '../core/script-outcome.ts'
import { ProbeRun } from './probe-run.ts'
import type { ProbeComponents, RunningProbe } from './probe-run.ts'
import { findUser, scriptRefusal } from './script-file.ts'
import { createScriptKiller, killProcess } from './script-killer.ts'
import { MARK, newMark } from './script-mark.ts'

type ScriptTarget = ProbeTarget & { readonly check: ScriptCheckConfig }

/** Runs scripts, one at a time for each target, each in a process group of its own. */
export interface ScriptProber {
  run(target: ScriptTarget, done: (outcome: Outcome) => void): RunningProbe
}

export function createScriptProber(components: ProbeComponents): ScriptProber {
  /** Also one that was killed and is not gone yet: in the kernel's uninterruptible sleep it stays. */
  const children = new Map<string, ChildProcess>()
  const killer = createScriptKiller()
  let isFirst = true

  function start(target: ScriptTarget, run: ProbeRun): void {
    const { check, key } = target
    const [program = '', ...rest] = check.command.map((word) => fill(word, target))
    const refusal = scriptRefusal(program) ?? userRefusal(check.user)
    if (refusal !== undefined) {
      setImmediate(() => {
        run.fail({ reason: refusal, blame: 'server' })
      })
      return
    }
    const mark = newMark()
    let child: ChildProcess
    try {
      child = launch(program, rest, check.user, mark)
    } catch (error) {
      // Some errors Node throws, the others it emits.
      const failure = startFailure(error as NodeJS.ErrnoException)
      const isBeingWritten = (error as NodeJS.ErrnoException).code === 'ETXTBSY'
      const again = (): void => {
        if (isBeingWritten) start(target, run)
        else run.fail(failure)
      }
      const timer = setTimeout(again, isBeingWritten ? WRITTEN_SOON_MS : 0)
      run.onRelease(() => {
        clearTimeout(timer)
      })
      run.enterUntil(check.timeoutMs, failure.reason)
      return
    }
    const { pid } = child
    follow(child, check, run)
    if (pid === undefined) return
    run.onRelease(() => {
      const hasEnded = child.exitCode !== null || child.signalCode !== null
      // What has detached itself from a script that came to its end was meant to stay.
      if (hasEnded) killProcess(-pid)
      else killer.kill(pid, `${MARK}=${mark}`)
      child.stdout?.destroy()
    })
    children.set(key, child)
    child.once('exit', () => children.delete(key))
  }

  return {
    run(target, done) {
      if (isFirst) void killer.killLeftOver()
      isFirst = false
      const run = new ProbeRun(components, { done })
      const former = children.get(target.key)
      if (former === undefined) start(target, run)
      else awaitEnd(former, target, run, start)
      return run
    },
  }
}

/** A run whose predecessor was killed: that ends with the next turn of the event loop, or never. */
function awaitEnd(
  former: ChildProcess,
  target: ScriptTarget,
  run: ProbeRun,
  start: (target: ScriptTarget, run: ProbeRun) => void,
): void {
  const begin = (): void => {
    start(target, run)
  }
  former.once('exit', begin)
  run.onRelease(() => former.off('exit', begin))
  const reason = `its last run (process ${former.pid}) was killed and still has not ended`
  run.enterUntil(target.check.timeoutMs, reason)
}

function launch(
  program: string,
  rest: readonly string[],
  user: string | undefined,
  mark: string,
): ChildProcess {
  const identity = user === undefined ? undefined : findUser(user)
  const mayChange = process.geteuid?.() === 0 && identity !== undefined
  return spawn(program, rest, {
    cwd: '/',
    detached: true,
    env: { PATH, LANG: 'C', [MARK]: mark },
    stdio: ['ignore', 'pipe', 'ignore'],
    ...(mayChange && identity),
  })
}

function follow(child: ChildProcess, check: ScriptCheckConfig, run: ProbeRun): void {
  let output = Buffer.alloc(0)
  child.stdout?.on('data', (chunk: Buffer) => {
    output = Buffer.concat([output, chunk]).subarray(-KEPT_BYTES)
  })
  run.enterUntil(check.timeoutMs, scriptTimeout(check.timeoutMs))
  child.on('error', (error: NodeJS.ErrnoException) => {
    run.fail(startFailure(error))
  })
  // Not 'close': a child of its own may hold the output open for ever.
  child.on('exit', (code, signal) => {
    const finish = (): void => {
      const lastLine = output.toString().trimEnd().split('\n').at(-1) ?? ''
      const exitCode = code ?? undefined
      const end = { exitCode, signal: signal ?? undefined, lastLine, ...run.measure() }
      run.finish(judgeScript(check.dynamic, end))
    }
    // What it printed may still be in the pipe: between two immediates lies a whole poll of it.
    setImmediate(() => setImmediate(finish))
  })
}

/** That this box can't run it says nothing of the server. */
function startFailure({ code = 'ERROR' }: NodeJS.ErrnoException): Failure {
  const why = START_WORDS[code] ?? code
  return { reason: `the script cannot be started: ${why} (the prober's own)`, blame: 'prober' }
}

const START_WORDS: Readonly<Record<string, string>> = {
  EAGAIN: 'too many processes',
  EMFILE: 'no descriptors left',
  ENFILE: 'no descriptors left on this box',
  ENOENT: 'the program that its first line names is not there',
  ENOMEM: 'no memory',
  ETXTBSY: 'its file is being written',
}

function userRefusal(user: string | undefined): string | undefined {
  if (user === undefined) return undefined
  const identity = findUser(user)
  if (identity === undefined) return `there is no user "${user}" to run the script as`
  const own = process.geteuid?.()
  if (own === 0 || own === identity.uid) return undefined
  return `the script cannot run as "${user}" as the prober itself is not root`
}

const fill = (word: string, { address, port }: ProbeTarget): string =>
  word.replaceAll('{address}', address).replaceAll('{port}', port === undefined ? '' : String(port))

const KEPT_BYTES = 4096
const WRITTEN_SOON_MS = 50
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
