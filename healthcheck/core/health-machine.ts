import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { CheckResult, HealthChange, Verdict } from '../../common/model/health.ts'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { DeadlineHeap } from './deadline-heap.ts'
import type { Outcome } from './outcome.ts'
import { newServer, nextPoolDeadline, setHeld, settle, settlePool } from './pool-health.ts'
import type { Findings, Moment, PoolHealth, ServerHealth } from './pool-health.ts'
import { freshHealth, intervalMs, judge } from './probe-health.ts'
import type { ProbeHealth } from './probe-health.ts'
import { isOnPhotoPort, isSameQuestion, targetsOf } from './probe-plan.ts'
import type { Checks, Pools, ProbeTarget } from './probe-plan.ts'

/**
 * The prober's whole knowledge, mutable, changed by `step` alone.
 * 1. A probe is in the heap under its `nextAt`, or in `waiting`, or running: one of the three.
 * 2. At most one run of a probe is under way; its number is `run`.
 * 3. A server's `raw` verdict follows from its probes' health at all times.
 */
export interface HealthMachine {
  readonly random: () => number
  /** How many first checks may run at once. */
  readonly concurrency: number
  readonly probes: Map<string, Probe>
  readonly pools: Map<string, PoolHealth>
  /** By `pool/server`. */
  readonly servers: Map<string, ServerHealth>
  readonly due: DeadlineHeap<Probe>
  /** Never checked yet, in turn. */
  waiting: Probe[]
  firstRunning: number
  probeCount: number
  runCount: number
  /** Last alert that the prober itself is in trouble. */
  troubleToldAt: MonotonicMs | undefined
}

/** One check of one address. */
export interface Probe {
  target: ProbeTarget
  /** Place in the order of making, for staggering. */
  readonly index: number
  health: ProbeHealth
  servers: { readonly health: ServerHealth; readonly key: string }[]
  nextAt: MonotonicMs | undefined
  /** The run under way. */
  run: number | undefined
  startedAt: MonotonicMs
  isFirst: boolean
  /** Asked for while running: run again at once. */
  isWanted: boolean
  /** Servers whose suspicion a good run begun from now on clears. */
  asked: Set<string>
  /** Those that the run under way clears. */
  clearing: Set<string>
  /** Since when its results are void by the prober's own fault. */
  voidSince: MonotonicMs | undefined
  voidReason: string | undefined
  results: CheckResult[]
}

export type HealthEvent =
  | { readonly type: 'configure'; readonly pools: Pools; readonly checks: Checks }
  | { readonly type: 'deadline' }
  | {
      readonly type: 'result'
      readonly key: string
      readonly run: number
      readonly outcome: Outcome
    }
  /** A worker suspects the server: check it at once. */
  | { readonly type: 'checkNow'; readonly pool: string; readonly server: string }

export type HealthEffect =
  | { readonly type: 'probe'; readonly run: number; readonly target: ProbeTarget }
  | { readonly type: 'cancel'; readonly run: number; readonly target: ProbeTarget }
  | { readonly type: 'change'; readonly change: HealthChange }
  | { readonly type: 'tell'; readonly event: EdgeEvent }

export interface HealthMachineInit {
  /** 0 to 1, for jitter. */
  readonly random: () => number
  readonly concurrency: number
}

/** A machine with no pools yet. */
export function createHealthMachine({ random, concurrency }: HealthMachineInit): HealthMachine {
  return {
    random,
    concurrency,
    probes: new Map(),
    pools: new Map(),
    servers: new Map(),
    due: new DeadlineHeap(),
    waiting: [],
    firstRunning: 0,
    probeCount: 0,
    runCount: 0,
    troubleToldAt: undefined,
  }
}

