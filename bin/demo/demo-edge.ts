import type { ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Pool } from 'undici'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import type { ChildReport } from './child.ts'
import { DemoCache, portOf } from './demo-cache.ts'
import type { Announce } from './demo-cache.ts'
import { demoConfigText } from './demo-config.ts'
import { DemoLoad } from './demo-load.ts'
import { DemoProcesses } from './demo-processes.ts'
import type { EdgeView } from './demo-screen.ts'
import { generatePhotos, linkOwnPhotos } from './photo-folder.ts'
import type { PhotoFolder } from './photo-folder.ts'

const PUBLIC_PORT = 8080
const ADMIN_PORT = 9080
const STORAGE_PORT = 8090
const CACHE_COUNT = 4
const READY_WITHIN_MS = 20_000

export interface DemoOptions {
  /** A folder that the demo may fill, and removes at its end. */
  readonly folder: string
  /** One's own photos; undefined: generated ones. */
  readonly photos: string | undefined
  /** undefined: 8080, or another one when that is taken. */
  readonly publicPort: number | undefined
  readonly loadPerSecond: number
  readonly announce: Announce
  /** The router died by itself, with what it said. */
  readonly onRouterGone: (reason: string) => void
}

/** Storage, four caches, the router and a gentle load, all on loopback, all children of ours. */
export class DemoEdge {
  readonly configFile: string
  readonly socket: string
  readonly caches: readonly DemoCache[]
  publicUrl = ''
  adminUrl = ''
  storagePort = 0
  photos: PhotoFolder = { folder: '', paths: [], userCount: 0 }
  readonly #options: DemoOptions
  readonly #processes: DemoProcesses
  readonly #admin: Pool
  #load: DemoLoad | undefined
  #isStopped = false
  #storageRequests = 0
  #failedCount = 0
  #routerOutput = ''

  constructor(options: DemoOptions) {
    const { folder } = options
    this.#options = options
    this.configFile = path.join(folder, 'edge.yaml')
    this.socket = path.join(folder, 'router.sock')
    this.#admin = new Pool('http://router', { socketPath: this.socket })
    this.#processes = new DemoProcesses(folder)
    this.caches = Array.from(
      { length: CACHE_COUNT },
      (_, index) =>
        new DemoCache(
          {
            name: `cache-${index + 1}`,
            folder: path.join(folder, `cache-${index + 1}`),
            preferredPort: STORAGE_PORT + 1 + index,
            key: String(index + 1),
            storage: () => `127.0.0.1:${this.storagePort}`,
          },
          this.#processes,
          options.announce,
        ),
    )
  }

  /** Resolves when a photo came through the public address and the load runs. */
  async start(): Promise<void> {
    const { folder, photos, loadPerSecond } = this.#options
    const publicPort = await this.#choosePublicPort()
    const adminPort = (await freePort(ADMIN_PORT)) ?? (await freePort(0)) ?? 0
    const storageFolder = path.join(folder, 'storage')
    this.photos =
      photos === undefined ? generatePhotos(storageFolder) : linkOwnPhotos(photos, storageFolder)
    await this.#startStorage(storageFolder)
    await Promise.all(this.caches.map((cache) => cache.start()))
    fs.writeFileSync(
      this.configFile,
      demoConfigText({ publicPort, adminPort, caches: this.caches }),
    )
    this.publicUrl = `http://127.0.0.1:${publicPort}`
    this.adminUrl = `http://127.0.0.1:${adminPort}`
    await this.#startRouter()
    this.#load = new DemoLoad(this.publicUrl, this.photos.paths, loadPerSecond)
    if (loadPerSecond > 0) this.#load.start()
  }

