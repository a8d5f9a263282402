import type { Config, RouterConfig } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { HealthChange } from '../../common/model/health.ts'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { systemClock } from '../../common/runtime/clock.ts'
import { FileQueue } from '../../common/runtime/file-queue.ts'
import { createEventRing } from '../../common/runtime/event-ring.ts'
import type { EventRing } from '../../common/runtime/event-ring.ts'
import type { Log } from '../../common/runtime/log.ts'
import { openFilesLimit } from '../../common/runtime/open-files-limit.ts'
import { openStateFolder } from '../../common/runtime/state-folder.ts'
import type { StateFolder } from '../../common/runtime/state-folder.ts'
import { createProber } from '../../healthcheck/io/prober.ts'
import type { Prober } from '../../healthcheck/io/prober.ts'
import { VERDICTS_FILE } from '../../healthcheck/io/verdict-store.ts'
import type { CountersSnapshot } from '../../router/core/counters.ts'
import { keptReturnsFile, readKeptReturns } from '../../router/core/kept-returns.ts'
import type { KeptReturns } from '../../router/core/kept-returns.ts'
import { tooFewOpenFiles } from '../../router/core/open-files.ts'
import { overridesFor, readOverrides, weightsInForce } from '../../router/core/overrides.ts'
import type { Overrides } from '../../router/core/overrides.ts'
import type { TableNote } from '../../router/io/messages.ts'
import { Primary } from '../../router/io/primary.ts'
import type { Setup } from '../../router/io/primary.ts'
import { createTableBuilder } from '../../router/io/table-builder.ts'
import type { TableBuilder } from '../../router/io/table-builder.ts'
import { TlsSecrets } from '../../router/io/tls/secrets.ts'
import type { SecretsChange } from '../../router/io/tls/secrets.ts'
import { requireAccessLog } from './access-log-file.ts'
import { measureMoved } from './moved-users.ts'
import type { Moved } from './moved-users.ts'
import { planRouter } from './router-plan.ts'
import type { RouterPlan } from './router-plan.ts'
import { buildTables, poolsInUse } from './router-tables.ts'

export interface RouterServiceInit {
  readonly file: string
  readonly box: string
  readonly log: Log
}

/** What watches the workers' counters: the metrics, the rates of the status. */
export interface CounterListener {
  readonly onStats: (worker: number, incarnation: number, snapshot: CountersSnapshot) => void
  readonly onGone: (worker: number, incarnation: number) => void
}

export type ReloadResult =
  | {
      readonly ok: true
      readonly generation: number
      readonly warnings: readonly string[]
      readonly moved: Moved
    }
  | { readonly ok: false; readonly problems: readonly string[] }

const EVENTS_KEPT = 500
const POLL_MS = 2_000
const OVERRIDES_FILE = 'overrides.json'
const RETURNS_FILE = 'returns.json'

/** How long a reload waits for the first verdicts of servers that are new. */
const FIRST_VERDICTS_MS = 2_000
const VERDICT_POLL_MS = 20

/**
 * One box's router: where the primary, the prober, the tables and the files meet. `start` opens
 * everything or throws with nothing left half-started.
 */
export class RouterService {
  readonly file: string
  readonly box: string
  readonly startedAtMs = systemClock.wallMs()
  readonly events: EventRing = createEventRing(EVENTS_KEPT)
  readonly eventCounts = new Map<string, number>()
  readonly reloads = { taken: 0, refused: 0 }
  readonly state: StateFolder
  readonly tables: TableBuilder
  readonly primary: Primary
  readonly prober: Prober
  reloadedAtMs: number | undefined
  isDraining = false
  readonly #log: Log
  readonly #tls: TlsSecrets
  readonly #poll: NodeJS.Timeout
  readonly #files: FileQueue
  /** Of its own: a log's disk that hangs holds up no certificate. */
  readonly #logFiles: FileQueue
  #isPolling = false
  #tablesToldIn: string | undefined
  #setup: RouterSetup
  #overrides: Overrides
  /** As text; undefined: it could not be written. */
  #keptReturns: string | undefined = ''
  #areOverridesOwed = false
  #begin: () => void = () => undefined
  readonly #begun = new Promise<void>((resolve) => (this.#begin = resolve))
  /** Reloads and overrides, one after the other. */
  #last: Promise<unknown> = Promise.resolve()

