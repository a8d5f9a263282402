import type { MountConfig, MountcheckConfig } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { HealthState } from '../../common/model/health.ts'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { printable, spanInWords } from './blame.ts'
import { isWorthKeeping } from './kept-mounts.ts'
import type { KeptMount } from './kept-mounts.ts'
import { failedReport, judgeMount } from './mount-report.ts'
import type { MountReport } from './mount-report.ts'
import type { Moment } from './pool-state.ts'

export type ScriptConfig = MountcheckConfig['scripts'][number]

/** Something looked at on a schedule of its own, one look at a time. */
interface Watched<Config> {
  config: Config
  /** `unknown` until its first look is over, or past its deadline, or can't be begun. */
  state: HealthState
  reason: string
  /** Wall clock of the last change of `state`. */
  sinceMs: number
  /** The look under way. */
  run: number | undefined
  /** What that look was begun with, where a reload has changed more than the interval since. */
  begunWith: Config | undefined
  startedAt: MonotonicMs
  nextAt: MonotonicMs
}

export interface MountRecord extends Watched<MountConfig> {
  /**
   * What looks at it. A start that takes too long is `late`: down, until it is `ready` after all;
   * `blocked` stays none until a former one has ended.
   */
  process: 'none' | 'blocked' | 'starting' | 'late' | 'ready'
  /** Of the process's last start. */
  orderedAt: MonotonicMs
  /** How far the deadline of the start or look under way was put off. */
  putOffMs: number
  /** When a process first died in its start or in a look since the last report. */
  retriedAt: MonotonicMs | undefined
  /** The look under way has taken longer than the deadline. */
  isOverdue: boolean
  last: MountReport | undefined
  /** As last seen, also before a restart: a mount that is gone still counts with its size. */
  sizeBytes: number | undefined
  token: string | undefined
}

export interface ScriptRecord extends Watched<ScriptConfig> {
  /** When a run first failed by the checker's own fault since the last that did not. */
  voidSince: MonotonicMs | undefined
}

