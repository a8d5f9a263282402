import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { CheckResult, HealthChange, Verdict } from '../../common/model/health.ts'
import { earliest, monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import type { Clock } from '../../common/runtime/clock.ts'
import { createDeadlineDriver } from '../../common/runtime/deadline-driver.ts'
import { history, locatedVerdicts, nextDeadline, step, verdicts } from '../core/health-machine.ts'
import type { HealthEvent } from '../core/health-machine.ts'
import { createLatenessMeter } from '../core/lateness.ts'
import type { Lateness } from '../core/lateness.ts'
import { createHealthMachine } from '../core/machine-state.ts'
import type { HealthEffect } from '../core/machine-state.ts'
import { decodeVerdicts } from '../core/saved-verdicts.ts'
import { errorFailure } from '../core/blame.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Checks, Pools, ProbeTarget } from '../core/probe-plan.ts'
import { createHttpProber } from './http-probe.ts'
import { isLinkUp } from './own-link.ts'
import { ProbeRun } from './probe-run.ts'
import type { ProbeComponents, RunningProbe } from './probe-run.ts'
import { createScriptProber } from './script-probe.ts'
import { createVerdictStore, VERDICTS_FILE } from './verdict-store.ts'
import type { VerdictStore, WriteState } from './verdict-store.ts'
import { runTcpProbe } from './tcp-probe.ts'

/** The one prober of a box: it checks every server of the pools it is given, and says what it finds. */
export interface Prober {
  /** Checks every server at once, so many at a time, and from then on by its intervals. */
  start(): void
  /** Takes over a new configuration; verdicts of unchanged servers stand. */
  reconfigure(pools: Pools, checks: Checks): void
  /**
   * The weights in force, by `pool/server`, where they are not the configured ones; 0 of a drained
   * server. How much of a pool is left to serve goes by them.
   */
  setWeights(weights: ReadonlyMap<string, number>): void
  /** Somebody suspects the server: check it at once. A name unknown by now is ignored. */
  checkNow(pool: string, server: string): void
  /** Every server's verdict, pool by pool, in the order configured. */
  verdicts(): Verdict[]
  /** The last ten results of a server's checks, oldest first. */
  history(pool: string, server: string): CheckResult[]
  /** How late the prober's own event loop has been. */
  lateness(): Lateness
  /** Ends all probes, and keeps the verdicts; nothing else is told afterwards. */
  stop(): void
}

export interface ProberComponents {
  readonly clock: Clock
  readonly onEvent: (event: EdgeEvent) => void
  /** A verdict has changed, or a suspicion may be dropped: pass it on as it is. */
  readonly onChange: (change: HealthChange) => void
  /** Keeps the verdicts, as `VERDICTS_FILE`; without it they are not kept. */
  readonly writeState?: WriteState
  /** 0 to 1, for jitter; by default Math.random. */
  readonly random?: () => number
}

export interface ProberInit {
  readonly pools: Pools
  readonly checks: Checks
  /** How many servers may have their first check at once; by default 64. */
  readonly concurrency?: number
  /** The address to probe from; by default the kernel's choice. */
  readonly localAddress?: string
  /** The box's own interface: while it has no carrier no server is blamed. */
  readonly interface?: string
  /** What a former life kept: the text of `VERDICTS_FILE`. */
  readonly saved?: string
}

/** A prober at rest: `start` sets it going. */
export function createProber(components: ProberComponents, init: ProberInit): Prober {
  const { clock, onEvent, onChange, random = Math.random } = components
  const store = openStore(components)
  const machine = createHealthMachine({
    random,
    concurrency: init.concurrency ?? 64,
    ...(init.saved !== undefined && { saved: decodeVerdicts(init.saved, clock.wallMs()) }),
  })
  const running = new Map<number, RunningProbe>()
  let current = { pools: init.pools, checks: init.checks }
  let isStarted = false
  let isStopped = false
  let saveAt: MonotonicMs | undefined
  const meter = createLatenessMeter()

  const probeComponents: ProbeComponents = {
    clock,
    lateMs: () => meter.read(clock.now()).totalMs,
    isLinkUp: () => isLinkUp(init.interface),
    localAddress: init.localAddress,
  }
  const httpProber = createHttpProber(probeComponents)
  const scriptProber = createScriptProber(probeComponents)

  const driver = createDeadlineDriver({
    clock,
    nextDeadline: () => earliest(earliest(nextDeadline(machine), meter.nextBeat()), saveAt),
    onDeadline: (lateMs) => {
      const now = clock.now()
      meter.note(monotonicMs(now - lateMs), now)
      run({ type: 'deadline' })
    },
  })

  function run(event: HealthEvent): void {
    if (isStopped) return
    const moment = { now: clock.now(), wallMs: clock.wallMs() }
    if (saveAt !== undefined && moment.now >= saveAt) {
      saveAt = monotonicMs(moment.now + SAVE_EVERY_MS)
      store?.save(locatedVerdicts(machine, moment), moment.wallMs)
    }
    for (const effect of step(machine, event, moment)) apply(effect)
    // While probes run the loop's lateness is watched closely, for their deadlines' sake.
    meter.watch(running.size > 0, moment.now)
    driver.rearm()
  }

  function apply(effect: HealthEffect): void {
    switch (effect.type) {
      case 'probe':
        start(effect.run, effect.target)
        return
      case 'cancel':
        running.get(effect.run)?.cancel()
        running.delete(effect.run)
        return
      case 'change':
        if (store !== undefined) saveAt = soonest(saveAt)
        onChange(effect.change)
        return
      case 'tell':
        onEvent(effect.event)
        return
    }
  }

  function start(number: number, target: ProbeTarget): void {
    const done = (outcome: Outcome): void => {
      running.delete(number)
      run({ type: 'result', key: target.key, run: number, outcome })
    }
    try {
      running.set(number, launch(target, done))
    } catch (error) {
      // Node refuses some targets outright (a path with control characters, a port of 0).
      const { code = 'ERROR', message } = error as NodeJS.ErrnoException
      const failure = errorFailure(code, message, 'connect')
      const failed = new ProbeRun(probeComponents, { done })
      running.set(number, failed)
      setImmediate(() => {
        failed.fail(failure)
      })
    }
  }

  function launch(target: ProbeTarget, done: (outcome: Outcome) => void): RunningProbe {
    const { check } = target
    switch (check.type) {
      case 'tcp':
        return runTcpProbe(probeComponents, { ...target, check }, done)
      case 'http':
      case 'https':
      case 'photo':
        return httpProber.run({ ...target, check }, done)
      case 'script':
        return scriptProber.run({ ...target, check }, done)
    }
  }

  /** Changes that come together are written together. */
  function soonest(planned: MonotonicMs | undefined): MonotonicMs | undefined {
    return earliest(planned, monotonicMs(clock.now() + SAVE_SOON_MS))
  }

  function configure(): void {
    run({ type: 'configure', ...current })
    httpProber.retain(new Set(machine.probes.keys()))
  }

  return {
    start() {
      isStarted = true
      configure()
    },
    reconfigure(pools, checks) {
      current = { pools, checks }
      if (isStarted) configure()
    },
    setWeights(weights) {
      run({ type: 'weights', weights })
    },
    checkNow(pool, server) {
      run({ type: 'checkNow', pool, server })
    },
    verdicts: () => verdicts(machine),
    history: (pool, server) => history(machine, pool, server),
    lateness: () => meter.read(clock.now()),
    stop() {
      if (isStarted && !isStopped) {
        const moment = { now: clock.now(), wallMs: clock.wallMs() }
        store?.save(locatedVerdicts(machine, moment), moment.wallMs)
      }
      isStopped = true
      driver.stop()
      for (const probe of running.values()) probe.cancel()
      running.clear()
      httpProber.retain(new Set())
    },
  }
}

function openStore({ clock, onEvent, writeState }: ProberComponents): VerdictStore | undefined {
  if (writeState === undefined) return undefined
  return createVerdictStore(writeState, (reason) => {
    const none = { from: undefined, to: undefined }
    const event = 'verdicts not kept'
    onEvent({ atMs: clock.wallMs(), event, subject: VERDICTS_FILE, ...none, reason })
  })
}

/** Kept verdicts are never older than this, unless the prober is gone. */
const SAVE_EVERY_MS = 10_000
const SAVE_SOON_MS = 200
