import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import type { Test } from 'tap'
import { LoadClient } from './load-client.ts'
import type { LoadOptions } from './load-client.ts'
import { Nginx } from './nginx.ts'
import { PhotoSet } from './photo-set.ts'
import { freePorts } from './ports.ts'
import { Router } from './router.ts'

/** What differs between the edges of the tests. */
export interface EdgeOptions {
  readonly check?: string
  readonly workers?: number
  /** More keys of the group, as YAML: `fallback: scatter`. */
  readonly group?: string
  /** More keys of the listener, as YAML. */
  readonly listener?: string
  /** How clients speak to it, when by TLS. */
  readonly client?: ConnectionOptions
}

/** A check that opens a connection, and one that asks for an answer. */
export const TCP_CHECK = '{ type: tcp, interval: 500ms, timeout: 300ms, fall: 3, rise: 1 }'
export const HTTP_CHECK =
  '{ type: http, path: /health, interval: 500ms, timeout: 300ms, fall: 3, rise: 1 }'

const CACHES = ['cache-1', 'cache-2', 'cache-3', 'cache-4']
const PHOTO_SIZES_BYTES = [2000, 4000, 8000, 12_000, 24_000, 60_000]

/** 2,000 users with three photos each: made once for a test file. */
export function makePhotos(): PhotoSet {
  return new PhotoSet(2000, 3, PHOTO_SIZES_BYTES)
}

/** A real nginx storage, four real nginx caches with their disks, and the router. */
export class Edge {
  readonly photos: PhotoSet
  readonly storage: Nginx
  readonly caches: readonly Nginx[]
  readonly router: Router
  readonly publicPort: number
  readonly folder: string

  private constructor(folder: string, photos: PhotoSet, ports: number[], options: EdgeOptions) {
    const [publicPort = 0, storagePort = 0, ...cachePorts] = ports
    this.folder = folder
    this.photos = photos
    this.publicPort = publicPort
    photos.writeTo(path.join(folder, 'photos'))
    this.storage = Nginx.storage(
      storagePort,
      path.join(folder, 'storage'),
      path.join(folder, 'photos'),
    )
    this.caches = CACHES.map((name, index) =>
      Nginx.cache(name, cachePorts[index] ?? 0, path.join(folder, name), storagePort),
    )
    this.router = new Router(path.join(folder, 'router'), this.configText(options))
  }

  /** Resolves when all of it serves, and every photo is on the disk of its own cache. */
  static async start(t: Test, photos: PhotoSet, options: EdgeOptions = {}): Promise<Edge> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-system-'))
    const edge = new Edge(folder, photos, await freePorts(2 + CACHES.length), options)
    t.teardown(() => edge.destroy())
    await Promise.all([edge.storage, ...edge.caches].map((nginx) => nginx.start()))
    await edge.router.start()
    const warming = edge.load({
      requestsPerSecond: 1,
      ...(options.client && { tls: options.client }),
    })
    await warming.fetchAll(photos.paths, 16)
    const bad = warming.samples.filter(({ outcome }) => outcome !== 'ok')
    if (bad.length > 0) throw new Error(`warming: ${JSON.stringify(bad[0])}`)
    for (const nginx of [edge.storage, ...edge.caches]) nginx.takeLog()
    return edge
  }

  configText({
    check = HTTP_CHECK,
    workers = 1,
    group = 'fallback: spread',
    listener = '',
  }: EdgeOptions): string {
    const servers = this.caches.map(({ name, port }) => `${name}: "127.0.0.1:${port}"`).join(', ')
    const more = listener === '' ? '' : `, ${listener}`
    return `edge: system
boxes: { router-1: { address: 127.0.0.1 } }
pools: { caches: { check: caches, servers: { ${servers} } } }
router:
  boxes: [router-1]
  workers: ${workers}
  drainDeadline: 5s
  listen: [{ address: "127.0.0.1:${this.publicPort}"${more} }]
  accessLog: { file: access.log, format: json }
  groups: { photos: { user: "/u/{user}/{photo}", pool: caches, ${group} } }
  routes: [{ path: /u/*, group: photos }]
checks: { caches: ${check} }
admin: { socket: router.sock }
`
  }

  /** A load on the public address; every byte is compared. */
  load(options: Partial<LoadOptions> & { readonly requestsPerSecond: number }): LoadClient {
    const { originals } = this.photos
    return new LoadClient({
      port: this.publicPort,
      originals,
      draw: this.photos.zipf(1),
      ...options,
    })
  }

  cache(name: string): Nginx {
    const cache = this.caches.find((one) => one.name === name)
    if (cache === undefined) throw new Error(`no ${name}`)
    return cache
  }

  async destroy(): Promise<void> {
    await this.router.destroy()
    await Promise.all([this.storage, ...this.caches].map((nginx) => nginx.kill()))
    fs.rmSync(this.folder, { recursive: true, force: true })
  }
}
