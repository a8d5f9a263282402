import type { MountConfig, MountcheckConfig } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { HealthState } from '../../common/model/health.ts'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { printable, spanInWords } from './blame.ts'
import { isWorthKeeping } from './kept-mounts.ts'
import type { KeptMount } from './kept-mounts.ts'
import { judgeMount } from './mount-report.ts'
import type { MountReport } from './mount-report.ts'
import type { Moment } from './pool-state.ts'

export type ScriptConfig = MountcheckConfig['scripts'][number]

/** Something looked at on a schedule of its own, one look at a time. */
interface Watched {
  /** `unknown` until its first look is over, or past its deadline. */
  state: HealthState
  reason: string
  /** Wall clock of the last change of `state`. */
  sinceMs: number
  /** The look under way. */
  run: number | undefined
  startedAt: MonotonicMs
  nextAt: MonotonicMs
}

export interface MountRecord extends Watched {
  config: MountConfig
  /** The look under way has taken longer than the deadline. */
  isOverdue: boolean
  last: MountReport | undefined
  /** As last seen, also before a restart: a mount that is gone still counts with its size. */
  sizeBytes: number | undefined
  token: string | undefined
}

export interface ScriptRecord extends Watched {
  config: ScriptConfig
}

/** The mount check's whole knowledge, mutable, changed by `stepMounts` alone. */
export interface MountMachine {
  partial: MountcheckConfig['partial']
  mounts: MountRecord[]
  /** Those that the answer counts: of the last configuration whose every mount is known. */
  counted: readonly MountRecord[]
  scripts: ScriptRecord[]
  /** Every mount and script has been known once: before that nothing is up. */
  isReady: boolean
  isDraining: boolean
  /** What was last given to keep. */
  kept: readonly KeptMount[]
  runCount: number
}

export type MountEvent =
  | { readonly type: 'configure'; readonly config: MountcheckConfig }
  | { readonly type: 'deadline' }
  | { readonly type: 'report'; readonly run: number; readonly report: MountReport }
  | {
      readonly type: 'script'
      readonly run: number
      readonly isUp: boolean
      readonly reason: string
    }
  | { readonly type: 'drain' }

export type MountEffect =
  | { readonly type: 'look'; readonly run: number; readonly mount: MountConfig }
  | { readonly type: 'script'; readonly run: number; readonly script: ScriptConfig }
  /** To be given to the next life's `createMountMachine`. */
  | { readonly type: 'keep'; readonly mounts: readonly KeptMount[] }
  | { readonly type: 'tell'; readonly event: EdgeEvent }

/** `kept` is what an earlier life knew of its mounts. */
export function createMountMachine(kept: readonly KeptMount[] = []): MountMachine {
  return {
    partial: 'weight',
    mounts: [],
    counted: [],
    scripts: [],
    isReady: false,
    isDraining: false,
    kept,
    runCount: 0,
  }
}

/** One event in; the machine is changed in place, what is to be done comes out. */
export function stepMounts(
  machine: MountMachine,
  event: MountEvent,
  moment: Moment,
): MountEffect[] {
  const effects: MountEffect[] = []
  switch (event.type) {
    case 'configure':
      configure(machine, event.config, moment)
      break
    case 'deadline':
      for (const mount of machine.mounts) noticeSilence(mount, moment, effects)
      break
    case 'report': {
      const mount = machine.mounts.find(({ run }) => run === event.run)
      if (mount !== undefined) takeReport(mount, event.report, moment, effects)
      break
    }
    case 'script': {
      const script = machine.scripts.find(({ run }) => run === event.run)
      if (script !== undefined) takeScript(script, event, moment, effects)
      break
    }
    case 'drain':
      machine.isDraining = true
      break
  }
  takeStock(machine, effects)
  startDue(machine, moment, effects)
  return effects
}

/** When `stepMounts` wants a `deadline` event; an early or repeated one is harmless. */
export function nextMountDeadline(machine: MountMachine): MonotonicMs | undefined {
  let earliest: number | undefined
  const offer = (at: number): void => {
    if (earliest === undefined || at < earliest) earliest = at
  }
  for (const mount of machine.mounts) {
    if (mount.run === undefined) offer(mount.nextAt)
    else if (!mount.isOverdue) offer(mount.startedAt + mount.config.deadlineMs)
  }
  for (const script of machine.scripts) if (script.run === undefined) offer(script.nextAt)
  return earliest === undefined ? undefined : monotonicMs(earliest)
}

/** A mount's reason as of now: a silence grows. */
export function reasonOf(mount: MountRecord, now: MonotonicMs): string {
  if (!mount.isOverdue) return mount.reason
  const silentMs = Math.floor((now - mount.startedAt) / 1000) * 1000
  return `no answer from ${printable(mount.config.path)} for ${spanInWords(Math.max(silentMs, mount.config.deadlineMs))}`
}