  /** `listener` hears of every worker's counters. */
  static async start(init: RouterServiceInit, listener: CounterListener): Promise<RouterService> {
    const files = new FileQueue()
    const tls = new TlsSecrets(() => systemClock.wallMs(), files)
    const planned = await planRouter(init.file, init.box, { tls, files })
    if (!planned.ok) throw new ConfigRefused(planned.problems)
    const { plan } = planned
    const logFiles = new FileQueue()
    await requireAccessLog(plan.config, logFiles)
    const state = openStateFolder(statePath(plan.config))
    const kept = await readKept(state)
    const overrides = overridesFor(readOverrides(kept.overrides), plan.config)
    let service: RouterService | undefined
    const tables = createTableBuilder({ state, name: 'tables' }, (before, after, reason) => {
      if (service === undefined) return
      service.#tell('table lost', before.file, `${reason}: written anew as ${after.file}`)
    })
    try {
      const notes = await buildTables(tables, plan.config, overrides)
      const setup = { ...plan, box: init.box, generation: 1, tables: notes }
      service = new RouterService(init, {
        tls,
        files,
        logFiles,
        state,
        kept,
        tables,
        setup,
        overrides,
        listener,
      })
      if (kept.unread !== undefined) service.#tell('state not read', state.path, kept.unread)
      for (const warning of plan.warnings) service.#log.warn({ warning }, 'configuration warning')
      service.#lookAtOpenFiles()
      service.#lookAtTables()
      return service
    } catch (error) {
      await Promise.all([tables.close(), state.close()])
      throw error
    }
  }

