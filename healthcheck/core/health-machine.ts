import type { CheckResult, Verdict } from '../../common/model/health.ts'
import { earliest, monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { configure } from './configure.ts'
import type { HealthEffect, HealthMachine, Probe } from './machine-state.ts'
import type { Outcome } from './outcome.ts'
import { nextPoolDeadline, settle, settlePool } from './pool-health.ts'
import { keptUntilMs } from './panic.ts'
import { confirmedMs, setHeld } from './pool-state.ts'
import type { Findings, Moment } from './pool-state.ts'
import { judge } from './probe-health.ts'
import { isOnPhotoPort } from './probe-plan.ts'
import type { Checks, Pools } from './probe-plan.ts'
import type { LocatedVerdict } from './saved-verdicts.ts'
import { dropStale, endRun, nextStart, schedule, startDue, wantedStart } from './schedule.ts'

export type HealthEvent =
  | { readonly type: 'configure'; readonly pools: Pools; readonly checks: Checks }
  /** The weights in force, by `pool/server`, where they are not the configured ones. */
  | { readonly type: 'weights'; readonly weights: ReadonlyMap<string, number> }
  | { readonly type: 'deadline' }
  | {
      readonly type: 'result'
      readonly key: string
      readonly run: number
      readonly outcome: Outcome
    }
  /** A worker suspects the server: check it at once. */
  | { readonly type: 'checkNow'; readonly pool: string; readonly server: string }

/** One event in; the machine is changed in place, what is to be done comes out in order. */
export function step(machine: HealthMachine, event: HealthEvent, moment: Moment): HealthEffect[] {
  const effects: HealthEffect[] = []
  const findings: Findings = { changes: [], events: [] }
  switch (event.type) {
    case 'configure':
      configure(machine, event.pools, event.checks, moment, findings, effects)
      break
    case 'weights':
      setWeights(machine, event.weights, moment, findings)
      break
    case 'deadline':
      for (const pool of machine.pools.values()) {
        const at = nextPoolDeadline(pool)
        if (at !== undefined && at <= moment.now) settlePool(pool, moment, findings)
      }
      break
    case 'result':
      takeResult(machine, event.key, event.run, event.outcome, moment, findings)
      break
    case 'checkNow':
      checkNow(machine, `${event.pool}/${event.server}`, moment)
      break
  }
  startDue(machine, moment, effects)
  for (const told of findings.events) effects.push({ type: 'tell', event: told })
  for (const change of findings.changes) effects.push({ type: 'change', change })
  return effects
}

/** When `step` wants a `deadline` event; an early or repeated one is harmless. */
export function nextDeadline(machine: HealthMachine): MonotonicMs | undefined {
  const probeAt = dropStale(machine)?.at
  let soonest = probeAt === undefined ? undefined : monotonicMs(probeAt)
  for (const pool of machine.pools.values()) soonest = earliest(soonest, nextPoolDeadline(pool))
  return soonest
}

/** Every server's verdict, pool by pool, in the order configured. */
export function verdicts(machine: HealthMachine): Verdict[] {
  return [...machine.servers.values()].map((server) => server.verdict)
}

/** The verdicts with their servers' addresses, for keeping over a restart. */
export function locatedVerdicts(machine: HealthMachine, moment: Moment): LocatedVerdict[] {
  return [...machine.servers.values()].map((server) => {
    const { verdict, upCache, config } = server
    return {
      verdict,
      upCache,
      address: config.address,
      port: config.port,
      confirmedMs: confirmedMs(server, moment.wallMs),
      keptUntilMs: keptUntilMs(server, moment),
    }
  })
}

/** The last ten results of a server's checks, oldest first. */
export function history(machine: HealthMachine, pool: string, server: string): CheckResult[] {
  const probes = probesOf(machine, `${pool}/${server}`)
  const results = probes.flatMap((probe) => probe.results)
  return results.sort((a, b) => a.atMs - b.atMs).slice(-HISTORY)
}

/** Another share of a pool may be missing now than when its servers were damped. */
function setWeights(
  machine: HealthMachine,
  weights: ReadonlyMap<string, number>,
  moment: Moment,
  findings: Findings,
): void {
  machine.weights = weights
  for (const [key, server] of machine.servers) {
    server.weight = weights.get(key) ?? server.config.weight
  }
  for (const pool of machine.pools.values()) settlePool(pool, moment, findings)
}

function takeResult(
  machine: HealthMachine,
  key: string,
  run: number,
  outcome: Outcome,
  moment: Moment,
  findings: Findings,
): void {
  const probe = machine.probes.get(key)
  // Cancelled, or of a configuration gone by.
  if (probe?.run !== run) return
  endRun(machine, probe)
  const isVoid = judgeResult(machine, probe, outcome, moment, findings)
  for (const { record: server, key: serverKey } of probe.servers) {
    if (outcome.result !== 'passed' && !isVoid) setHeld(server, undefined)
    settle(server, moment, findings)
    if (outcome.result === 'passed' && probe.clearing.has(serverKey)) {
      const { verdict } = server
      const cleared = { ...verdict, clearsSuspicion: true }
      findings.changes.push({ before: verdict.state, verdict: cleared })
    }
  }
  if (outcome.result !== 'passed') for (const asked of probe.clearing) probe.asked.add(asked)
  probe.clearing.clear()
  schedule(machine, probe, nextStart(machine, probe, isVoid, moment))
}

/** Counts the result for or against the server, unless it is the prober's own fault. */
function judgeResult(
  machine: HealthMachine,
  probe: Probe,
  outcome: Outcome,
  moment: Moment,
  findings: Findings,
): boolean {
  const { target } = probe
  const isOwnFault = outcome.result !== 'passed' && outcome.blame === 'prober'
  if (isOwnFault) probe.voidSince ??= moment.now
  const isVoid = isOwnFault && moment.now - (probe.voidSince ?? moment.now) < panicForMs(probe)
  const result: CheckResult['result'] = isVoid ? 'void' : outcome.result
  const { latencyMs, reason } = outcome
  const entry = { atMs: moment.wallMs, check: target.check.name, result, latencyMs, reason }
  probe.results = [...probe.results.slice(1 - HISTORY), entry]
  if (isVoid) {
    probe.voidReason = reason
    tellTrouble(machine, probe, reason, moment, findings)
    return true
  }
  probe.voidReason = undefined
  if (!isOwnFault) probe.voidSince = undefined
  // Kept for as long as may be: from here on it counts, and is no reason for another panic.
  const counted = isOwnFault ? { ...outcome, blame: 'server' as const } : outcome
  const before = probe.health
  probe.health = judge(before, counted, target.check)
  if (probe.health.streak === 0) probe.confirmedMs = moment.wallMs
  if (outcome.result !== 'passed' && before.state === 'up' && before.streak === 0) {
    tellFirstFailure(probe, outcome.result, reason, moment, findings)
  }
  return false
}

function tellTrouble(
  machine: HealthMachine,
  probe: Probe,
  reason: string,
  moment: Moment,
  findings: Findings,
): void {
  const toldAt = machine.troubleToldAt
  if (toldAt !== undefined && moment.now - toldAt < TROUBLE_PAUSE_MS) return
  machine.troubleToldAt = moment.now
  findings.events.push({
    atMs: moment.wallMs,
    event: 'prober in trouble',
    subject: subjectOf(probe),
    from: undefined,
    to: undefined,
    reason: `the last verdicts are kept, for at most ${panicForMs(probe) / 1000} s: ${reason}`,
  })
}

function tellFirstFailure(
  probe: Probe,
  result: 'slow' | 'failed',
  reason: string,
  moment: Moment,
  findings: Findings,
): void {
  const { name, fall } = probe.target.check
  findings.events.push({
    atMs: moment.wallMs,
    event: `check ${result}`,
    subject: subjectOf(probe),
    from: undefined,
    to: undefined,
    reason: `${name}: ${reason} (1 of ${fall})`,
  })
}

const subjectOf = (probe: Probe): string => probe.servers[0]?.key ?? probe.target.server

const panicForMs = (probe: Probe): number =>
  Math.max(0, ...probe.servers.map((server) => server.record.pool.config.panicForMs))

function checkNow(machine: HealthMachine, key: string, moment: Moment): void {
  const server = machine.servers.get(key)
  if (server === undefined) return
  for (const probe of probesOf(machine, key)) {
    if (isOnPhotoPort(probe.target, server.config)) {
      probe.clearing.delete(key)
      probe.asked.add(key)
    }
    probe.isWanted = true
    const at = wantedStart(probe, moment)
    if (probe.nextAt !== undefined && at < probe.nextAt) schedule(machine, probe, at)
  }
}

function probesOf(machine: HealthMachine, serverKey: string): Probe[] {
  const probes = machine.servers.get(serverKey)?.checks ?? []
  return probes.flatMap(({ key }) => machine.probes.get(key) ?? [])
}

const HISTORY = 10
const TROUBLE_PAUSE_MS = 60_000