/** The mount check's whole knowledge, mutable, changed by `stepMounts` alone. */
export interface MountMachine {
  partial: MountcheckConfig['partial']
  mounts: MountRecord[]
  /** Those that the answer counts: of the last configuration whose every mount is known. */
  counted: readonly MountRecord[]
  /** How many processes may be starting at a time: all at once would make each other late. */
  readonly startsAtOnce: number
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
  /** The checker itself was late by so much before the next event, and could not hear what came. */
  | { readonly type: 'late'; readonly lateMs: number }
  /** The process that was to be started waits for looks. */
  | { readonly type: 'ready'; readonly path: string }
  /** It has ended, or can't be started: `how` in words. */
  | { readonly type: 'gone'; readonly path: string; readonly how: string }
  /** None is started, as a former one still hangs with the mount: `how` in words. */
  | { readonly type: 'blocked'; readonly path: string; readonly how: string }
  /** That one has ended. */
  | { readonly type: 'unblocked'; readonly path: string }
  | { readonly type: 'report'; readonly run: number; readonly report: MountReport }
  | {
      readonly type: 'script'
      readonly run: number
      readonly isUp: boolean
      /** It has failed by the checker's own fault. */
      readonly isVoid?: boolean
      readonly reason: string
    }
  | { readonly type: 'drain' }

type ProcessEvent = Extract<MountEvent, { readonly path: string }>

export type MountEffect =
  /** A process for that mount, to be answered by `ready`, `gone` or `blocked`. */
  | { readonly type: 'start'; readonly path: string }
  | { readonly type: 'look'; readonly run: number; readonly mount: MountConfig }
  | { readonly type: 'script'; readonly run: number; readonly script: ScriptConfig }
  /** To be given to the next life's `createMountMachine`. */
  | { readonly type: 'keep'; readonly mounts: readonly KeptMount[] }
  | { readonly type: 'tell'; readonly event: EdgeEvent }

export interface MountMachineInit {
  readonly startsAtOnce: number
  /** What an earlier life knew of its mounts. */
  readonly kept: readonly KeptMount[]
}

/** A machine with nothing to look at yet. */
export function createMountMachine({ startsAtOnce, kept }: MountMachineInit): MountMachine {
  return {
    startsAtOnce,
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
      for (const mount of machine.mounts) {
        noticeLateStart(mount, moment, effects)
        noticeSilence(mount, moment, effects)
      }
      break
    case 'late':
      for (const mount of machine.mounts) putOff(mount, event.lateMs)
      return effects
    case 'ready':
    case 'gone':
    case 'blocked':
    case 'unblocked': {
      const mount = machine.mounts.find(({ config }) => config.path === event.path)
      if (mount === undefined) break
      takeProcess(mount, event, moment, effects)
      break
    }
    case 'report': {
      const mount = machine.mounts.find(({ run }) => run === event.run)
      if (mount === undefined) break
      mount.retriedAt = undefined
      takeReport(mount, event.report, moment, effects)
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
  // What waits for a process, or for another one's start, is woken by an event.
  const mayStart = startingCount(machine) < machine.startsAtOnce
  for (const mount of machine.mounts) {
    const { process, run } = mount
    if (process === 'starting') offer(mount.orderedAt + START_MS)
    else if (run !== undefined && !mount.isOverdue) offer(mount.startedAt + mount.config.deadlineMs)
    else if (run === undefined && (process === 'ready' || (process === 'none' && mayStart)))
      offer(mount.nextAt)
  }
  for (const script of machine.scripts) if (script.run === undefined) offer(script.nextAt)
  return earliest === undefined ? undefined : monotonicMs(earliest)
}

/** Whether the checker's own lateness matters now: something has a deadline that has not passed. */
export function isUnderWay({ mounts, scripts }: MountMachine): boolean {
  return mounts.some(isTimed) || scripts.some(({ run }) => run !== undefined)
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
    reconfigure(known, mount, moment)
    return known
  })
  const scripts = machine.scripts
  machine.scripts = config.scripts.map((script) => {
    const key = scriptKey(script)
    const known = scripts.find((record) => scriptKey(record.config) === key)
    if (known === undefined) return { ...newWatched(script, moment), voidSince: undefined }
    reconfigure(known, script, moment)
    return known
  })
}

/**
 * What is changed is looked at at once, or as soon as the look under way is over; by a shorter
 * interval alone, when that is over since the last look. A reload that changes nothing hastens none.
 */
function reconfigure<Config extends MountConfig | ScriptConfig>(
  watched: Watched<Config>,
  config: Config,
  { now }: Moment,
): void {
  const before = watched.config
  watched.config = config
  const isSame = isSameQuestion(before, config)
  if (watched.run !== undefined) {
    // Its end plans the next one.
    if (!isSame) watched.begunWith ??= before
    return
  }
  if (isSame && config.intervalMs >= before.intervalMs) return
  const dueAt = isSame ? watched.startedAt + config.intervalMs : now
  watched.nextAt = monotonicMs(Math.min(watched.nextAt, Math.max(now, dueAt)))
}

/** How often it is asked makes no other question. */
function isSameQuestion<Config extends MountConfig | ScriptConfig>(a: Config, b: Config): boolean {
  return JSON.stringify({ ...a, intervalMs: 0 }) === JSON.stringify({ ...b, intervalMs: 0 })
}

/** Tells a script from all others: one of the arguments `a b` is another than one of `a` and `b`. */
export const scriptKey = ({ command }: ScriptConfig): string => JSON.stringify(command)

function newMount(config: MountConfig, kept: readonly KeptMount[], moment: Moment): MountRecord {
  const before = kept.find(({ path }) => path === config.path)
  return {
    ...newWatched(config, moment),
    reason: `${printable(config.path)} has not been looked at yet`,
    process: 'none',
    orderedAt: moment.now,
    putOffMs: 0,
    retriedAt: undefined,
    isOverdue: false,
    last: undefined,
    sizeBytes: before?.sizeBytes,
    token: before?.token,
  }
}

const newWatched = <Config>(config: Config, { now, wallMs }: Moment): Watched<Config> => ({
  config,
  state: 'unknown',
  reason: 'has not run yet',
  sinceMs: wallMs,
  run: undefined,
  begunWith: undefined,
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

export const isKnown = ({ state }: MountRecord | ScriptRecord): boolean => state !== 'unknown'

const isTimed = ({ process, run, isOverdue }: MountRecord): boolean =>
  process === 'starting' || (run !== undefined && !isOverdue)

/**
 * A mount is not blamed for its checker. What has been put off by its own time is put off no more:
 * a checker that is late all the time finds a mount that hangs, too.
 */
function putOff(mount: MountRecord, lateMs: number): void {
  const isStart = mount.process === 'starting'
  const withinMs = isStart ? START_MS : mount.config.deadlineMs
  if (!isTimed(mount) || mount.putOffMs >= withinMs) return
  mount.putOffMs += lateMs
  if (isStart) mount.orderedAt = monotonicMs(mount.orderedAt + lateMs)
  else mount.startedAt = monotonicMs(mount.startedAt + lateMs)
}

/** Its process should have been there by now: nothing is known of the mount any more. */
function noticeLateStart(mount: MountRecord, moment: Moment, effects: MountEffect[]): void {
  if (mount.process !== 'starting' || moment.now - mount.orderedAt < START_MS) return
  mount.process = 'late'
  const message = `the process that looks at it has not started for ${spanInWords(START_MS)}`
  const { reason } = judgeMount(mount.config, processFailure(message))
  settle(mount, mount.config.path, 'down', reason, moment, effects)
}

function takeProcess(
  mount: MountRecord,
  event: ProcessEvent,
  moment: Moment,
  effects: MountEffect[],
): void {
  switch (event.type) {
    case 'ready':
      mount.process = 'ready'
      return
    case 'gone':
      takeLoss(mount, event.how, moment, effects)
      return
    case 'blocked': {
      mount.process = 'blocked'
      const { reason } = judgeMount(mount.config, processFailure(event.how))
      settle(mount, mount.config.path, 'down', reason, moment, effects)
      return
    }
    case 'unblocked':
      if (mount.process !== 'blocked') return
      mount.process = 'none'
      mount.nextAt = moment.now
      mount.retriedAt = undefined
      // What was said of the process is true no more.
      mount.reason = `${printable(mount.config.path)} has not been looked at again yet`
  }
}

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
  // What it was not asked for, it can't tell.
  const judged = judgeMount(mount.begunWith ?? mount.config, report)
  const isRepeated = endLook(mount)
  mount.isOverdue = false
  // Without a look nothing has become known of it.
  if (report.failure?.step !== 'process') mount.last = report
  mount.sizeBytes = report.space?.sizeBytes ?? mount.sizeBytes
  mount.token = report.token ?? mount.token
  const { path } = mount.config
  if (isLate && judged.isUp) {
    const reason = `${printable(path)} answered only after ${spanInWords(Math.round(tookMs))}`
    settle(mount, path, 'down', reason, moment, effects)
  } else {
    settle(mount, path, stateOf(judged.isUp), judged.reason, moment, effects)
  }
  // After a silence nobody waits for the next round to believe the disk again.
  const dueAt = isLate || isRepeated ? moment.now : mount.startedAt + mount.config.intervalMs
  mount.nextAt = monotonicMs(Math.max(moment.now, dueAt))
}

/** Whether another one is to follow at once, as a reload has changed what is to be looked for. */
function endLook(watched: MountRecord | ScriptRecord): boolean {
  const isRepeated = watched.begunWith !== undefined
  watched.run = undefined
  watched.begunWith = undefined
  return isRepeated
}

/**
 * A process's end is not the mount's fault (memory is short, somebody has killed it). In a look
 * another one looks again, once; in their starts they have as long as one that hangs there. Where
 * it was idle nobody waits for another one.
 */
function takeLoss(mount: MountRecord, how: string, moment: Moment, effects: MountEffect[]): void {
  const { process, run, retriedAt } = mount
  const isIdle = process === 'ready' && run === undefined
  const mayRetry =
    process === 'starting'
      ? retriedAt === undefined || moment.now - retriedAt < START_MS
      : run !== undefined && !mount.isOverdue && retriedAt === undefined
  if (!isIdle && !mayRetry) {
    takeFailure(mount, how, moment, effects)
    return
  }
  mount.process = 'none'
  endLook(mount)
  if (!isIdle) {
    mount.nextAt = monotonicMs(moment.now + (retriedAt === undefined ? 0 : RESTART_MS))
    mount.retriedAt ??= moment.now
  }
  const reason = `${how}: another one looks again`
  const told = { event: 'mount process died', subject: printable(mount.config.path), reason }
  const event = { atMs: moment.wallMs, from: undefined, to: undefined, ...told }
  effects.push({ type: 'tell', event })
}

/** Nobody looks at the mount: that is its report. */
function takeFailure(
  mount: MountRecord,
  how: string,
  moment: Moment,
  effects: MountEffect[],
): void {
  // One that did not get so far is started again an interval after this start.
  if (mount.run === undefined) mount.startedAt = mount.orderedAt
  mount.process = 'none'
  takeReport(mount, processFailure(how), moment, effects)
}

const processFailure = (message: string): MountReport =>
  failedReport({ step: 'process', code: '', message })

/** What is short here is no script's fault: it is run again soon, for as long as a look's start is. */
function takeScript(
  script: ScriptRecord,
  { isUp, isVoid = false, reason }: Extract<MountEvent, { readonly type: 'script' }>,
  moment: Moment,
  effects: MountEffect[],
): void {
  const isRepeated = endLook(script)
  script.voidSince = isVoid ? (script.voidSince ?? moment.now) : undefined
  const { intervalMs, command } = script.config
  const againMs = isVoid ? RESTART_MS : isRepeated ? 0 : intervalMs
  const dueAt = Math.min(script.startedAt + intervalMs, moment.now + againMs)
  script.nextAt = monotonicMs(Math.max(moment.now, dueAt))
  if (script.voidSince !== undefined && moment.now - script.voidSince < START_MS) return
  settle(script, command.join(' '), stateOf(isUp), reason, moment, effects)
}

const stateOf = (isUp: boolean): 'up' | 'down' => (isUp ? 'up' : 'down')

function settle(
  watched: MountRecord | ScriptRecord,
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
  const start = (watched: MountRecord | ScriptRecord): number => {
    machine.runCount += 1
    watched.run = machine.runCount
    watched.startedAt = moment.now
    return watched.run
  }
  const isDue = ({ run, nextAt }: MountRecord | ScriptRecord): boolean =>
    run === undefined && nextAt <= moment.now
  for (const mount of machine.mounts) {
    if (mount.process !== 'ready' || !isDue(mount)) continue
    mount.putOffMs = 0
    effects.push({ type: 'look', run: start(mount), mount: mount.config })
  }
  const lacking = machine.mounts.filter((mount) => mount.process === 'none' && isDue(mount))
  lacking.sort((a, b) => a.nextAt - b.nextAt)
  const placesLeft = machine.startsAtOnce - startingCount(machine)
  for (const mount of lacking.slice(0, placesLeft)) {
    mount.process = 'starting'
    mount.orderedAt = moment.now
    mount.putOffMs = 0
    effects.push({ type: 'start', path: mount.config.path })
  }
  for (const script of machine.scripts) {
    if (isDue(script)) effects.push({ type: 'script', run: start(script), script: script.config })
  }
}

const startingCount = ({ mounts }: MountMachine): number =>
  mounts.filter(({ process }) => process === 'starting').length

/** A process is there after a fraction of a second; on a box that has much else to do, after some. */
const START_MS = 10_000
/** What is short need not be asked for without a pause. */
const RESTART_MS = 1_000
