import type { CheckConfig, Pool, TcpCheckConfig } from '../../common/config/config.ts'
import { monotonicMs } from '../../common/net/units.ts'
import { DeadlineHeap } from '../../healthcheck/core/deadline-heap.ts'
import { locatedVerdicts, nextDeadline, step } from '../../healthcheck/core/health-machine.ts'
import type { HealthEvent } from '../../healthcheck/core/health-machine.ts'
import { createHealthMachine } from '../../healthcheck/core/machine-state.ts'
import type { HealthEffect, HealthMachine } from '../../healthcheck/core/machine-state.ts'
import { NOTHING_TOLD } from '../../healthcheck/core/outcome.ts'
import type { Outcome } from '../../healthcheck/core/outcome.ts'
import { decodeVerdicts, encodeVerdicts } from '../../healthcheck/core/saved-verdicts.ts'
import type { SavedVerdict } from '../../healthcheck/core/saved-verdicts.ts'

/** How a simulated server answers its checks. */
export type Behaviour =
  'pass' | 'refused' | 'timeout' | 'unreachable' | '503' | '500' | 'slow' | 'own-fault' | Telling

export interface Telling {
  readonly factor?: number
  readonly weight?: number
  readonly boot?: string
  readonly cache?: string
}

/** The machine among simulated servers, in simulated time. */
export class World {
  machine: HealthMachine
  readonly behaviours = new Map<string, Behaviour>()
  nowMs = 0
  latencyMs = 2
  #results = new DeadlineHeap<{ key: string; run: number; outcome: Outcome }>()
  readonly #cancelled = new Set<number>()
  readonly #observe: (effect: HealthEffect, atMs: number) => void
  readonly #init: { random: () => number; concurrency: number }

  constructor(
    observe: (effect: HealthEffect, atMs: number) => void,
    init: { random?: () => number; concurrency?: number; saved?: Map<string, SavedVerdict> } = {},
  ) {
    this.#observe = observe
    const { random = () => 0.5, concurrency = 64, saved } = init
    this.#init = { random, concurrency }
    this.machine = createHealthMachine({ ...this.#init, ...(saved && { saved }) })
  }

  /** The prober ends, and another begins `pauseMs` later with what the first has kept. */
  restart(pauseMs: number): void {
    const moment = { now: monotonicMs(this.nowMs), wallMs: WALL_MS + this.nowMs }
    const text = encodeVerdicts(locatedVerdicts(this.machine, moment), moment.wallMs)
    this.nowMs += pauseMs
    const saved = decodeVerdicts(text, WALL_MS + this.nowMs)
    this.machine = createHealthMachine({ ...this.#init, saved })
    this.#results = new DeadlineHeap()
  }

  send(event: HealthEvent): void {
    const moment = { now: monotonicMs(this.nowMs), wallMs: WALL_MS + this.nowMs }
    for (const effect of step(this.machine, event, moment)) {
      this.#observe(effect, this.nowMs)
      if (effect.type === 'cancel') this.#cancelled.add(effect.run)
      if (effect.type === 'probe') this.#answer(effect)
    }
  }

  /** Lets simulated time pass, up to and including `untilMs`. */
  runUntil(untilMs: number): void {
    for (;;) {
      const soonest = this.#results.peek()
      const next = Math.min(nextDeadline(this.machine) ?? Infinity, soonest?.at ?? Infinity)
      if (next > untilMs) break
      this.nowMs = Math.max(this.nowMs, next)
      if (soonest !== undefined && soonest.at <= this.nowMs) {
        this.#results.pop()
        if (!this.#cancelled.delete(soonest.item.run))
          this.send({ type: 'result', ...soonest.item })
      } else {
        this.send({ type: 'deadline' })
      }
    }
    this.nowMs = untilMs
  }

  #answer({ run, target }: HealthEffect & { type: 'probe' }): void {
    const behaviour =
      this.behaviours.get(`${target.server} ${target.check.name}`) ??
      this.behaviours.get(target.server) ??
      'pass'
    const outcome = outcomeOf(behaviour, this.latencyMs, target.check.timeoutMs)
    const at = this.nowMs + outcome.latencyMs
    this.#results.push(at, { key: target.key, run, outcome })
  }
}

/** What a check makes of a behaviour. */
export function outcomeOf(behaviour: Behaviour, latencyMs: number, timeoutMs: number): Outcome {
  const base = { ...NOTHING_TOLD, lateMs: 0, latencyMs }
  const failed = { ...base, result: 'failed', blame: 'server', isExplicit: false } as const
  switch (behaviour) {
    case 'pass':
      return { ...base, result: 'passed', reason: 'status 200' }
    case 'refused':
      return { ...failed, reason: 'connect refused' }
    case 'timeout':
      return { ...failed, blame: 'doubtful', latencyMs: timeoutMs, reason: 'no first byte' }
    case 'unreachable':
      return { ...failed, blame: 'doubtful', reason: 'host unreachable' }
    case '503':
      return { ...failed, isExplicit: true, reason: 'status 503' }
    case '500':
      return { ...failed, reason: 'status 500' }
    case 'slow':
      return { ...failed, result: 'slow', reason: 'slow: 600 ms for a photo allowed 500 ms' }
    case 'own-fault':
      return { ...failed, blame: 'prober', reason: 'no more file descriptors' }
    default:
      return { ...base, result: 'passed', reason: 'status 200', ...behaviour }
  }
}

/** A TCP check as the defaults make it, or as `changes` say. */
export function tcpCheck(changes: Partial<TcpCheckConfig> = {}): TcpCheckConfig {
  return {
    name: 'tcp',
    type: 'tcp',
    intervalMs: 1000,
    fastIntervalMs: 1000,
    downIntervalMs: 1000,
    timeoutMs: 500,
    fall: 3,
    rise: 1,
    jitterPct: 0,
    port: undefined,
    ...changes,
  }
}

/** An HTTP check of the server's own port, in a second's rhythm. */
export function httpCheck(changes: Record<string, unknown> = {}): CheckConfig {
  return {
    ...tcpCheck(),
    name: 'http',
    type: 'http',
    method: 'GET',
    path: '/',
    host: undefined,
    sni: undefined,
    verify: false,
    status: [200],
    trustStatus: [503],
    reuse: true,
    timeouts: { connectMs: 250, firstByteMs: 500, lastByteMs: 500 },
    header: {},
    body: undefined,
    ...changes,
  }
}

/** A pool of servers named c1, c2, …, at addresses of their own. */
export function poolOf(count: number, changes: Partial<Pool> = {}): Pool {
  const servers = Array.from({ length: count }, (_, index) => ({
    name: `c${index + 1}`,
    address: `10.0.${index >> 8}.${index & 255}`,
    port: 80,
    weight: 1,
  }))
  return {
    name: 'caches',
    origin: 'boxes',
    servers,
    checks: ['tcp'],
    onFail: 'remove',
    maxConnections: undefined,
    framing: 'any',
    keepAlive: { idleMs: 60_000, connections: 128 },
    panicThresholdPct: 50,
    panicForMs: 60_000,
    ...changes,
  }
}

/** The simulated wall clock when simulated time begins. */
export const WALL_MS = 1_700_000_000_000
