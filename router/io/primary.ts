import cluster from 'node:cluster'
import { fileURLToPath } from 'node:url'
import type { Config, ListenerConfig } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { Verdict } from '../../common/model/health.ts'
import type { Clock } from '../../common/runtime/clock.ts'
import { createDeadlineDriver } from '../../common/runtime/deadline-driver.ts'
import type { DeadlineDriver } from '../../common/runtime/deadline-driver.ts'
import type { CountersSnapshot } from '../core/counters.ts'
import type { KeptReturns } from '../core/kept-returns.ts'
import { overrideKey } from '../core/overrides.ts'
import { Returns } from '../core/returns.ts'
import type { ReturnPool, ReturnView } from '../core/returns.ts'
import { afterDeath, NO_DEATHS } from '../core/restart-backoff.ts'
import type { RestartBackoff } from '../core/restart-backoff.ts'
import { listeningPlaces, openListeningGroup, placeName } from './listening-sockets.ts'
import type { ListeningGroup } from './listening-sockets.ts'
import { dropAmbientCapabilities } from './socket-calls.ts'
import type { Overrides, PrimaryMessage, TableNote, WorkerMessage } from './messages.ts'
import type { ListenerSecrets } from './tls/secrets.ts'
import { WorkerProcess } from './worker-slot.ts'
import type { WorkerView } from './worker-slot.ts'

/** Everything that makes a generation: what each worker must have to serve by it. */
export interface Setup {
  readonly generation: number
  readonly box: string
  /** `forBox` done, with a router section. */
  readonly config: Config
  readonly secrets: readonly ListenerSecrets[]
  readonly tables: readonly TableNote[]
}

export interface PrimaryComponents {
  readonly clock: Clock
  readonly onEvent: (event: EdgeEvent) => void
  readonly onSuspect: (pool: string, server: string) => void
  /** A worker's counters: `incarnation` differs for each process. */
  readonly onStats: (worker: number, incarnation: number, snapshot: CountersSnapshot) => void
  /** Its last counters stand; there will be no more. */
  readonly onGone: (worker: number, incarnation: number) => void
  /** The tables again, each in a file that holds it where that can be had; never rejects. */
  readonly restoreTables: (tables: readonly TableNote[]) => Promise<readonly TableNote[]>
  /** The returns of caches have changed: for `PrimaryInit.returns` of a next life. */
  readonly onReturns: (returns: KeptReturns) => void
}

export interface PrimaryInit {
  readonly setup: Setup
  readonly overrides: Overrides
  readonly verdicts: readonly Verdict[]
  /** What a former life kept. */
  readonly returns: KeptReturns
}

/** How long the kernel's queues are still emptied when a socket is given up. */
const TAIL_MS = 150

/** A worker whose configuration is not in use by then goes on as it can; the reload has happened. */
const READY_TIMEOUT_MS = 30_000

/** Returns that change together are kept together. */
const KEEP_DELAY_MS = 100

/** Beyond its deadline a worker has this long to end by itself. */
const KILL_GRACE_MS = 1_000

/**
 * The router's supervisor: it holds the listening sockets, keeps one worker for each of their
 * places, replaces those that die, and hands everybody what they need. It does no HTTP.
 */
export class Primary {
  readonly #components: PrimaryComponents
  readonly #groups = new Map<string, ListeningGroup>()
  readonly #workers = new Set<WorkerProcess>()
  readonly #backoffs = new Map<number, RestartBackoff>()
  readonly #verdicts = new Map<string, Verdict>()
  readonly #returns: Returns
  readonly #steps: DeadlineDriver
  readonly #timers = new Set<NodeJS.Timeout>()
  #setup: Setup
  #overrides: Overrides
  #isStopping = false
  #keeping: NodeJS.Timeout | undefined
  /** Since the last death the tables' files have been looked at. */
  #restoring: Promise<void> = Promise.resolve()
  #restartCount = 0
  #onChange: (() => void)[] = []

