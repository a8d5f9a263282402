import type { ChildProcess } from 'node:child_process'
import type { ScriptCheckConfig } from '../../common/config/config.ts'
import { NoAnswer } from '../../common/runtime/file-queue.ts'
import { printable, spanInWords } from '../core/blame.ts'
import type { Outcome } from '../core/outcome.ts'
import type { ProbeTarget } from '../core/probe-plan.ts'
import { judgeScript, scriptTimeout } from '../core/script-outcome.ts'
import type { ScriptEnd } from '../core/script-outcome.ts'
import { ProbeRun } from './probe-run.ts'
import type { ProbeComponents, RunningProbe } from './probe-run.ts'
import { findUser, ScriptFiles } from './script-file.ts'
import { createScriptKiller, killProcess } from './script-killer.ts'
import { MARK, newMark } from './script-mark.ts'
import { BEING_WRITTEN, becomeFailure, startFailure, startScript } from './script-start.ts'

type ScriptTarget = ProbeTarget & { readonly check: ScriptCheckConfig }

/** Runs scripts, one at a time for each target, each in a process group of its own. */
export interface ScriptProber {
  run(target: ScriptTarget, done: (outcome: Outcome) => void): RunningProbe
}

export function createScriptProber(
  components: ProbeComponents,
  files = new ScriptFiles(),
): ScriptProber {
  /** Also one that was killed and is not gone yet: in the kernel's uninterruptible sleep it stays. */
  const children = new Map<string, ChildProcess>()
  const killer = createScriptKiller()
  let isFirst = true

  /** Its file may lie on a disk that hangs: the run's time passes over the look at it, too. */
  function start(target: ScriptTarget, run: ProbeRun, heldUpBy?: string): void {
    const { command, user, timeoutMs } = target.check
    const [program = '', ...rest] = command.map((word) => fill(word, target))
    run.enterUntil(timeoutMs, heldUpBy ?? silence(program, timeoutMs))
    const look = async () => (await files.refusal(program)) ?? userRefusal(user)
    void look().then(
      (refusal) => {
        if (run.isOver) return
        if (refusal !== undefined) run.fail({ reason: refusal, blame: 'server' })
        else launch(target, [program, ...rest], run, heldUpBy)
      },
      (error: unknown) => {
        if (error instanceof NoAnswer) startSoon(target, run, silence(error.file, timeoutMs))
        else run.fail(startFailure(error as NodeJS.ErrnoException))
      },
    )
  }

  function startSoon(target: ScriptTarget, run: ProbeRun, heldUpBy: string): void {
    if (run.isOver) return
    const timer = setTimeout(() => {
      start(target, run, heldUpBy)
    }, SOON_MS)
    run.onRelease(() => {
      clearTimeout(timer)
    })
    run.enterUntil(target.check.timeoutMs, heldUpBy)
  }

  function launch(
    target: ScriptTarget,
    command: readonly string[],
    run: ProbeRun,
    heldUpBy: string | undefined,
  ): void {
    const { check, key } = target
    const mark = newMark()
    let child: ChildProcess
    try {
      child = startScript(command, check.user, mark)
    } catch (error) {
      // Some errors Node throws, the others it emits.
      run.fail(startFailure(error as NodeJS.ErrnoException))
      return
    }
    const { reason } = BEING_WRITTEN
    run.enterUntil(check.timeoutMs, heldUpBy === reason ? heldUpBy : scriptTimeout(check.timeoutMs))
    follow(child, run, (output, end) => {
      const failure = becomeFailure(output, mark)
      if (failure === undefined) run.finish(judgeScript(check.dynamic, end))
      else if (failure === BEING_WRITTEN) startSoon(target, run, reason)
      else run.fail(failure)
    })
    const { pid } = child
    if (pid === undefined) return
    run.onRelease(() => {
      const hasEnded = child.exitCode !== null || child.signalCode !== null
      // What has detached itself from a script that came to its end was meant to stay.
      if (hasEnded) killProcess(-pid)
      else killer.kill(pid, `${MARK}=${mark}`)
      // One that never goes must not keep its prober from ending.
      child.unref()
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

function follow(
  child: ChildProcess,
  run: ProbeRun,
  onEnd: (output: string, end: ScriptEnd) => void,
): void {
  let output = Buffer.alloc(0)
  child.stdout?.on('data', (chunk: Buffer) => {
    output = Buffer.concat([output, chunk]).subarray(-KEPT_BYTES)
  })
  child.on('error', (error: NodeJS.ErrnoException) => {
    run.fail(startFailure(error))
  })
  // Not 'close': a child of its own may hold the output open for ever.
  child.on('exit', (code, signal) => {
    const finish = (): void => {
      if (run.isOver) return
      const text = output.toString()
      const lastLine = text.trimEnd().split('\n').at(-1) ?? ''
      const exitCode = code ?? undefined
      onEnd(text, { exitCode, signal: signal ?? undefined, lastLine, ...run.measure() })
    }
    // What it printed may still be in the pipe: between two immediates lies a whole poll of it.
    setImmediate(() => setImmediate(finish))
  })
}

function userRefusal(user: string | undefined): string | undefined {
  if (user === undefined) return undefined
  const identity = findUser(user)
  if (identity === undefined) return `there is no user "${user}" to run the script as`
  const own = process.geteuid?.()
  if (own === 0 || own === identity.uid) return undefined
  return `the script cannot run as "${user}" as the prober itself is not root`
}

/** `file` may be another script's, of the same disk. */
const silence = (file: string, withinMs: number): string =>
  `the script was not started within ${spanInWords(withinMs)}: no answer from the disk with ${printable(file)}`

const fill = (word: string, { address, port }: ProbeTarget): string =>
  word.replaceAll('{address}', address).replaceAll('{port}', port === undefined ? '' : String(port))

const KEPT_BYTES = 4096
/** So soon the start is tried again of a file that is being written, or whose disk gave no answer. */
const SOON_MS = 50
