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
  /** Photos that are on their caches' disks from the start; by default all. */
  readonly warm?: readonly string[]
}

/** A check that opens a connection, and one that asks for an answer. */
export const TCP_CHECK = '{ type: tcp, interval: 500ms, timeout: 300ms, fall: 3, rise: 1 }'
export const HTTP_CHECK =
  '{ type: http, path: /health, interval: 500ms, timeout: 300ms, fall: 3, rise: 1 }'

export const CACHES = ['cache-1', 'cache-2', 'cache-3', 'cache-4']
const PHOTO_SIZES_BYTES = [2000, 4000, 8000, 12_000, 24_000, 60_000]

/** What differs between the sites of the tests. */
export interface SiteOptions {
  /** Each cache's disk, where it is no folder beside the others; each has an address of its own. */
  readonly diskOf?: (name: string) => string
  /** Made once for several sites. */
  readonly photos?: PhotoSet
}

/** Users with two photos each. */
export const aPhotoSet = (userCount = 2000): PhotoSet =>
  new PhotoSet(userCount, 2, PHOTO_SIZES_BYTES)

/** A real nginx storage with 2,000 users' photos, and four real nginx caches with their disks. */
export class Site {
  readonly photos: PhotoSet
  readonly folder: string
  readonly storage: Nginx
  readonly caches: readonly Nginx[]

  private constructor(
    folder: string,
    photos: PhotoSet,
    ports: readonly number[],
    diskOf: SiteOptions['diskOf'],
  ) {
    const [storagePort = 0, ...cachePorts] = ports
    this.folder = folder
    this.photos = photos
    photos.writeTo(path.join(folder, 'photos'))
    this.storage = Nginx.storage(
      storagePort,
      path.join(folder, 'storage'),
      path.join(folder, 'photos'),
    )
    this.caches = CACHES.map((name, index) =>
      Nginx.cache({
        name,
        address: diskOf === undefined ? '127.0.0.1' : `127.0.0.${11 + index}`,
        port: cachePorts[index] ?? 0,
        folder: path.join(folder, name),
        storagePort,
        ...(diskOf && { photoFolder: path.join(diskOf(name), 'photos') }),
      }),
    )
  }

  /** Resolves when storage and caches serve; the end of `t` ends them. */
  static async start(t: Test, { diskOf, photos = aPhotoSet() }: SiteOptions = {}): Promise<Site> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-system-'))
    const site = new Site(folder, photos, await freePorts(1 + CACHES.length), diskOf)
    t.teardown(async () => {
      await Promise.all([site.storage, ...site.caches].map((nginx) => nginx.kill()))
      fs.rmSync(folder, { recursive: true, force: true })
    })
    await Promise.all([site.storage, ...site.caches].map((nginx) => nginx.start()))
    return site
  }

  cache(name: string): Nginx {
    const cache = this.caches.find((one) => one.name === name)
    if (cache === undefined) throw new Error(`no ${name}`)
    return cache
  }
}

/** A router in front of a site, and every photo on the disk of its own cache. */
export class Edge {
  readonly router: Router
  readonly publicPort: number
  readonly #site: Site

  private constructor(site: Site, publicPort: number, folder: string, options: EdgeOptions) {
    this.#site = site
    this.publicPort = publicPort
    this.router = new Router(folder, this.configText(options))
  }

  /** Resolves when it serves; the end of `t` ends the router. */
  static async start(t: Test, site: Site, options: EdgeOptions = {}): Promise<Edge> {
    const [publicPort = 0] = await freePorts(1)
    const folder = path.join(site.folder, `router-${publicPort}`)
    const edge = new Edge(site, publicPort, folder, options)
    t.teardown(() => edge.router.destroy())
    await edge.router.start()
    const warming = edge.load({
      requestsPerSecond: 1,
      ...(options.client && { tls: options.client }),
    })
    await warming.fetchAll(options.warm ?? site.photos.paths, 16)
    const bad = warming.samples.filter(({ outcome }) => outcome !== 'ok')
    if (bad.length > 0) throw new Error(`warming: ${JSON.stringify(bad[0])}`)
    for (const nginx of [site.storage, ...site.caches]) nginx.takeLog()
    return edge
  }

  configText({
    check = HTTP_CHECK,
    workers = 1,
    group = 'fallback: spread',
    listener = '',
  }: EdgeOptions): string {
    const servers = this.#site.caches
      .map(({ name, address, port }) => `${name}: "${address}:${port}"`)
      .join(', ')
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
admin: { socket: router.sock, http: off }
`
  }

  /** A load on the public address; every byte is compared. */
  load(options: Partial<LoadOptions> & { readonly requestsPerSecond: number }): LoadClient {
    const { photos } = this.#site
    return new LoadClient({
      port: this.publicPort,
      originals: photos.originals,
      draw: photos.zipf(1),
      ...options,
    })
  }
}