  /** Opens the listening sockets: all, or none and `RTR_LISTEN_FAILED`. No worker runs yet. */
  constructor(components: PrimaryComponents, init: PrimaryInit) {
    this.#components = components
    this.#setup = init.setup
    this.#overrides = init.overrides
    this.#returns = new Returns(init.returns, components.clock.wallMs())
    this.#steps = createDeadlineDriver({
      clock: components.clock,
      nextDeadline: () => this.#returns.nextDeadline(),
      onDeadline: () => {
        this.#tell(this.#returns.tick(this.#moment()))
        this.#broadcastVerdicts([])
      },
    })
    this.#configureReturns()
    this.#keepVerdicts(init.verdicts)
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('./worker-entry.ts', import.meta.url)),
      args: [],
      serialization: 'advanced',
    })
    for (const group of this.#openGroups(init.setup)) this.#groups.set(group.name, group)
    // The right to low ports stays here, for a reload's; workers have none.
    dropAmbientCapabilities()
  }

  get generation(): number {
    return this.#setup.generation
  }

  /** Worker deaths that were followed by a replacement, since the start. */
  get restartCount(): number {
    return this.#restartCount
  }

  /** At least one worker serves, and none is told to end for good. */
  get isReady(): boolean {
    return !this.#isStopping && [...this.#workers].some(({ state }) => state === 'ready')
  }

  workers(): WorkerView[] {
    return [...this.#workers]
      .map((worker) => worker.view())
      .sort((a, b) => a.worker - b.worker || a.sinceMs - b.sinceMs)
  }

  /** Forks the workers; resolves when all serve (or after 30 s, with those that do). */
  async start(): Promise<void> {
    for (let index = 0; index < workerCount(this.#setup); index++) this.#fork(index)
    await this.#until(() => this.#areReady())
  }

  /**
   * Takes a new generation into use: first opens what it adds (where that fails, it throws and
   * nothing has changed), then tells the workers, which go over without losing a connection, then
   * gives up what it left out. Resolves when every worker serves by it.
   */
  async reconfigure(setup: Setup, overrides: Overrides): Promise<void> {
    const opened = this.#openGroups(setup)
    for (const group of opened) this.#groups.set(group.name, group)
    this.#setup = setup
    this.#overrides = overrides
    this.#configureReturns()
    this.#broadcastVerdicts([])
    const names = new Set(placesOf(setup).map(placeName))
    const left = [...this.#groups.values()].filter(({ name }) => !names.has(name))
    for (const worker of this.#workers)
      if (worker.isIntroduced && worker.state !== 'draining') this.#configure(worker)
    this.#resize()
    await this.#until(() => this.#areReady())
    if (left.length === 0) return
    for (const group of left) group.refuse()
    // A reload that names one of them again must not find it half closed.
    await new Promise<void>((resolve) => this.#later(TAIL_MS, resolve))
    this.#close(left)
  }

  setVerdicts(verdicts: readonly Verdict[]): void {
    this.#keepVerdicts(verdicts)
    this.#broadcastVerdicts(verdicts)
  }

  /** A cache's return in steps; undefined: there is none under way. */
  returnOf(pool: string, server: string): ReturnView | undefined {
    return this.#returns.view(pool, server, this.#components.clock.now())
  }

  /** `tables`: all that the configuration with these overrides needs. */
  setOverrides(overrides: Overrides, tables: readonly TableNote[]): void {
    this.#overrides = overrides
    this.#setup = { ...this.#setup, tables }
    this.#configureReturns()
    this.#broadcastVerdicts([])
    this.#broadcast({ type: 'overrides', overrides, tables })
  }

  /** Certificates or ticket keys have changed. */
  setSecrets(secrets: ListenerSecrets): void {
    const others = this.#setup.secrets.filter(({ listener }) => listener !== secrets.listener)
    this.#setup = { ...this.#setup, secrets: [...others, secrets] }
    for (const message of secretMessages(secrets)) this.#broadcast(message)
  }

  reopenLogs(): void {
    this.#broadcast({ type: 'reopenLog' })
  }

  /**
   * Takes no new connection, lets what is in flight end until the deadline, and resolves when all
   * workers are gone. `kill` cuts it short.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true
    for (const group of this.#groups.values()) group.refuse()
    for (const worker of this.#workers) this.#end(worker, deadlineMs)
    this.#later(TAIL_MS, () => {
      this.#close([...this.#groups.values()])
    })
    await this.#until(() => this.#workers.size === 0, Infinity)
    this.#close([...this.#groups.values()])
    this.#steps.stop()
    for (const timer of this.#timers) clearTimeout(timer)
    this.#components.onReturns(this.#returns.kept())
  }

  /** Ends everything at once. */
  kill(): void {
    this.#isStopping = true
    this.#steps.stop()
    this.#close([...this.#groups.values()])
    for (const worker of this.#workers) worker.kill('SIGKILL')
  }

  #openGroups(setup: Setup): ListeningGroup[] {
    const count = workerCount(setup)
    const ours = new Set([...this.#groups.keys()].map(portOf))
    const counts = new Map([...this.#groups.values()].map((group) => [group, group.count]))
    const opened: ListeningGroup[] = []
    try {
      for (const group of counts.keys()) group.resize(Math.max(group.count, count))
      for (const place of placesOf(setup)) {
        if (this.#groups.has(placeName(place))) continue
        // `[::]:80` beside `0.0.0.0:80`, or in its stead: the port is known to be ours.
        const group = openListeningGroup(place, { isOurs: ours.has(String(place.port)) })
        ours.add(String(place.port))
        opened.push(group)
        group.resize(count)
      }
    } catch (error) {
      for (const group of opened) group.close()
      for (const [group, before] of counts) {
        group.resize(before)
        group.closeRest()
      }
      throw error
    }
    return opened
  }

  #fork(index: number): void {
    const { clock } = this.#components
    const worker = new WorkerProcess(
      index,
      { ms: clock.now(), wallMs: clock.wallMs() },
      {
        onMessage: (from, message) => {
          this.#receive(from, message)
        },
        onExit: (from, reason) => {
          this.#buried(from, reason)
        },
      },
    )
    this.#workers.add(worker)
  }

  #receive(worker: WorkerProcess, message: WorkerMessage): void {
    switch (message.type) {
      case 'hello':
        void this.#introduce(worker)
        return
      case 'ready':
        worker.generation = message.generation
        if (worker.state === 'starting') worker.state = 'ready'
        this.#changed()
        return
      case 'stats':
        worker.lateMs = message.lateMs
        worker.snapshot = message.snapshot
        this.#components.onStats(worker.index + 1, worker.pid, message.snapshot)
        return
      case 'suspect':
        this.#components.onSuspect(message.pool, message.server)
        return
      case 'event':
        this.#components.onEvent(message.event)
        return
      case 'leaving':
        this.#leave(worker, message.signal)
    }
  }

  async #introduce(worker: WorkerProcess): Promise<void> {
    await this.#restoring
    // It was told to stop before it could listen to anything, or ended.
    if (worker.state !== 'starting') return
    worker.isIntroduced = true
    const verdicts = [...this.#verdicts.values()]
    const { tables } = this.#setup
    worker.send({ type: 'overrides', overrides: this.#overrides, tables })
    const returning = this.#returns.returning(this.#components.clock.now())
    worker.send({ type: 'verdicts', verdicts, returning })
    this.#configure(worker)
  }

  /** Everything of the current generation that the worker does not have yet. */
  #configure(worker: WorkerProcess): void {
    const { generation, config, box, secrets, tables } = this.#setup
    for (const one of secrets) for (const message of secretMessages(one)) worker.send(message)
    worker.send({ type: 'configure', generation, config, box, tables })
    worker.send({ type: 'overrides', overrides: this.#overrides, tables })
    for (const [listener, place] of placesByListener(this.#setup)) {
      const key = `${listener} ${place}`
      const group = this.#groups.get(place)
      if (group === undefined || worker.listening.has(key)) continue
      group.resize(Math.max(group.count, worker.index + 1))
      worker.send({ type: 'listen', socket: place, listener }, group.handle(worker.index))
      worker.listening.add(key)
    }
    worker.send({ type: 'synchronize' })
  }

  /** More workers, or fewer: the last ones go, and their sockets get no new connection. */
  #resize(): void {
    const count = workerCount(this.#setup)
    for (const group of this.#groups.values()) group.resize(count)
    for (const worker of this.#workers)
      if (worker.index >= count) this.#end(worker, drainDeadlineMs(this.#setup))
    const staying = [...this.#workers].filter(({ state }) => state !== 'draining')
    const present = new Set(staying.map(({ index }) => index))
    for (let index = 0; index < count; index++) if (!present.has(index)) this.#fork(index)
  }

  #end(worker: WorkerProcess, deadlineMs: number): void {
    if (worker.state === 'draining') return
    worker.state = 'draining'
    worker.send({ type: 'stop', deadlineMs, tailMs: TAIL_MS })
    this.#later(deadlineMs + TAIL_MS + KILL_GRACE_MS, () => {
      if (worker.state !== 'dead') worker.kill('SIGKILL')
    })
  }

  /** It was sent a signal by somebody else. Where everything stops, ours comes in a moment. */
  #leave(worker: WorkerProcess, signal: string): void {
    if (worker.state === 'draining') return
    worker.state = 'draining'
    this.#later(SIGNAL_SETTLE_MS, () => {
      if (this.#isStopping || worker.state === 'dead' || this.#wasReplaced(worker)) return
      this.#report('worker leaves', worker, 'ready', 'draining', `it was sent ${signal}`)
      this.#replace(worker.index, 0)
    })
  }

  #buried(worker: WorkerProcess, reason: string): void {
    const wasLeaving = this.#wasReplaced(worker)
    const { index } = worker
    const lifeMs = this.#components.clock.now() - worker.startedAtMs
    this.#workers.delete(worker)
    this.#components.onGone(index + 1, worker.pid)
    const isExpected = this.#isStopping || index >= workerCount(this.#setup)
    if (isExpected) this.#closeRest()
    else if (!wasLeaving) {
      const wasReady = worker.generation > 0
      const { backoff, delayMs } = afterDeath(
        this.#backoffs.get(index) ?? NO_DEATHS,
        lifeMs,
        wasReady,
      )
      this.#backoffs.set(index, backoff)
      const when = delayMs === 0 ? 'at once' : `in ${delayMs} ms`
      const state = wasReady ? 'ready' : 'starting'
      this.#report('worker died', worker, state, 'dead', `${reason}; it is replaced ${when}`)
      this.#replace(index, delayMs)
    }
    this.#changed()
  }

  /** Workers stand in the order of their starts: a later one of its place is its successor. */
  #wasReplaced(worker: WorkerProcess): boolean {
    const ofItsPlace = [...this.#workers].filter(({ index }) => index === worker.index)
    return ofItsPlace.slice(ofItsPlace.indexOf(worker) + 1).some(({ state }) => state !== 'dead')
  }

  #replace(index: number, delayMs: number): void {
    this.#restartCount++
    if (delayMs === 0) {
      this.#forkSuccessor(index)
      return
    }
    this.#later(delayMs, () => {
      const isMissing = ![...this.#workers].some(
        (worker) => worker.index === index && worker.state !== 'draining',
      )
      if (!this.#isStopping && isMissing && index < workerCount(this.#setup))
        this.#forkSuccessor(index)
    })
  }

  /** Unlike the first workers, it may come long after the tables were written. */
  #forkSuccessor(index: number): void {
    this.#restoring = this.#restoring.then(() => this.#restoreTables())
    this.#fork(index)
  }

  async #restoreTables(): Promise<void> {
    const { tables } = this.#setup
    const restored = await this.#components.restoreTables(tables)
    // Others that came meanwhile were looked at when they were built.
    if (this.#setup.tables === tables) this.#setup = { ...this.#setup, tables: restored }
  }

  #closeRest(): void {
    const highest = Math.max(-1, ...[...this.#workers].map(({ index }) => index))
    if (highest < workerCount(this.#setup))
      for (const group of this.#groups.values()) group.closeRest()
  }

  #close(groups: readonly ListeningGroup[]): void {
    for (const group of groups) {
      for (const worker of this.#workers) {
        worker.send({ type: 'unlisten', socket: group.name })
        for (const key of worker.listening)
          if (key.endsWith(` ${group.name}`)) worker.listening.delete(key)
      }
      group.close()
      this.#groups.delete(group.name)
    }
  }

  #keepVerdicts(verdicts: readonly Verdict[]): void {
    // A suspicion is dropped by the message itself; a worker that comes later has none.
    for (const verdict of verdicts)
      this.#verdicts.set(`${verdict.pool}/${verdict.server}`, {
        ...verdict,
        clearsSuspicion: false,
      })
    this.#tell(this.#returns.take(verdicts, this.#moment()))
  }

  /** A generation's pools and the weights in force; verdicts may be of pools not known till now. */
  #configureReturns(): void {
    const moment = this.#moment()
    this.#tell(this.#returns.configure(returnPools(this.#setup.config, this.#overrides), moment))
    this.#tell(this.#returns.take([...this.#verdicts.values()], moment))
  }

  #broadcastVerdicts(verdicts: readonly Verdict[]): void {
    const returning = this.#returns.returning(this.#components.clock.now())
    this.#broadcast({ type: 'verdicts', verdicts, returning })
    this.#steps.rearm()
    this.#keeping ??= this.#later(KEEP_DELAY_MS, () => {
      this.#keeping = undefined
      this.#components.onReturns(this.#returns.kept())
    })
  }

  #tell(events: readonly EdgeEvent[]): void {
    for (const event of events) this.#components.onEvent(event)
  }

  #moment() {
    const { clock } = this.#components
    return { now: clock.now(), wallMs: clock.wallMs() }
  }

  #broadcast(message: PrimaryMessage): void {
    for (const worker of this.#workers) worker.send(message)
  }

  #areReady(): boolean {
    const count = workerCount(this.#setup)
    const ready = new Set(
      [...this.#workers]
        .filter(({ generation, state }) => state === 'ready' && generation >= this.generation)
        .map(({ index }) => index),
    )
    return this.#isStopping || ready.size >= count
  }

  #changed(): void {
    for (const look of this.#onChange.splice(0)) look()
  }

  async #until(isTrue: () => boolean, timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const endsAt = this.#components.clock.now() + timeoutMs
    while (!isTrue()) {
      const leftMs = endsAt - this.#components.clock.now()
      if (leftMs <= 0) return
      await new Promise<void>((resolve) => {
        const timer =
          leftMs === Infinity
            ? undefined
            : this.#later(leftMs, () => {
                resolve()
              })
        this.#onChange.push(() => {
          if (timer !== undefined) this.#cancel(timer)
          resolve()
        })
      })
    }
  }

  #later(delayMs: number, act: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, delayMs)
    this.#timers.add(timer)
    return timer
  }

  #cancel(timer: NodeJS.Timeout): void {
    clearTimeout(timer)
    this.#timers.delete(timer)
  }

  #report(event: string, worker: WorkerProcess, from: string, to: string, reason: string): void {
    this.#components.onEvent({
      atMs: this.#components.clock.wallMs(),
      event,
      subject: `worker ${worker.index + 1}`,
      from,
      to,
      reason: worker.pid === 0 ? reason : `pid ${worker.pid}: ${reason}`,
    })
  }
}