  private constructor(init: RouterServiceInit, parts: Parts) {
    this.file = init.file
    this.box = init.box
    this.#log = init.log
    this.state = parts.state
    this.tables = parts.tables
    this.#tls = parts.tls
    this.#files = parts.files
    this.#logFiles = parts.logFiles
    this.#setup = parts.setup
    this.#overrides = parts.overrides
    const { config } = parts.setup
    const box = config.boxes[init.box]
    this.prober = createProber(
      {
        clock: systemClock,
        onEvent: (event) => {
          this.report(event)
        },
        onChange: (change) => {
          this.#pass(change)
        },
        writeState: (name, text) => this.state.write(name, text),
      },
      {
        ...checkedBy(config),
        ...(parts.kept.verdicts !== undefined && { saved: parts.kept.verdicts }),
        ...(box?.interface !== undefined && { interface: box.interface }),
      },
    )
    this.prober.setWeights(weightsInForce(parts.overrides))
    this.primary = new Primary(
      {
        clock: systemClock,
        onEvent: (event) => {
          this.report(event)
        },
        onSuspect: (pool, server) => {
          this.prober.checkNow(pool, server)
        },
        onReturns: (returns) => {
          void this.#keepReturns(returns)
        },
        restoreTables: (notes) => this.#restoreTables(notes),
        ...parts.listener,
      },
      {
        setup: parts.setup,
        overrides: parts.overrides,
        verdicts: [],
        returns: readKeptReturns(parts.kept.returns, systemClock.wallMs()),
      },
    )
    this.#tls.use(config.router.listeners, parts.setup.secrets)
    this.#poll = setInterval(() => {
      this.#pollSecrets()
      void this.#keepOwedOverrides()
    }, POLL_MS)
  }

  get config(): Config & { readonly router: RouterConfig } {
    return this.#setup.config
  }

  get generation(): number {
    return this.#setup.generation
  }

  get overrides(): Overrides {
    return this.#overrides
  }

  get tableNotes(): readonly TableNote[] {
    return this.#setup.tables
  }

  /** The tables in use, for who is to read their files: those that are gone are written anew. */
  restoredTables(): Promise<readonly TableNote[]> {
    return this.#restoreTables(this.#setup.tables)
  }

  /** Starts the checks and the workers; resolves when the workers serve. */
  async serve(): Promise<void> {
    this.prober.start()
    this.primary.setVerdicts(this.prober.verdicts())
    const started = this.primary.start()
    this.#begin()
    await started
    await this.#inTurn(() => this.tables.prune(this.#setup.tables))
  }

  /**
   * Reads the configuration again, once there are workers to take it. A wrong one is refused whole:
   * then nothing has changed.
   */
  reload({ isForced = false } = {}): Promise<ReloadResult> {
    return this.#inTurn(async () => {
      await this.#begun
      if (this.isDraining) return STOPPING
      const result = await this.#reload(isForced).catch((error: unknown) => this.#unforeseen(error))
      if (result.ok) this.reloads.taken++
      else {
        this.reloads.refused++
        this.#tell('reload refused', this.file, result.problems.join('; '))
      }
      return result
    })
  }

  /**
   * Takes new overrides into use, and keeps them over a restart. Why they could not be kept comes
   * back: who takes a bad cache out must not be refused for a full disk.
   */
  override(change: (overrides: Overrides) => Overrides): Promise<string | undefined> {
    return this.#inTurn(async () => {
      const overrides = change(this.#overrides)
      const tables = await buildTables(this.tables, this.config, overrides, this.#setup.tables)
      this.#lookAtTables()
      this.#overrides = overrides
      this.#setup = { ...this.#setup, tables }
      this.primary.setOverrides(overrides, tables)
      this.prober.setWeights(weightsInForce(overrides))
      const reason = await this.#keepOverrides()
      if (reason !== undefined) this.#tell('overrides not kept', OVERRIDES_FILE, reason)
      return reason
    })
  }

  async reopenLogs(): Promise<void> {
    // Made by the primary, which may write where the workers may only append.
    try {
      await requireAccessLog(this.config, this.#logFiles)
    } catch (error) {
      this.#tell('log not reopened', String(this.config.router.accessLog.file), sentence(error))
    }
    this.primary.reopenLogs()
  }

  /** Takes no new connection; resolves when what was in flight has ended, or was cut. */
  async stop(): Promise<void> {
    this.isDraining = true
    clearInterval(this.#poll)
    await this.primary.stop(this.config.router.drainDeadlineMs)
    this.prober.stop()
    await Promise.all([this.#keepOwedOverrides(), this.state.close(), this.tables.close()])
  }

  /** Ends everything at once. */
  abandon(): void {
    clearInterval(this.#poll)
    this.primary.kill()
    this.prober.stop()
    void this.state.close()
    void this.tables.close()
  }

  /** Writes an event down where log, metrics and status find it. */
  report(event: EdgeEvent): void {
    this.events.add(event)
    this.eventCounts.set(event.event, (this.eventCounts.get(event.event) ?? 0) + 1)
    const { event: name, subject, from, to, reason } = event
    this.#log[levelOf(name)]({ event: name, subject, from, to, reason }, name)
  }

  /** Whatever a file brings about, what runs goes on. */
  #unforeseen(error: unknown): ReloadResult {
    this.#log.error({ err: error }, 'a reload met an error of photoedge itself')
    return { ok: false, problems: [`An error of photoedge itself: ${sentence(error)}`] }
  }

  async #reload(isForced: boolean): Promise<ReloadResult> {
    const readers = { tls: this.#tls, files: this.#files }
    const planned = await planRouter(this.file, this.box, readers)
    if (!planned.ok) return planned
    const { plan } = planned
    const fixed = unchangeable(this.config, plan.config)
    if (fixed.length > 0) return { ok: false, problems: fixed }
    const overrides = overridesFor(this.#overrides, plan.config)
    let moved: Moved
    let tables: readonly TableNote[]
    try {
      await requireAccessLog(plan.config, this.#logFiles)
      tables = await buildTables(this.tables, plan.config, overrides)
      moved = await measureMoved(
        { config: this.config, overrides: this.#overrides, tables: await this.restoredTables() },
        { config: plan.config, overrides, tables },
      )
    } catch (error) {
      return { ok: false, problems: [sentence(error)] }
    }
    const { maxMovedPct } = plan.config.router
    if (!isForced && maxMovedPct !== undefined && moved.pct > maxMovedPct)
      return { ok: false, problems: [movedTooFar(moved, maxMovedPct)] }
    const setup = { ...plan, box: this.box, generation: this.generation + 1, tables }
    await this.#checkNewServers(plan)
    // A stop that came meanwhile has ended the workers: there are to be no new ones.
    if (this.isDraining) return STOPPING
    try {
      await this.#switchTo(setup, overrides)
    } catch (error) {
      this.prober.reconfigure(...checksOf(this.config))
      return { ok: false, problems: [sentence(error)] }
    }
    this.#tell('reload taken', this.file, `generation ${setup.generation} is in use`)
    for (const warning of plan.warnings) this.#log.warn({ warning }, 'configuration warning')
    this.#lookAtOpenFiles()
    this.#lookAtTables()
    return { ok: true, generation: setup.generation, warnings: plan.warnings, moved }
  }

  /** The old servers and the new ones are checked together, so that no new one is unknown. */
  async #checkNewServers({ config }: RouterPlan): Promise<void> {
    const now = checkedBy(this.config)
    const next = checkedBy(config)
    this.prober.reconfigure({ ...now.pools, ...next.pools }, { ...now.checks, ...next.checks })
    const endsAt = systemClock.now() + FIRST_VERDICTS_MS
    while (systemClock.now() < endsAt) {
      if (this.prober.verdicts().every(({ state }) => state !== 'unknown')) return
      await new Promise((resolve) => setTimeout(resolve, VERDICT_POLL_MS))
    }
  }

  async #switchTo(setup: RouterSetup, overrides: Overrides): Promise<void> {
    this.primary.setVerdicts(this.prober.verdicts())
    // Opens the new sockets before anything else: where that fails, the old ones serve on.
    await this.primary.reconfigure(setup, overrides)
    this.#setup = setup
    this.#overrides = overrides
    this.reloadedAtMs = systemClock.wallMs()
    this.#tls.use(setup.config.router.listeners, setup.secrets)
    this.prober.setWeights(weightsInForce(overrides))
    this.prober.reconfigure(...checksOf(setup.config))
    await this.tables.prune(setup.tables)
  }

  #pass({ verdict }: HealthChange): void {
    this.primary.setVerdicts([verdict])
  }

  /** Why not, within the bound of a write; undefined: they are. */
  async #keepOverrides(): Promise<string | undefined> {
    const overrides = this.#overrides
    try {
      await this.state.writeJson(OVERRIDES_FILE, overrides)
      if (overrides === this.#overrides) this.#areOverridesOwed = false
      return undefined
    } catch (error) {
      this.#areOverridesOwed = true
      return sentence(error)
    }
  }

  /** What could not be written when it was said is written once there is room. */
  async #keepOwedOverrides(): Promise<void> {
    if (!this.#areOverridesOwed || (await this.#keepOverrides()) !== undefined) return
    this.#tell('overrides kept', OVERRIDES_FILE, `${this.state.path} can be written again`)
  }

  /** Writes them where they have changed; a failure is told once until it succeeds again. */
  async #keepReturns(returns: KeptReturns): Promise<void> {
    const text = JSON.stringify(returns)
    if (text === this.#keptReturns) return
    try {
      await this.state.writeJson(RETURNS_FILE, keptReturnsFile(returns, systemClock.wallMs()))
      this.#keptReturns = text
    } catch (error) {
      if (this.#keptReturns !== undefined)
        this.#tell('returns not kept', RETURNS_FILE, sentence(error))
      this.#keptReturns = undefined
    }
  }

  /** Not a matter of `photoedge check`: the shell that it runs in has another limit. */
  #lookAtOpenFiles(): void {
    const limit = openFilesLimit()
    if (limit === undefined) return
    const reason = tooFewOpenFiles(this.config.router, limit)
    if (reason !== undefined) this.#tell('not enough open files', 'router.listen', reason)
  }

  #lookAtTables(): void {
    const { elsewhere } = this.tables
    if (elsewhere === undefined || elsewhere.folder === this.#tablesToldIn) return
    const { folder, reason } = elsewhere
    this.#tablesToldIn = folder
    const path = this.state.file('tables')
    this.#tell('tables not kept', path, `${reason}: until a restart they lie in ${folder}`)
  }

  async #restoreTables(notes: readonly TableNote[]): Promise<readonly TableNote[]> {
    try {
      const restored: TableNote[] = []
      for (const note of notes) restored.push({ ...note, ...(await this.tables.restore(note)) })
      this.#lookAtTables()
      return restored
    } catch (error) {
      this.#tell('table lost', this.state.file('tables'), sentence(error))
      return notes
    }
  }

  /** One look at a time: one at files that do not answer takes its time. */
  #pollSecrets(): void {
    if (this.#isPolling) return
    this.#isPolling = true
    const onChange = (change: SecretsChange): void => {
      this.#take(change)
    }
    const inTurn = (act: () => void): Promise<void> =>
      this.#inTurn(() => Promise.resolve().then(act))
    void this.#tls.poll({ inTurn, onChange }).then((silent) => {
      this.#isPolling = false
      if (silent !== undefined) this.#tell('file not read', silent.file, silent.message)
    })
  }

  #take(change: SecretsChange): void {
    const { listener, what } = change
    if (!change.ok) {
      this.#tell(`${what} refused`, listener, `${change.problem}; the old one stays`)
      return
    }
    this.primary.setSecrets(change.secrets)
    this.#tell(`${what} changed`, listener, `${change.files.join(' and ')} changed: in use`)
    for (const warning of change.warnings) this.#log.warn({ warning }, 'certificate warning')
  }

  #tell(event: string, subject: string, reason: string): void {
    this.report({
      atMs: systemClock.wallMs(),
      event,
      subject,
      from: undefined,
      to: undefined,
      reason,
    })
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(act)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}

