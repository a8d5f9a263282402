import { availableParallelism } from 'node:os'
import type { MountcheckConfig, ScriptCheckConfig } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { Clock } from '../../common/runtime/clock.ts'
import { createDeadlineDriver } from '../../common/runtime/deadline-driver.ts'
import { earliest } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { decodeKeptMounts, encodeKeptMounts } from '../core/kept-mounts.ts'
import type { KeptMount } from '../core/kept-mounts.ts'
import { answerOf, answerStandsUntil } from '../core/mount-answer.ts'
import type { MountAnswer } from '../core/mount-answer.ts'
import { createLatenessMeter } from '../core/lateness.ts'
import {
  createMountMachine,
  isUnderWay,
  nextMountDeadline,
  scriptKey,
  stepMounts,
} from '../core/mount-machine.ts'
import type { MountEffect, MountEvent, ScriptConfig } from '../core/mount-machine.ts'
import { createMountProber } from './mount-prober.ts'
import type { MountProber } from './mount-prober.ts'
import type { RunningProbe } from './probe-run.ts'
import { createScriptProber } from './script-probe.ts'

/** Looks at a cache server's mounts and runs its scripts, each on its own schedule. */
export interface MountChecker {
  start(): void
  /** What to answer now, from what is known; never waits, and is made anew only when it changes. */
  answer(): RenderedAnswer
  /** From now on every answer is 503, draining. */
  drain(): void
  reconfigure(config: MountcheckConfig): void
  /** Scripts under way are killed; what looks at a mount ends as soon as its disk lets it. */
  stop(): void
}

/** An answer, ready to be sent as often as it is asked for. */
export interface RenderedAnswer {
  readonly httpStatus: MountAnswer['httpStatus']
  readonly json: Buffer
}

export interface MountCheckerComponents {
  readonly clock: Clock
  readonly onEvent: (event: EdgeEvent) => void
  readonly notes: MountNotes
}

/** Remembers over restarts what was last seen of each mount. */
export interface MountNotes {
  /** Rejects where it could not be written; nobody waits for it. */
  writeJson(name: string, value: unknown): Promise<void>
}

export interface MountCheckerInit {
  readonly config: MountcheckConfig
  /** This boot of the box. */
  readonly boot: string
  /** What a former life kept: the content of `MOUNTS_FILE`. */
  readonly kept: unknown
}