function configure(machine: MountMachine, config: MountcheckConfig, moment: Moment): void {
  machine.partial = config.partial
  const mounts = machine.mounts
  machine.mounts = config.mounts.map((mount) => {
    const known = mounts.find((record) => record.config.path === mount.path)
    if (known === undefined) return newMount(mount, machine.kept, moment)
    known.config = mount
    return known
  })
  const scripts = machine.scripts
  machine.scripts = config.scripts.map((script) => {
    const name = script.command.join(' ')
    const known = scripts.find((record) => record.config.command.join(' ') === name)
    if (known === undefined) return { config: script, ...newWatched(moment) }
    known.config = script
    return known
  })
}

function newMount(config: MountConfig, kept: readonly KeptMount[], moment: Moment): MountRecord {
  const before = kept.find(({ path }) => path === config.path)
  return {
    config,
    ...newWatched(moment),
    reason: `${printable(config.path)} has not been looked at yet`,
    isOverdue: false,
    last: undefined,
    sizeBytes: before?.sizeBytes,
    token: before?.token,
  }
}

const newWatched = ({ now, wallMs }: Moment): Watched => ({
  state: 'unknown',
  reason: 'has not run yet',
  sinceMs: wallMs,
  run: undefined,
  startedAt: now,
  nextAt: now,
})

/**
 * What a configuration adds counts once it is known, and what it takes away until then: else a
 * healthy box would be another one, or down, for as long as its new mounts are first looked at.
 */
function takeStock(machine: MountMachine, effects: MountEffect[]): void {
  const { mounts, scripts } = machine
  if (!mounts.every(isKnown)) return
  machine.counted = mounts
  if (scripts.every(isKnown)) machine.isReady = true
  if (!isWorthKeeping(mounts, machine.kept)) return
  machine.kept = mounts.map(({ config, sizeBytes, token }) => {
    return { path: config.path, sizeBytes, token }
  })
  effects.push({ type: 'keep', mounts: machine.kept })
}

export const isKnown = ({ state }: Watched): boolean => state !== 'unknown'

/** Past its deadline: down, until an answer comes in time. */
function noticeSilence(mount: MountRecord, moment: Moment, effects: MountEffect[]): void {
  if (mount.run === undefined || mount.isOverdue) return
  if (moment.now - mount.startedAt < mount.config.deadlineMs) return
  mount.isOverdue = true
  settle(mount, mount.config.path, 'down', reasonOf(mount, moment.now), moment, effects)
}

function takeReport(
  mount: MountRecord,
  report: MountReport,
  moment: Moment,
  effects: MountEffect[],
): void {
  const tookMs = moment.now - mount.startedAt
  const isLate = mount.isOverdue || tookMs > mount.config.deadlineMs
  mount.run = undefined
  mount.isOverdue = false
  mount.last = report
  mount.sizeBytes = report.space?.sizeBytes ?? mount.sizeBytes
  mount.token = report.token ?? mount.token
  const { path } = mount.config
  const judged = judgeMount(mount.config, report)
  if (isLate && judged.isUp) {
    const reason = `${printable(path)} answered only after ${spanInWords(Math.round(tookMs))}`
    settle(mount, path, 'down', reason, moment, effects)
  } else {
    settle(mount, path, stateOf(judged.isUp), judged.reason, moment, effects)
  }
  // After a silence nobody waits for the next round to believe the disk again.
  const dueAt = isLate ? moment.now : mount.startedAt + mount.config.intervalMs
  mount.nextAt = monotonicMs(Math.max(moment.now, dueAt))
}

function takeScript(
  script: ScriptRecord,
  { isUp, reason }: { readonly isUp: boolean; readonly reason: string },
  moment: Moment,
  effects: MountEffect[],
): void {
  script.run = undefined
  script.nextAt = monotonicMs(Math.max(moment.now, script.startedAt + script.config.intervalMs))
  settle(script, script.config.command.join(' '), stateOf(isUp), reason, moment, effects)
}

const stateOf = (isUp: boolean): 'up' | 'down' => (isUp ? 'up' : 'down')

function settle(
  watched: Watched,
  subject: string,
  to: 'up' | 'down',
  reason: string,
  moment: Moment,
  effects: MountEffect[],
): void {
  watched.reason = reason
  const from = watched.state
  if (from === to) return
  watched.state = to
  watched.sinceMs = moment.wallMs
  const event = `${'isOverdue' in watched ? 'mount' : 'script'} ${to}`
  effects.push({
    type: 'tell',
    event: { atMs: moment.wallMs, event, subject: printable(subject), from, to, reason },
  })
}

function startDue(machine: MountMachine, moment: Moment, effects: MountEffect[]): void {
  const start = (watched: Watched): number => {
    machine.runCount += 1
    watched.run = machine.runCount
    watched.startedAt = moment.now
    return watched.run
  }
  const isDue = ({ run, nextAt }: Watched): boolean => run === undefined && nextAt <= moment.now
  for (const mount of machine.mounts) {
    if (isDue(mount)) effects.push({ type: 'look', run: start(mount), mount: mount.config })
  }
  for (const script of machine.scripts) {
    if (isDue(script)) effects.push({ type: 'script', run: start(script), script: script.config })
  }
}
