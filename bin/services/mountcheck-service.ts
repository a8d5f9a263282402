import { readFileSync } from 'node:fs'
import { formatProblem, quote } from '../../common/config/problem.ts'
import type { Config, MountcheckConfig } from '../../common/config/config.ts'
import { forBox } from '../../common/config/for-box.ts'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { systemClock } from '../../common/runtime/clock.ts'
import { readConfigFile } from '../../common/runtime/config-file.ts'
import type { Log } from '../../common/runtime/log.ts'
import { openStateFolder } from '../../common/runtime/state-folder.ts'
import type { StateFolder } from '../../common/runtime/state-folder.ts'
import { createMountChecker, MOUNTS_FILE } from '../../healthcheck/io/mount-checker.ts'
import type { MountChecker } from '../../healthcheck/io/mount-checker.ts'
import { openMountServer } from '../../healthcheck/io/mount-server.ts'
import type { MountServer } from '../../healthcheck/io/mount-server.ts'

export interface MountcheckServiceInit {
  readonly file: string
  readonly box: string
  readonly log: Log
}

/** How long a stopping mount check answers 503, so that every router hears it. */
export const DRAIN_MS = 3_000

/** The mount check of one cache server: where the configuration, the checker and the server meet. */
export class MountcheckService {
  readonly #init: MountcheckServiceInit
  readonly #state: StateFolder
  readonly #checker: MountChecker
  readonly #server: MountServer
  #config: MountcheckConfig

  /** Opens everything, or throws a sentence with nothing left half-started. */
  static async start(init: MountcheckServiceInit): Promise<MountcheckService> {
    const { config, mountcheck } = load(init)
    const { log } = init
    const state = openStateFolder(statePath(config))
    const kept = await state.readJson(MOUNTS_FILE).catch((error: unknown) => {
      const { message: reason } = error as Error
      log.warn({ event: 'state not read', subject: MOUNTS_FILE, reason }, 'state not read')
    })
    const checker = createMountChecker(
      {
        clock: systemClock,
        notes: state,
        onEvent: ({ event, subject, from, to, reason }) => {
          const level = event.includes(' not ') ? 'warn' : 'info'
          log[level]({ event, subject, from, to, reason }, event)
        },
      },
      { config: mountcheck, boot: bootId(), kept },
    )
    const server = await openMountServer(() => checker.answer(), mountcheck)
    checker.start()
    const { address, port } = server
    log.info({ address, port, mounts: mountcheck.mounts.map(({ path }) => path) }, 'mount check up')
    return new MountcheckService(init, { state, checker, server }, mountcheck)
  }

  private constructor(
    init: MountcheckServiceInit,
    parts: { state: StateFolder; checker: MountChecker; server: MountServer },
    config: MountcheckConfig,
  ) {
    this.#init = init
    this.#state = parts.state
    this.#checker = parts.checker
    this.#server = parts.server
    this.#config = config
  }

  get port(): number {
    return this.#server.port
  }

  /** Reads the configuration again; a wrong one changes nothing. */
  reload(): void {
    const { log } = this.#init
    try {
      const { mountcheck } = load(this.#init)
      const { address, port } = this.#config
      if (mountcheck.address !== address || mountcheck.port !== port) {
        log.warn('mountcheck.listen has changed: it takes a restart to listen elsewhere')
      }
      this.#config = { ...mountcheck, address, port }
      this.#checker.reconfigure(mountcheck)
      log.info('configuration reloaded')
    } catch (error) {
      const problem =
        error instanceof ApplianceError
          ? error.message
          : `an error of photoedge itself: ${(error as Error).stack ?? String(error)}`
      log.error({ problem }, 'reload refused: the old configuration stays')
    }
  }

  /** Answers 503 for as long as routers need to hear it, then ends. */
  async drain(): Promise<void> {
    this.#checker.drain()
    this.#init.log.info({ drainMs: DRAIN_MS }, 'draining')
    await new Promise((resolve) => setTimeout(resolve, DRAIN_MS))
    await this.close()
  }

  async close(): Promise<void> {
    this.#checker.stop()
    await Promise.all([this.#server.close(), this.#state.close()])
  }
}

function load({ file, box }: MountcheckServiceInit): {
  readonly config: Config
  readonly mountcheck: MountcheckConfig
} {
  const parsed = readConfigFile(file)
  if (!parsed.ok) {
    throw new ApplianceError('MNT_CONFIG_REFUSED', parsed.problems.map(formatProblem).join('\n'))
  }
  const { mountcheck } = parsed.config
  if (mountcheck?.boxes.includes(box) !== true) {
    const boxes = mountcheck?.boxes.slice(0, 8).join(', ') ?? 'none: there is no mountcheck section'
    const message = `${file}: The box ${quote(box)} runs no mount check (mountcheck.boxes are ${boxes}); name the box with --box`
    throw new ApplianceError('MNT_CONFIG_REFUSED', message)
  }
  return { config: forBox(parsed.config, box, 'mountcheck'), mountcheck }
}

/** Where the configuration names none: beside the socket, as every service does. */
function statePath({ admin }: Config): string {
  return admin.state ?? `${admin.socket.replace(/\.sock$/, '')}.state`
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}