/** The configuration can't be used; each problem is a sentence with its place. */
export class ConfigRefused extends ApplianceError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super('RTR_CONFIG_REFUSED', problems.join('\n'))
    this.problems = problems
  }
}

type RouterSetup = Setup & RouterPlan

interface Parts {
  readonly tls: TlsSecrets
  readonly files: FileQueue
  readonly logFiles: FileQueue
  readonly state: StateFolder
  readonly kept: Kept
  readonly tables: TableBuilder
  readonly setup: RouterSetup
  readonly overrides: Overrides
  readonly listener: CounterListener
}

/** What a former life left in the state folder. */
interface Kept {
  readonly overrides: unknown
  readonly returns: unknown
  readonly verdicts: string | undefined
  /** Why some of it could not be read. */
  readonly unread: string | undefined
}

/** All at once, so that a disk that hangs holds up the start for no more than one of them. */
async function readKept(state: StateFolder): Promise<Kept> {
  let unread: string | undefined
  const refused = (error: unknown): undefined => {
    unread = sentence(error)
  }
  const [overrides, returns, verdicts] = await Promise.all([
    state.readJson(OVERRIDES_FILE).catch(refused),
    state.readJson(RETURNS_FILE).catch(refused),
    state.read(VERDICTS_FILE).catch(refused),
  ])
  return { overrides, returns, verdicts, unread }
}

