import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { CheckResult, HealthChange, Verdict } from '../../common/model/health.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { DeadlineHeap } from './deadline-heap.ts'
import type { Moment, PoolRecord, ServerRecord } from './pool-state.ts'
import { assumedHealth } from './probe-health.ts'
import type { ProbeHealth } from './probe-health.ts'
import type { ProbeTarget } from './probe-plan.ts'
import type { SavedVerdict } from './saved-verdicts.ts'

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
  readonly pools: Map<string, PoolRecord>
  /** By `pool/server`. */
  readonly servers: Map<string, ServerRecord>
  /** Weights that stand in for the configured ones, by `pool/server`. */
  weights: ReadonlyMap<string, number>
  /** Verdicts of a former life, by `pool/server`, until their servers are configured. */
  readonly saved: Map<string, SavedVerdict>
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
  servers: { readonly record: ServerRecord; readonly key: string }[]
  nextAt: MonotonicMs | undefined
  /** The run under way. */
  run: number | undefined
  startedAt: MonotonicMs
  isFirst: boolean
  /** In step with the others it was begun with, until a verdict stands: then it is staggered. */
  owesPhase: boolean
  /** A run has been asked for that has not begun yet. */
  isWanted: boolean
  /** When the last run that was asked for began. */
  wantedAt: MonotonicMs | undefined
  /** Servers whose suspicion a good run begun from now on clears. */
  asked: Set<string>
  /** Those that the run under way clears. */
  clearing: Set<string>
  /** Since when its results are void by the prober's own fault. */
  voidSince: MonotonicMs | undefined
  voidReason: string | undefined
  confirmedMs: number | undefined
  results: CheckResult[]
}

/** What a step wants done. */
export type HealthEffect =
  | { readonly type: 'probe'; readonly run: number; readonly target: ProbeTarget }
  | { readonly type: 'cancel'; readonly run: number; readonly target: ProbeTarget }
  | { readonly type: 'change'; readonly change: HealthChange }
  | { readonly type: 'tell'; readonly event: EdgeEvent }

export interface HealthMachineInit {
  /** 0 to 1, for jitter. */
  readonly random: () => number
  readonly concurrency: number
  /** Verdicts kept over a restart, by `pool/server`. */
  readonly saved?: ReadonlyMap<string, SavedVerdict>
}

/** A machine with no pools yet. */
export function createHealthMachine({
  random,
  concurrency,
  saved,
}: HealthMachineInit): HealthMachine {
  return {
    random,
    concurrency,
    probes: new Map(),
    pools: new Map(),
    servers: new Map(),
    weights: new Map(),
    saved: new Map(saved),
    due: new DeadlineHeap(),
    waiting: [],
    firstRunning: 0,
    probeCount: 0,
    runCount: 0,
    troubleToldAt: undefined,
  }
}

/** A probe never run; `assumed` is what was known of its server before. */
export function newProbe(
  target: ProbeTarget,
  index: number,
  assumed: Verdict,
  moment: Moment,
): Probe {
  return {
    target,
    index,
    health: assumedHealth(assumed),
    servers: [],
    nextAt: undefined,
    run: undefined,
    startedAt: moment.now,
    isFirst: true,
    owesPhase: true,
    isWanted: false,
    wantedAt: undefined,
    asked: new Set(),
    clearing: new Set(),
    voidSince: undefined,
    voidReason: undefined,
    confirmedMs: undefined,
    results: [],
  }
}
