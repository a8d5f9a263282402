import type { ChildProcess } from 'node:child_process'
import type { ChildReport } from './child.ts'
import type { DemoProcesses } from './demo-processes.ts'

const RETURN_AFTER_MS = 20_000
const RETRY_AFTER_MS = 5000

/** What a cache tells the visitor: it went, it came back. */
export type Announce = (text: string) => void

/** Where a cache keeps its photos and takes them from. */
export interface DemoCacheOptions {
  readonly name: string
  readonly folder: string
  /** `address:port` of storage, asked at each start. */
  readonly storage: () => string
  readonly preferredPort: number
  /** The key that ends it or brings it back. */
  readonly key: string
}

/**
 * One cache process, brought back on its own port 20 s after it died, with what it had on its disk.
 */
export class DemoCache {
  readonly name: string
  /** 0 before the first `start`. */
  port = 0
  /** The router's verdict, as last heard. */
  verdict: string | undefined
  readonly #options: DemoCacheOptions
  readonly #processes: DemoProcesses
  readonly #announce: Announce
  #child: ChildProcess | undefined
  #returnTimer: NodeJS.Timeout | undefined
  #isStopped = false
  #requests = 0
  #hits = 0

  constructor(options: DemoCacheOptions, processes: DemoProcesses, announce: Announce) {
    this.name = options.name
    this.#options = options
    this.#processes = processes
    this.#announce = announce
  }

  /** undefined while it is gone. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves when it listens; on its own port, once it has one. */
  async start(): Promise<void> {
    clearTimeout(this.#returnTimer)
    const { folder, storage, preferredPort } = this.#options
    const isFixed = this.port !== 0
    const port = String(isFixed ? this.port : preferredPort)
    const rule = isFixed ? 'fixed' : 'any'
    const child = this.#processes.fork('cache-process.ts', [
      this.name,
      folder,
      storage(),
      port,
      rule,
    ])
    this.port = await portOf(child, this.name)
    this.#child = child
    child.on('message', (report: ChildReport) => {
      if (report.type !== 'counts') return
      this.#requests += report.requests
      this.#hits += report.hits
    })
    child.once('exit', (code, signal) => {
      this.#onGone(child.pid ?? 0, signal ?? `exit code ${String(code)}`)
    })
  }

  /** Ends it as a power cut would, or brings it back at once. */
  toggle(): void {
    if (this.#child === undefined) void this.#comeBack()
    else this.#child.kill('SIGKILL')
  }

  /** From now on its death is meant. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#returnTimer)
  }

  /** Requests since the last call, and of these the ones answered from its disk. */
  takeCounts(): { readonly requests: number; readonly hits: number } {
    const counts = { requests: this.#requests, hits: this.#hits }
    this.#requests = 0
    this.#hits = 0
    return counts
  }

  #onGone(pid: number, reason: string): void {
    this.#child = undefined
    if (this.#isStopped) return
    this.#announce(
      `${this.name} (pid ${pid}) is gone: ${reason}. Its users go to the other caches, each of them always to the same one; it is back in ${RETURN_AFTER_MS / 1000} s (or press ${this.#options.key})`,
    )
    this.#returnTimer = setTimeout(() => void this.#comeBack(), RETURN_AFTER_MS)
  }

  async #comeBack(): Promise<void> {
    try {
      await this.start()
      this.#announce(`${this.name} is back (pid ${String(this.pid)}) and takes its own users again`)
    } catch (error) {
      if (this.#isStopped) return
      this.#announce(error instanceof Error ? error.message : String(error))
      this.#returnTimer = setTimeout(() => void this.#comeBack(), RETRY_AFTER_MS)
    }
  }
}

/** The port that the child listens on; rejects, saying why, when it does not come to that. */
export function portOf(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('message', (report: ChildReport) => {
      if (report.type === 'listening') resolve(report.port)
      if (report.type === 'failed') reject(new Error(`${name} cannot listen: ${report.message}`))
    })
    child.once('exit', (code, signal) => {
      reject(
        new Error(`${name} ended before it listened: ${signal ?? `exit code ${String(code)}`}`),
      )
    })
  })
}
