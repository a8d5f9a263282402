// Needs: root, nginx, varnishd, mkfs.ext4, losetup, fsfreeze
// Real Varnish caches with their photos on a disk each, and a mount check beside each: every photo
// whole, from its one cache, and no client sees a disk that hangs.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { Disk } from './kit/disk.ts'
import { LoadClient, tally, troubles } from './kit/load-client.ts'
import type { Sample } from './kit/load-client.ts'
import { Mountcheck } from './kit/mountcheck.ts'
import { Nginx } from './kit/nginx.ts'
import { PhotoSet } from './kit/photo-set.ts'
import { freePorts } from './kit/ports.ts'
import { Router } from './kit/router.ts'
import { startVarnish } from './kit/varnish.ts'
import { until } from './kit/wait.ts'

const NAMES = ['cache-1', 'cache-2', 'cache-3']
const addressOf = (index: number): string => `127.0.0.${index + 2}`
const MOUNT = { intervalMs: 500, deadlineMs: 500 }

const photos = new PhotoSet(150, 1, [2000, 12_000, 60_000])
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-varnish-'))
t.teardown(() => {
  fs.rmSync(folder, { recursive: true, force: true })
})
photos.writeTo(path.join(folder, 'originals'))
const [publicPort = 0, storagePort = 0, port = 0, checkPort = 0] = await freePorts(4)
const storage = Nginx.storage(
  storagePort,
  path.join(folder, 'storage'),
  path.join(folder, 'originals'),
)
t.teardown(() => storage.kill())
await storage.start()

const disks: Disk[] = []
for (const [index, name] of NAMES.entries()) {
  const own = path.join(folder, name)
  const disk = await Disk.make(own, { sizeMb: 64, mkfs: '' })
  t.teardown(() => disk.remove())
  await disk.mount()
  disks.push(disk)
  const address = addressOf(index)
  const place = { folder: path.join(own, 'varnish'), photoFolder: disk.mountPoint, storagePort }
  t.teardown(await startVarnish({ name, address, port, ...place }))
  const { mountPoint } = disk
  const check = new Mountcheck({ folder: own, address, port: checkPort, mountPoint, ...MOUNT })
  t.teardown(() => check.kill())
}
// Whatever went wrong: what hangs in the kernel can only be ended once its disk is thawed.
t.teardown(() => disks[1]?.remove())

const servers = NAMES.map((name, index) => `${name}: "${addressOf(index)}:${port}"`).join(', ')
const router = new Router(
  path.join(folder, 'router'),
  `edge: varnish
boxes: { router-1: { address: 127.0.0.1 } }
pools: { caches: { check: disk, servers: { ${servers} } } }
router:
  boxes: [router-1]
  workers: 1
  listen: [{ address: "127.0.0.1:${publicPort}" }]
  accessLog: { file: access.log }
  groups: { photos: { user: "/u/{user}/{photo}", pool: caches } }
  routes: [{ path: /u/*, group: photos }]
checks: { disk: { type: http, port: ${checkPort}, path: /health, interval: 500ms, timeout: 300ms } }
admin: { socket: router.sock, http: off }
`,
)
t.teardown(() => router.destroy())
await router.start()

const clientOf = (draw: () => string): LoadClient =>
  new LoadClient({ port: publicPort, originals: photos.originals, requestsPerSecond: 100, draw })

/** Every photo once. */
async function round(t: Test): Promise<ReadonlyMap<string, Sample>> {
  const client = clientOf(photos.zipf(1))
  await client.fetchAll([...photos.originals.keys()], 8)
  t.same(troubles(client.samples), [], 'every byte is right')
  await client.stop()
  return new Map(client.samples.map((sample) => [sample.target, sample]))
}

void t.test(
  'each photo comes whole from its one Varnish, the second time from there',
  async (t) => {
    const first = await round(t)
    const second = await round(t)
    t.equal(new Set([...first.values()].map(({ cacheName }) => cacheName)).size, NAMES.length)
    for (const [target, { cacheName, cacheStatus }] of second) {
      t.equal(cacheStatus, 'HIT', target)
      t.equal(cacheName, first.get(target)?.cacheName)
    }
  },
)

void t.test('a Varnish whose disk hangs is out by its mount check, and back', async (t) => {
  const load = clientOf(photos.zipf(2)).start()
  await delay(1000)
  const [, disk] = disks
  await disk?.freeze()
  const frozenAt = performance.now()
  const reason = await until('cache-2 down', 10_000, async () => {
    const cache = await router.cache('cache-2')
    return cache.state === 'down' ? cache.reason : undefined
  })
  const outAfterMs = Math.round(performance.now() - frozenAt)
  t.match(reason, /^status 503: no answer from /)
  await delay(1000)
  await disk?.thaw()
  const thawedAt = performance.now()
  await until('cache-2 up', 10_000, async () => {
    return (await router.cache('cache-2')).state === 'up' ? true : undefined
  })
  const backAfterMs = Math.round(performance.now() - thawedAt)
  await delay(1000)
  const samples = await load.stop()
  t.comment(JSON.stringify({ outAfterMs, backAfterMs, ...tally(samples) }))
  t.same(troubles(samples), [], 'no client sees an error, every byte is right')
  t.equal((await router.status()).workerRestarts, 0)
})