export function createMountChecker(
  { clock, onEvent, notes }: MountCheckerComponents,
  init: MountCheckerInit,
): MountChecker {
  const machine = createMountMachine({
    startsAtOnce: availableParallelism(),
    kept: decodeKeptMounts(init.kept),
  })
  const probers = new Map<string, MountProber>()
  let { config } = init
  let isStopped = false
  let isKept = true
  let rendered: { answer: RenderedAnswer; until: MonotonicMs | undefined } | undefined
  const meter = createLatenessMeter()
  /** What the machine has been told of. */
  let knownLateMs = 0
  const scripts = createScriptProber({
    clock,
    lateMs: () => meter.read(clock.now()).totalMs,
    isLinkUp: () => true,
    localAddress: undefined,
  })
  const runningScripts = new Map<number, RunningProbe>()
  const driver = createDeadlineDriver({
    clock,
    nextDeadline: () => earliest(nextMountDeadline(machine), meter.nextBeat()),
    onDeadline: () => {
      // What a process has answered meanwhile is read before its deadline counts.
      setImmediate(() => {
        run({ type: 'deadline' })
      })
    },
  })

  function run(event: MountEvent): void {
    if (isStopped) return
    rendered = undefined
    const moment = { now: clock.now(), wallMs: clock.wallMs() }
    // First, as no answer is late, and no silence too long, by what is the checker's own.
    const lateMs = meter.read(moment.now).totalMs - knownLateMs
    knownLateMs += lateMs
    if (lateMs > 0) stepMounts(machine, { type: 'late', lateMs }, moment)
    for (const effect of stepMounts(machine, event, moment)) apply(effect)
    meter.watch(isUnderWay(machine), moment.now)
    driver.rearm()
  }

  function apply(effect: MountEffect): void {
    switch (effect.type) {
      case 'start':
        proberOf(effect.path).start()
        return
      case 'look':
        proberOf(effect.mount.path).look(effect.run, effect.mount)
        return
      case 'script':
        runScript(effect.run, effect.script)
        return
      case 'keep':
        keep(effect.mounts)
        return
      case 'tell':
        onEvent(effect.event)
        return
    }
  }

  function runScript(number: number, script: ScriptConfig): void {
    const probe = scripts.run(scriptTarget(script), (outcome) => {
      runningScripts.delete(number)
      const isUp = outcome.result === 'passed'
      const isVoid = outcome.result !== 'passed' && outcome.blame === 'prober'
      run({ type: 'script', run: number, isUp, isVoid, reason: outcome.reason })
    })
    runningScripts.set(number, probe)
  }

  function keep(mounts: readonly KeptMount[]): void {
    notes.writeJson(MOUNTS_FILE, encodeKeptMounts(mounts)).then(
      () => {
        isKept = true
      },
      (error: unknown) => {
        if (!isKept) return
        isKept = false
        const { message: reason } = error as Error
        const event = { event: 'mounts not kept', from: undefined, to: undefined, reason }
        onEvent({ atMs: clock.wallMs(), subject: MOUNTS_FILE, ...event })
      },
    )
  }

  function answer(): RenderedAnswer {
    const now = clock.now()
    if (rendered === undefined || (rendered.until !== undefined && now >= rendered.until)) {
      const { httpStatus, body } = answerOf(machine, init.boot, now)
      const json = Buffer.from(JSON.stringify(body))
      rendered = { answer: { httpStatus, json }, until: answerStandsUntil(machine, now) }
    }
    return rendered.answer
  }

  function proberOf(path: string): MountProber {
    const known = probers.get(path)
    if (known !== undefined) return known
    const prober = createMountProber(path, {
      clock,
      onReady: () => {
        run({ type: 'ready', path })
      },
      onReport: (number, report) => {
        run({ type: 'report', run: number, report })
      },
      onGone: (how) => {
        run({ type: 'gone', path, how })
      },
      onBlocked: (how) => {
        run({ type: 'blocked', path, how })
      },
      onUnblocked: () => {
        run({ type: 'unblocked', path })
      },
    })
    probers.set(path, prober)
    return prober
  }

  function configure(): void {
    const paths = new Set(config.mounts.map((mount) => mount.path))
    for (const [path, prober] of probers) {
      if (paths.has(path)) continue
      prober.stop()
      probers.delete(path)
    }
    run({ type: 'configure', config })
  }

  return {
    start: configure,
    answer,
    drain() {
      run({ type: 'drain' })
    },
    reconfigure(next) {
      config = next
      configure()
    },
    stop() {
      isStopped = true
      driver.stop()
      for (const prober of probers.values()) prober.stop()
      for (const script of runningScripts.values()) script.cancel()
    },
  }
}

/** What is kept of the mounts over a restart, in the state folder. */
export const MOUNTS_FILE = 'mounts.json'

/** A script of the mount check is a script check that knows no address. */
function scriptTarget(script: ScriptConfig) {
  const { command, intervalMs, timeoutMs } = script
  const name = command.join(' ')
  const check: ScriptCheckConfig = {
    name,
    type: 'script',
    command,
    user: undefined,
    dynamic: false,
    intervalMs,
    fastIntervalMs: intervalMs,
    downIntervalMs: intervalMs,
    timeoutMs,
    fall: 1,
    rise: 1,
    jitterPct: 0,
    port: undefined,
  }
  return { key: scriptKey(script), check, address: '', port: undefined, server: '' }
}
