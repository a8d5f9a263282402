import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { Pool } from 'undici'
import type { CacheStatus, RouterStatus } from '../../../admin/schemas.ts'
import { childrenOf } from './nginx.ts'
import { until } from './wait.ts'

const PROGRAM = path.join(import.meta.dirname, '..', '..', '..', 'bin', 'photoedge.ts')

/** A real `photoedge router`, from a configuration file in a folder of its own. */
export class Router {
  readonly folder: string
  readonly configFile: string
  /** What it wrote to stdout and stderr. */
  output = ''
  readonly #admin: Pool
  #child: ChildProcess | undefined

  constructor(folder: string, configText: string) {
    fs.mkdirSync(folder, { recursive: true })
    this.folder = folder
    this.configFile = path.join(folder, 'router.yaml')
    this.#admin = new Pool('http://router', { socketPath: path.join(folder, 'router.sock') })
    this.configure(configText)
  }

  /** Another configuration, from the next start or reload on. */
  configure(configText: string): void {
    fs.writeFileSync(this.configFile, configText)
  }

  /** Only starts it: for those that are to fail. */
  launch(): this {
    const args = [PROGRAM, 'router', '-c', this.configFile, '--box', 'router-1']
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    }
    this.#child = child
    return this
  }

  /** Resolves when every cache is up. */
  async start(): Promise<void> {
    this.launch()
    await until('router with all caches up', 15_000, async () => {
      if (this.#child?.exitCode !== null) throw new Error(this.output)
      const { caches, workers } = await this.status()
      const isReady = workers.every(({ state }) => state === 'ready')
      return isReady && caches.every(({ state }) => state === 'up') ? true : undefined
    })
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async status(): Promise<RouterStatus> {
    const { statusCode, body } = await this.#admin.request({ method: 'GET', path: '/status' })
    if (statusCode !== 200) throw new Error(`status answers ${statusCode}: ${await body.text()}`)
    return (await body.json()) as RouterStatus
  }

  async cache(name: string): Promise<CacheStatus> {
    const cache = (await this.status()).caches.find((one) => one.name === name)
    if (cache === undefined) throw new Error(`the router knows no ${name}`)
    return cache
  }

  /** As an operator's `kill -HUP`; resolves when the next generation serves. */
  async reload(): Promise<void> {
    const { generation } = await this.status()
    process.kill(this.pid, 'SIGHUP')
    await until('next generation', 10_000, async () => {
      const status = await this.status()
      return status.generation > generation ? true : undefined
    })
  }

  /** Ends a worker by SIGKILL, as soon as there is one that serves. */
  async killWorker(): Promise<void> {
    await until('worker that serves', 5000, async () => {
      const { workers } = await this.status()
      const worker = workers.find(({ state }) => state === 'ready')
      if (worker === undefined) return undefined
      return process.kill(worker.pid, 'SIGKILL')
    })
  }

  /** Resolves with the exit code. */
  async ended(): Promise<number | null> {
    const child = this.#child
    if (child === undefined) return 0
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const [code] = (await once(child, 'exit')) as [number | null]
    return code
  }

  /** How exchanges ended, by the access log; whole after a graceful stop only. */
  loggedEnds(): Record<string, number> {
    const ends: Record<string, number> = {}
    const lines = fs.readFileSync(path.join(this.folder, 'access.log'), 'utf8').split('\n')
    for (const line of lines.filter(Boolean)) {
      const { end } = JSON.parse(line) as { end: string }
      ends[end] = (ends[end] ?? 0) + 1
    }
    return ends
  }

  /** A graceful stop; resolves with the exit code. */
  async stop(): Promise<number | null> {
    this.#child?.kill('SIGTERM')
    const code = await this.ended()
    await this.#admin.destroy()
    return code
  }

  /** No process of it is left behind, whatever happened. */
  async destroy(): Promise<void> {
    const pids = [this.pid, ...childrenOf(this.pid)]
    for (const pid of pids) {
      try {
        if (pid > 0) process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended.
      }
    }
    await this.ended()
    await this.#admin.destroy()
  }
}
