import type { Pool, PoolServer } from '../../common/config/config.ts'
import { resumePanic } from './panic.ts'
import { settle, takeIn } from './pool-health.ts'
import {
  classify,
  confirmedMs,
  newPool,
  newServer,
  setDoubtfulOutage,
  setHeld,
} from './pool-state.ts'
import type { Findings, Moment, PoolRecord, ServerRecord } from './pool-state.ts'
import { newProbe } from './machine-state.ts'
import type { HealthEffect, HealthMachine, Probe } from './machine-state.ts'
import { isSameQuestion, targetsOf } from './probe-plan.ts'
import type { Checks, Pools, ProbeTarget } from './probe-plan.ts'
import { isYoung } from './saved-verdicts.ts'
import { endRun, schedule } from './schedule.ts'

/** Takes a configuration over: what is unchanged keeps its verdict and its schedule. */
export function configure(
  machine: HealthMachine,
  pools: Pools,
  checks: Checks,
  moment: Moment,
  findings: Findings,
  effects: HealthEffect[],
): void {
  const formerServers = new Map(machine.servers)
  const formerPools = new Map(machine.pools)
  machine.servers.clear()
  machine.pools.clear()
  for (const probe of machine.probes.values()) probe.servers = []
  for (const config of Object.values(pools)) {
    const pool = renewPool(formerPools.get(config.name), config)
    machine.pools.set(config.name, pool)
    for (const serverConfig of config.servers) {
      const key = `${config.name}/${serverConfig.name}`
      const known = formerServers.get(key)
      const server = renewServer(machine, pool, serverConfig, known, moment, findings)
      server.weight = machine.weights.get(key) ?? serverConfig.weight
      pool.servers.push(server)
      machine.servers.set(key, server)
      server.checks = targetsOf(config, serverConfig, checks).map((target) => {
        const probe = plan(machine, target, server, moment, effects)
        probe.servers.push({ record: server, key })
        pool.windowMs = Math.max(pool.windowMs, 2 * target.check.intervalMs)
        return { check: target.check.name, key: target.key, source: probe }
      })
    }
  }
  dropUnused(machine, effects)
  // All are known before the first is settled: a panic goes by how many fail.
  for (const server of machine.servers.values()) takeIn(server)
  for (const server of machine.servers.values()) settle(server, moment, findings)
}

/** Its servers are filled in anew; what it remembers of them is theirs. */
function renewPool(known: PoolRecord | undefined, config: Pool): PoolRecord {
  const pool = newPool(config)
  if (known !== undefined) {
    pool.panicUntil = known.panicUntil
    pool.easeUntil = known.easeUntil
    pool.isPanicSpent = known.isPanicSpent
  }
  return pool
}

function renewServer(
  machine: HealthMachine,
  pool: PoolRecord,
  config: PoolServer,
  known: ServerRecord | undefined,
  moment: Moment,
  findings: Findings,
): ServerRecord {
  const { address, port } = config
  if (known?.config.address === address && known.config.port === port) {
    known.confirmedMs = confirmedMs(known, moment.wallMs)
    known.config = config
    known.pool = pool
    setHeld(known, known.heldUntil)
    setDoubtfulOutage(known, known.doubtfulOutage)
    classify(known)
    return known
  }
  const key = `${pool.config.name}/${config.name}`
  const kept = machine.saved.get(key)
  machine.saved.delete(key)
  const isSame = kept?.address === address && kept.port === port && isYoung(kept, moment.wallMs)
  const server = newServer(pool, config, isSame ? kept : undefined, moment)
  if (isSame && kept.keptUntilMs !== undefined) resumePanic(pool, kept.keptUntilMs, moment)
  const before = known?.verdict.state ?? 'unknown'
  if (before !== server.verdict.state) findings.changes.push({ before, verdict: server.verdict })
  return server
}

/** The probe for a target: the one that runs already, or a new one, to be checked at once. */
function plan(
  machine: HealthMachine,
  target: ProbeTarget,
  server: ServerRecord,
  moment: Moment,
  effects: HealthEffect[],
): Probe {
  const known = machine.probes.get(target.key)
  if (known === undefined) {
    const probe = newProbe(target, machine.probeCount, server.verdict, moment)
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
  known.owesPhase = true
  if (!machine.waiting.includes(known)) schedule(machine, known, moment.now)
  return known
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