  /** Resolves when every process is gone; the folder is removed. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const cache of this.caches) cache.stop()
    await this.#load?.stop()
    await this.#admin.destroy()
    await this.#processes.stop()
    fs.rmSync(this.#options.folder, { recursive: true, force: true })
  }

  /** What happened since the last call, which should be a second ago. */
  async takeView(): Promise<EdgeView> {
    await this.#readVerdicts()
    const load = this.#load?.takeCounts() ?? { requests: 0, failed: 0, worstMs: 0 }
    this.#failedCount += load.failed
    const storageRequestsPerSecond = this.#storageRequests
    this.#storageRequests = 0
    return {
      caches: this.caches.map((cache) => {
        const { requests, hits } = cache.takeCounts()
        const hitPct = requests === 0 ? undefined : (100 * hits) / requests
        const { name, port, pid, verdict } = cache
        return { name, port, pid, verdict, requestsPerSecond: requests, hitPct }
      }),
      storageRequestsPerSecond,
      requestsPerSecond: load.requests,
      worstMs: load.worstMs,
      failedCount: this.#failedCount,
      lastFailure: this.#load?.lastFailure ?? '',
    }
  }

  async #choosePublicPort(): Promise<number> {
    const { publicPort, announce } = this.#options
    const wanted = publicPort ?? PUBLIC_PORT
    const free = await freePort(wanted)
    if (free !== undefined) return free
    if (publicPort !== undefined) {
      throw new ApplianceError(
        'DEMO_PORT_TAKEN',
        `Port ${wanted} on 127.0.0.1 is taken: end what listens there, or give another --port`,
      )
    }
    const other = (await freePort(0)) ?? 0
    announce(`Port ${wanted} on 127.0.0.1 is taken: the public address takes ${other} instead`)
    return other
  }

  async #startStorage(folder: string): Promise<void> {
    const child = this.#processes.fork('storage-process.ts', [folder, String(STORAGE_PORT)])
    this.storagePort = await portOf(child, 'storage')
    child.on('message', (report: ChildReport) => {
      if (report.type === 'counts') this.#storageRequests += report.requests
    })
    child.once('exit', () => {
      if (!this.#isStopped)
        this.#options.announce('storage is gone: only photos on the caches are served')
    })
  }

  async #startRouter(): Promise<void> {
    const program = path.join(import.meta.dirname, '..', 'photoedge.ts')
    const router = this.#processes.spawnNode([
      program,
      'router',
      '-c',
      this.configFile,
      '--box',
      'router-1',
    ])
    for (const stream of [router.stdout, router.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#routerOutput = (this.#routerOutput + text).slice(-4096)
      })
    }
    await Promise.race([this.#firstPhoto(), this.#gone(router)])
    router.once('exit', () => {
      if (!this.#isStopped) this.#options.onRouterGone(this.#routerOutput)
    })
  }

  async #gone(router: ChildProcess): Promise<never> {
    return new Promise((_, reject) => {
      router.once('exit', () => {
        reject(new ApplianceError('DEMO_ROUTER_GONE', `The router ended: ${this.#routerOutput}`))
      })
    })
  }

  async #firstPhoto(): Promise<void> {
    const deadline = performance.now() + READY_WITHIN_MS
    let seen = 'no answer'
    while (performance.now() < deadline && !this.#isStopped) {
      try {
        const response = await fetch(`${this.publicUrl}${this.photos.paths[0] ?? '/'}`)
        await response.arrayBuffer()
        if (response.status === 200) return
        seen = `status ${response.status}`
      } catch {
        // Not listening yet.
      }
      await delay(50)
    }
    throw new ApplianceError(
      'DEMO_NOT_READY',
      `The router serves no photo after ${READY_WITHIN_MS / 1000} s (${seen}): ${this.#routerOutput}`,
    )
  }

  async #readVerdicts(): Promise<void> {
    const verdicts = await this.#status().catch(() => [])
    for (const cache of this.caches) {
      cache.verdict = verdicts.find(({ name }) => name === cache.name)?.state
    }
  }

  async #status(): Promise<readonly { readonly name: string; readonly state: string }[]> {
    const { statusCode, body } = await this.#admin.request({
      method: 'GET',
      path: '/status',
      headersTimeout: 500,
    })
    const status = (await body.json()) as { caches: { name: string; state: string }[] }
    return statusCode === 200 ? status.caches : []
  }
}

/** The port if it is free (for 0: any that is), else undefined. */
function freePort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => {
      resolve(undefined)
    })
    server.listen(port, '127.0.0.1', () => {
      const { port: bound } = server.address() as net.AddressInfo
      server.close(() => {
        resolve(bound)
      })
    })
  })
}