/** A signal to the whole process group reaches a worker before we have told it to end. */
const SIGNAL_SETTLE_MS = 100

function returnPools({ router, pools }: Config, overrides: Overrides): ReturnPool[] {
  const groups = Object.values(router?.groups ?? {})
  const drained = new Set(overrides.drained)
  return [...new Set(groups.map(({ pool }) => pool))].map((pool) => ({
    pool,
    ramps: groups.flatMap(({ name, rampUpMs, pool: of }) =>
      of === pool && rampUpMs > 0 ? [{ group: name, rampUpMs }] : [],
    ),
    servers: (pools[pool]?.servers ?? []).map(({ name, weight }) => {
      const key = overrideKey(pool, name)
      const isDrained = drained.has(key)
      return { name, weight: overrides.weights[key] ?? weight, isDrained }
    }),
  }))
}

const listenersOf = ({ config }: Setup): readonly ListenerConfig[] => config.router?.listeners ?? []
const workerCount = ({ config }: Setup): number => config.router?.workers ?? 1
const drainDeadlineMs = ({ config }: Setup): number => config.router?.drainDeadlineMs ?? 0
const placesOf = (setup: Setup) => listeningPlaces(listenersOf(setup))
const portOf = (name: string): string => /:(\d+)(?: v6only)?$/.exec(name)?.[1] ?? ''

function placesByListener(setup: Setup): [listener: string, place: string][] {
  const places = placesOf(setup).map(placeName)
  return listenersOf(setup).map(({ name }, index) => [name, places[index] ?? ''])
}

const secretMessages = (secrets: ListenerSecrets): PrimaryMessage[] => [
  { type: 'certificates', listener: secrets.listener, pairs: secrets.pairs },
  { type: 'ticketKeys', listener: secrets.listener, keys: secrets.ticketKeys },
]