/** One event in; the machine is changed in place, what is to be done comes out in order. */
export function step(machine: HealthMachine, event: HealthEvent, moment: Moment): HealthEffect[] {
  const effects: HealthEffect[] = []
  const findings: Findings = { changes: [], events: [] }
  switch (event.type) {
    case 'configure':
      configure(machine, event.pools, event.checks, moment, findings, effects)
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
  let earliest = dropStale(machine)?.at
  for (const pool of machine.pools.values()) {
    const at = nextPoolDeadline(pool)
    if (at !== undefined && (earliest === undefined || at < earliest)) earliest = at
  }
  return earliest === undefined ? undefined : monotonicMs(earliest)
}

/** Every server's verdict, pool by pool, in the order configured. */
export function verdicts(machine: HealthMachine): Verdict[] {
  return [...machine.servers.values()].map((server) => server.verdict)
}

/** The last ten results of a server's checks, oldest first. */
export function history(machine: HealthMachine, pool: string, server: string): CheckResult[] {
  const probes = probesOf(machine, `${pool}/${server}`)
  const results = probes.flatMap((probe) => probe.results)
  return results.sort((a, b) => a.atMs - b.atMs).slice(-HISTORY)
}

function configure(
  machine: HealthMachine,
  pools: Pools,
  checks: Checks,
  moment: Moment,
  findings: Findings,
  effects: HealthEffect[],
): void {
  const former = new Map(machine.servers)
  machine.servers.clear()
  const formerPools = new Map(machine.pools)
  machine.pools.clear()
  for (const probe of machine.probes.values()) probe.servers = []
  for (const config of Object.values(pools)) {
    const pool = formerPools.get(config.name) ?? newPool(config)
    pool.config = config
    pool.held.clear()
    machine.pools.set(config.name, pool)
    let longestMs = 0
    pool.servers = config.servers.map((serverConfig) => {
      const key = `${config.name}/${serverConfig.name}`
      const known = former.get(key)
      const isSame =
        known?.config.address === serverConfig.address && known.config.port === serverConfig.port
      const server = isSame ? known : newServer(pool, serverConfig, moment)
      if (known !== undefined && !isSame) {
        findings.changes.push({ before: known.verdict.state, verdict: server.verdict })
      }
      server.config = serverConfig
      server.pool = pool
      setHeld(server, server.heldUntil)
      machine.servers.set(key, server)
      const probes = targetsOf(config, serverConfig, checks).map((target) => {
        longestMs = Math.max(longestMs, target.check.intervalMs)
        const probe = plan(machine, target, server, moment, effects)
        probe.servers.push({ health: server, key })
        return { check: target.check.name, key: target.key, source: probe }
      })
      server.probes = probes
      return server
    })
    pool.windowMs = 2 * longestMs
  }
  dropUnused(machine, effects)
  for (const server of machine.servers.values()) settle(server, moment, findings)
}

const newPool = (config: PoolHealth['config']): PoolHealth => ({
  config,
  servers: [],
  held: new Set(),
  windowMs: 0,
  panicUntil: undefined,
  isPanicSpent: false,
})

/** The probe for a target: the one that runs already, or a new one, to be checked at once. */
function plan(
  machine: HealthMachine,
  target: ProbeTarget,
  server: ServerHealth,
  moment: Moment,
  effects: HealthEffect[],
): Probe {
  const known = machine.probes.get(target.key)
  if (known === undefined) {
    const probe = newProbe(target, machine.probeCount, server.verdict.state, moment)
    machine.probeCount += 1
    machine.probes.set(target.key, probe)
    machine.waiting.push(probe)
    return probe
  }
  if (isSameQuestion(known.target, target)) return known
  if (known.run !== undefined) {
    effects.push({ type: 'cancel', run: known.run, target: known.target })
    endRun(machine, known)
  }
  known.target = target
  if (!machine.waiting.includes(known)) schedule(machine, known, moment.now)
  return known
}

function newProbe(
  target: ProbeTarget,
  index: number,
  assumed: Verdict['state'],
  moment: Moment,
): Probe {
  return {
    target,
    index,
    health: freshHealth(assumed),
    servers: [],
    nextAt: undefined,
    run: undefined,
    startedAt: moment.now,
    isFirst: true,
    isWanted: false,
    asked: new Set(),
    clearing: new Set(),
    voidSince: undefined,
    voidReason: undefined,
    results: [],
  }
}

function dropUnused(machine: HealthMachine, effects: HealthEffect[]): void {
  for (const [key, probe] of machine.probes) {
    if (probe.servers.length > 0) continue
    if (probe.run !== undefined) {
      effects.push({ type: 'cancel', run: probe.run, target: probe.target })
      endRun(machine, probe)
    }
    probe.nextAt = undefined
    machine.probes.delete(key)
  }
  machine.waiting = machine.waiting.filter((probe) => probe.servers.length > 0)
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
  const wasFirst = probe.isFirst
  endRun(machine, probe)
  const isVoid = judgeResult(machine, probe, outcome, moment, findings)
  for (const { health: server, key: serverKey } of probe.servers) {
    if (outcome.result !== 'passed') setHeld(server, undefined)
    settle(server, moment, findings)
    if (outcome.result === 'passed' && probe.clearing.has(serverKey)) {
      const { verdict } = server
      const cleared = { ...verdict, clearsSuspicion: true }
      findings.changes.push({ before: verdict.state, verdict: cleared })
    }
  }
  if (outcome.result !== 'passed') for (const asked of probe.clearing) probe.asked.add(asked)
  probe.clearing.clear()
  schedule(machine, probe, nextStart(machine, probe, wasFirst, isVoid, moment))
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
  Math.max(0, ...probe.servers.map((server) => server.health.pool.config.panicForMs))

/** Intervals run from start to start; a run that took longer delays the next to its own end. */
function nextStart(
  machine: HealthMachine,
  probe: Probe,
  wasFirst: boolean,
  isVoid: boolean,
  moment: Moment,
): MonotonicMs {
  if (probe.isWanted) return moment.now
  const { check } = probe.target
  const spanMs = isVoid ? check.fastIntervalMs : intervalMs(probe.health, check)
  const isSettled = probe.health.streak === 0 && !isVoid
  const share =
    wasFirst && isSettled ? phaseOf(probe.index) : 1 - (check.jitterPct / 100) * machine.random()
  return monotonicMs(Math.max(moment.now, probe.startedAt + spanMs * share))
}

/** Spreads second checks evenly over the interval: multiples of the golden ratio never crowd. */
function phaseOf(index: number): number {
  return 1 - ((index * GOLDEN) % 1)
}

function checkNow(machine: HealthMachine, key: string, moment: Moment): void {
  const server = machine.servers.get(key)
  if (server === undefined) return
  for (const probe of probesOf(machine, key)) {
    if (isOnPhotoPort(probe.target, server.config)) {
      probe.clearing.delete(key)
      probe.asked.add(key)
    }
    if (probe.run !== undefined) probe.isWanted = true
    else if (probe.nextAt !== undefined) schedule(machine, probe, moment.now)
  }
}

function probesOf(machine: HealthMachine, serverKey: string): Probe[] {
  const probes = machine.servers.get(serverKey)?.probes ?? []
  return probes.flatMap(({ key }) => machine.probes.get(key) ?? [])
}

function startDue(machine: HealthMachine, moment: Moment, effects: HealthEffect[]): void {
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
  probe.isWanted = false
  for (const key of probe.asked) probe.clearing.add(key)
  probe.asked.clear()
  effects.push({ type: 'probe', run: probe.run, target: probe.target })
}

function endRun(machine: HealthMachine, probe: Probe): void {
  probe.run = undefined
  if (probe.isFirst) machine.firstRunning -= 1
  probe.isFirst = false
}

function schedule(machine: HealthMachine, probe: Probe, at: MonotonicMs): void {
  if (probe.nextAt === at) return
  probe.nextAt = at
  machine.due.push(at, probe)
}

/** The earliest entry that still stands; a probe scheduled anew leaves its old entry behind. */
function dropStale(machine: HealthMachine): { at: number; item: Probe } | undefined {
  for (;;) {
    const entry = machine.due.peek()
    if (entry === undefined || entry.item.nextAt === entry.at) return entry
    machine.due.pop()
  }
}

const HISTORY = 10
const TROUBLE_PAUSE_MS = 60_000
const GOLDEN = 0.618_033_988_749_894_9
