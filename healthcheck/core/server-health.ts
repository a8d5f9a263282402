import type { HealthState } from '../../common/model/health.ts'
import type { ProbeHealth } from './probe-health.ts'

/** One check of a server, by name. */
export interface NamedHealth {
  readonly check: string
  readonly health: ProbeHealth
}

/** What a server's checks say together, before damping and panic. */
export interface RawVerdict {
  readonly state: HealthState
  readonly factor: number
  readonly reason: string
  /** Down, or failing, by nothing that could not be the prober's or the network's own fault. */
  readonly isDoubtful: boolean
  readonly boot: string | undefined
  readonly cache: string | undefined
}

/** All must pass: one down check is a down server, and the smallest factor is the server's. */
export function combine(probes: readonly NamedHealth[], weight: number): RawVerdict {
  const healths = probes.map((probe) => probe.health)
  const boot = healths.find((health) => health.told.boot !== undefined)?.told.boot
  const cache = healths.find((health) => health.told.cache !== undefined)?.told.cache
  const down = probes.filter((probe) => probe.health.state === 'down')
  if (down.length > 0) {
    const isDoubtful = down.every((probe) => probe.health.blame === 'doubtful')
    const reason = reasons(down, probes.length)
    return { state: 'down', factor: 0, reason, isDoubtful, boot, cache }
  }
  const unknown = probes.filter((probe) => probe.health.state === 'unknown')
  if (unknown.length > 0) {
    const reason = reasons(unknown, probes.length)
    return { state: 'unknown', factor: 0, reason, isDoubtful: false, boot, cache }
  }
  const failing = probes.filter((probe) => isFailing(probe.health))
  const isDoubtful = failing.length > 0 && failing.every((p) => p.health.blame === 'doubtful')
  const factor = Math.min(1, ...healths.map((health) => factorOf(health, weight)))
  const reason = probes.length === 0 ? 'no check configured' : reasons(probes, probes.length)
  return { state: 'up', factor, reason, isDoubtful, boot, cache }
}

/** Still up, and its last result was bad. */
export function isFailing(health: ProbeHealth): boolean {
  return health.state === 'up' && health.streak > 0
}

function factorOf(health: ProbeHealth, weight: number): number {
  const { told } = health
  if (told.weight === undefined) return told.factor
  return weight > 0 ? Math.min(1, told.weight / weight) : 0
}

function reasons(probes: readonly NamedHealth[], checkCount: number): string {
  if (checkCount === 1) return probes[0]?.health.reason ?? ''
  return probes.map((probe) => `${probe.check}: ${probe.health.reason}`).join('; ')
}
