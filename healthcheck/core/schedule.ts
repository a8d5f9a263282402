import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import type { HealthEffect, HealthMachine, Probe } from './machine-state.ts'
import type { Moment } from './pool-state.ts'
import { intervalMs } from './probe-health.ts'

/** Starts what is due: first checks so many at a time, all others by the clock alone. */
export function startDue(machine: HealthMachine, moment: Moment, effects: HealthEffect[]): void {
  while (machine.firstRunning < machine.concurrency) {
    const probe = machine.waiting.shift()
    if (probe === undefined) break
    machine.firstRunning += 1
    start(machine, probe, moment, effects)
  }
  for (;;) {
    const entry = dropStale(machine)
    if (entry === undefined || entry.at > moment.now) return
    machine.due.pop()
    start(machine, entry.item, moment, effects)
  }
}

function start(
  machine: HealthMachine,
  probe: Probe,
  moment: Moment,
  effects: HealthEffect[],
): void {
  machine.runCount += 1
  probe.run = machine.runCount
  probe.nextAt = undefined
  probe.startedAt = moment.now
  if (probe.isWanted) probe.wantedAt = moment.now
  probe.isWanted = false
  for (const key of probe.asked) probe.clearing.add(key)
  probe.asked.clear()
  effects.push({ type: 'probe', run: probe.run, target: probe.target })
}

/** The run is over, or given up. */
export function endRun(machine: HealthMachine, probe: Probe): void {
  probe.run = undefined
  if (probe.isFirst) machine.firstRunning -= 1
  probe.isFirst = false
}

/** The next run is to start at `at`, whatever was planned before. */
export function schedule(machine: HealthMachine, probe: Probe, at: MonotonicMs): void {
  if (probe.nextAt === at) return
  probe.nextAt = at
  machine.due.push(at, probe)
}

/** The earliest entry that still stands; a probe scheduled anew leaves its old entry behind. */
export function dropStale(machine: HealthMachine): { at: number; item: Probe } | undefined {
  for (;;) {
    const entry = machine.due.peek()
    if (entry === undefined || entry.item.nextAt === entry.at) return entry
    machine.due.pop()
  }
}

/** Intervals run from start to start; a run that took longer delays the next to its own end. */
export function nextStart(
  machine: HealthMachine,
  probe: Probe,
  isVoid: boolean,
  moment: Moment,
): MonotonicMs {
  if (probe.isWanted) return wantedStart(probe, moment)
  const { check } = probe.target
  const spanMs = isVoid ? check.fastIntervalMs : intervalMs(probe.health, check)
  const isSettled = probe.health.streak === 0 && !isVoid
  let share = 1 - (check.jitterPct / 100) * machine.random()
  if (isSettled && probe.owesPhase) {
    probe.owesPhase = false
    share = phaseOf(probe.index)
  }
  return monotonicMs(Math.max(moment.now, probe.startedAt + spanMs * share))
}

/**
 * When a run that is asked for may start: at once, but one that follows another such waits for the
 * fast interval. A server whose checks pass while its requests fail is asked for without end.
 */
export function wantedStart({ target, wantedAt }: Probe, { now }: Moment): MonotonicMs {
  const soonestAt = wantedAt === undefined ? now : wantedAt + target.check.fastIntervalMs
  return monotonicMs(Math.max(now, soonestAt))
}

/** Spreads the checks of many servers evenly over the interval: multiples of the golden ratio never crowd. */
function phaseOf(index: number): number {
  return 1 - ((index * GOLDEN) % 1)
}

const GOLDEN = 0.618_033_988_749_894_9