/** Every server that a group may send a request to, and its checks. */
function checkedBy(config: Config) {
  return {
    pools: Object.fromEntries(poolsInUse(config).map((pool) => [pool.name, pool])),
    checks: config.checks,
  }
}

function checksOf(config: Config): Parameters<Prober['reconfigure']> {
  const { pools, checks } = checkedBy(config)
  return [pools, checks]
}

function statePath({ admin }: Config): string {
  return admin.state ?? `${admin.socket.replace(/\.sock$/, '')}.state`
}

/** What stands for the whole life of a router: who talks to it would lose it. */
function unchangeable(before: Config, after: Config): string[] {
  const http = ({ admin }: Config): string =>
    admin.http === undefined ? 'off' : `${admin.http.address}:${admin.http.port}`
  const fixed = [
    ['admin.socket', before.admin.socket, after.admin.socket],
    ['admin.state', statePath(before), statePath(after)],
    ['admin.http', http(before), http(after)],
  ] as const
  return fixed
    .filter(([, was, is]) => was !== is)
    .map(([key, was, is]) => `${key} changes with a restart only: it is ${was}, the file has ${is}`)
}

const STOPPING = { ok: false, problems: ['The router is being stopped'] } as const

const movedTooFar = ({ pct, of }: Moved, maxMovedPct: number): string =>
  `It would move ${pct.toFixed(1)} % of ${of} to another cache, more than router.maxMoved (${maxMovedPct} %): photoedge reload --force does it`

const sentence = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

function levelOf(event: string): 'info' | 'warn' {
  return /died|down|refused|panic|suspect|not |out of|lost|failed/.test(event) ? 'warn' : 'info'
}
