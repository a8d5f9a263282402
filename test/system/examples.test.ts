// Needs: root, nginx, openssl, ip, nsenter, unshare, mkfs.ext4, losetup, fsfreeze
// The configurations in deploy/examples run as they stand: on boxes with the names and addresses that
// they name, with their own checks, started and asked as an operator would.

import { SWITCH } from './kit/own-network.ts'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import t from 'tap'
import type { Test } from 'tap'
import type { RouterStatus } from '../../admin/schemas.ts'
import type { MountAnswerBody } from '../../healthcheck/core/mount-answer.ts'
import { makeCertificate } from './kit/certificate.ts'
import { Disk, sh } from './kit/disk.ts'
import type { DiskOptions } from './kit/disk.ts'
import { CACHES, aPhotoSet } from './kit/edge.ts'
import type { EdgeBox } from './kit/edge-box.ts'
import {
  Example,
  copyExample,
  isAsShipped,
  isWholly,
  statusOf,
  statusWhen,
  stops,
} from './kit/example.ts'
import { LoadClient, startedIn, tally, troubles } from './kit/load-client.ts'
import type { LoadOptions, Sample } from './kit/load-client.ts'
import { Nginx } from './kit/nginx.ts'
import type { CacheInit } from './kit/nginx.ts'
import { Photoedge } from './kit/photoedge.ts'
import type { Service } from './kit/photoedge.ts'
import { until } from './kit/wait.ts'

/** This machine's, as the gateway of the examples' networks. */
const OURS = ['10.77.0.1/24', '10.1.0.1/16', '2001:db8:1::1/64', '10.0.0.1/24']
const STORAGE_PORT = 8000
/** Their photos are on their caches' disks from the start; the other users' are asked for once each. */
const WARM_USERS = 300
const FRESH_USERS = 150
const FRESH_EVERY = 10
const REQUESTS_PER_SECOND = 100
const AVATAR_COUNT = 40

const photos = aPhotoSet(WARM_USERS + FRESH_USERS)
const warmPaths = photos.paths.slice(0, (photos.paths.length * WARM_USERS) / photos.userCount)
const avatars = new Map(
  Array.from({ length: AVATAR_COUNT }, (_, user) => [
    `/avatars/${user}.jpg?uid=${user}`,
    Buffer.from(`the face of ${user}`),
  ]),
)

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-examples-'))
const photoFolder = path.join(folder, 'photos')
const storageFolder = path.join(folder, 'storage')
const storage = Nginx.storage(STORAGE_PORT, storageFolder, photoFolder, '0.0.0.0')
t.teardown(async () => {
  await storage.kill()
  fs.rmSync(folder, { recursive: true, force: true })
})
t.before(async () => {
  // As the unit has it: what is compiled once is not compiled at each start.
  process.env['NODE_COMPILE_CACHE'] = path.join(folder, 'compiled')
  photos.writeTo(photoFolder)
  fs.mkdirSync(path.join(photoFolder, 'avatars'))
  for (const [target, face] of avatars) {
    fs.writeFileSync(path.join(photoFolder, target.split('?')[0] ?? ''), face)
  }
  await sh(OURS.map((address) => `ip address add ${address} dev ${SWITCH} nodad`).join('\n'))
  await storage.start()
})

void t.test('edge.yaml: three routers agree on four caches, and a disk hangs', async (t) => {
  const example = new Example(t, 'edge.yaml')
  const disks = await Promise.all(CACHES.map((name) => mountedDisk(t, `edge-${name}`)))
  const caches = await Promise.all(disks.map((disk, index) => bootCache(t, example, disk, index)))
  const numbers = [1, 2, 3]
  const routers = await Promise.all(
    numbers.map((number) => example.boot(`router-${number}`, [`10.77.0.1${number}/24`])),
  )
  for (const box of [...routers, ...caches]) await example.passesCheck(box)
  for (const box of caches) example.start(box, 'mountcheck')
  // A cache that a router saw down for a while before it was up takes its users in steps.
  for (const index of caches.keys()) await mountComesUp(edgeAddress(index))
  const services = routers.map((box) => example.start(box, 'router'))
  for (const [index, service] of services.entries()) {
    await statusWhen('all caches up', socketOf(routers[index]!), service, isWholly)
  }
  const [router, service, frozen] = [routers[0]!, services[0]!, disks[1]!]
  t.strictSame(verdictsOf(await example.status(router)), CACHES.map(WELL_IN_EDGE))

  const homes: Map<string, string>[] = []
  for (const number of numbers) {
    const samples = await fetchAll(t, warmPaths, { address: `10.77.0.1${number}`, port: 80 })
    homes.push(new Map(samples.map(({ target, cacheName }) => [target, cacheName])))
  }
  t.strictSame(new Set(homes[0]?.values()), new Set(CACHES), 'each cache has users')
  t.strictSame(homes[1], homes[0], 'a photo has one home, whichever router is asked')
  t.strictSame(homes[2], homes[0])

  // What hangs in the kernel can only be ended once its disk is thawed.
  t.teardown(() => frozen.thaw().catch(() => undefined))
  await diskHangs(t, example, { router, service, disk: frozen })
  for (const each of services) await stops(t, each)
  example.isAsShipped()
})

/** Of a cache. */
const edgeAddress = (index: number): string => `10.77.0.2${index + 1}`
const WELL_IN_EDGE = (name: string): string =>
  `${name} up: caches: status 200; caches-answer: status 403`
const HUNG = /^cache-2 down: .*\bcaches: status 503: no answer from \/srv\/photos for \d+ s/

interface Hang {
  readonly router: EdgeBox
  readonly service: Service
  readonly disk: Disk
}

/** cache-2's, under load; what storage is asked for has to be written to it. */
async function diskHangs(
  t: Test,
  example: Example,
  { router, service, disk }: Hang,
): Promise<void> {
  const socket = socketOf(router)
  const cacheSays = (): ReturnType<typeof mountcheckSays> => mountcheckSays('10.77.0.22')
  const load = new LoadClient({
    address: '10.77.0.11',
    port: 80,
    requestsPerSecond: REQUESTS_PER_SECOND,
    originals: photos.originals,
    draw: drawing(),
  }).start()
  t.teardown(() => load.stop())
  await delay(500)
  const before = await cacheSays()
  t.match(before, { httpStatus: 200, reason: 'all is well' })
  const frozenAt = performance.now()
  await disk.freeze()
  await statusWhen('verdict on the hung disk', socket, service, isHung)
  const outAt = performance.now()
  const verdicts = verdictsOf(await example.status(router))
  const during = await cacheSays()
  const thawedAt = performance.now()
  await disk.thaw()
  await statusWhen('return', socket, service, isWholly)
  const backAt = performance.now()
  await delay(1500)
  const samples = await load.stop()
  const after = await cacheSays()
  const status = await example.status(router)

  const ms = { out: Math.round(outAt - frozenAt), back: Math.round(backAt - thawedAt) }
  t.comment(JSON.stringify({ ms, ...tally(samples) }))
  t.same(troubles(samples), [], 'no request fails')
  t.match(verdicts[1], HUNG, 'status says why')
  t.strictSame(
    verdicts.filter((_, index) => index !== 1),
    ['cache-1', 'cache-3', 'cache-4'].map(WELL_IN_EDGE),
  )
  t.match(during, { httpStatus: 503, reason: /^no answer from \/srv\/photos for \d+ s$/ })
  t.ok(asked(samples, 0, frozenAt))
  t.notOk(asked(samples, outAt, thawedAt), 'it is not asked while it is down')
  t.ok(asked(samples, backAt, Infinity), 'its users are back')
  t.match(after, { httpStatus: 200, cache: before.cache }, 'with the same photos')
  const events = status.events.map(({ event }) => event)
  const returns = events.filter((event) => event.startsWith('return'))
  t.strictSame(returns, ['return skipped'], 'so they need not come back in steps')
  t.equal(status.workerRestarts, 0)
}

const isHung = (status: RouterStatus): boolean =>
  verdictsOf(status).some((verdict) => HUNG.test(verdict))

const asked = (samples: readonly Sample[], fromMs: number, toMs: number): boolean =>
  namesOf(startedIn(samples, fromMs, toMs)).includes('cache-2')

void t.test('router.yaml: one router on loopback in front of four caches', async (t) => {
  const etc = path.join(folder, 'router')
  fs.mkdirSync(etc)
  const config = copyExample('router.yaml', etc)
  makeCertificate(etc, 'cdn')
  const names = ['c0', 'c1', 'c2', 'c3']
  await Promise.all(
    names.map((name, index) => startCache(t, { name, address: '127.0.0.1', port: 9101 + index })),
  )
  const photoedge = new Photoedge()
  const options = ['-c', config, '--box', 'router-1']
  t.match(await photoedge.run('check', ...options), { code: 0, stderr: '' }, 'check')
  const service = photoedge.start('router', ...options)
  t.teardown(() => service.kill())
  await statusWhen('all caches up', path.join(etc, 'photoedge-router-1.sock'), service, isWholly)
  const verdicts = verdictsOf(await statusOf(t, photoedge, ...options))
  t.strictSame(
    verdicts,
    names.map((name) => `${name} up: connected`),
  )

  const plain = await fetchAll(t, warmPaths, { port: 9300 })
  t.strictSame(namesOf(plain), names)
  const secure = await fetchAll(t, warmPaths, { port: 9343, tls: client(etc, 'cdn', 'cdn.test') })
  t.ok(
    secure.every(({ cacheStatus }) => cacheStatus === 'HIT'),
    'from the same caches',
  )
  await stops(t, service)
  const lines = fs.readFileSync(path.join(etc, 'access.log'), 'utf8').trim().split('\n')
  t.equal(lines.length, plain.length + secure.length, 'each request has its line in the log')
  isAsShipped(t, config)
})

void t.test('site.yaml: fifty caches, photos and avatars', async (t) => {
  const example = new Example(t, 'site.yaml')
  const addresses = ['10.1.0.11/16', '2001:db8:1::11/64']
  const router = await example.boot('m1-router-01', addresses, { interface: 'bond0' })
  const ips = Array.from({ length: 50 }, (_, index) => `10.1.1.${index + 1}`)
  const caches = await example.boot(
    'm1-caches',
    ips.map((ip) => `${ip}/16`),
  )
  await startPlainCaches(t, caches, ips, [80, 8080, 8081])
  const etc = router.file('/etc/photoedge')
  makeCertificate(etc, 'cdn', CDN)
  makeCertificate(etc, 'avatars', AVATARS)
  fs.writeFileSync(path.join(etc, 'tickets.key'), ticketKeys())
  await example.passesCheck(router)
  const service = example.start(router, 'router')
  t.teardown(() => service.kill())
  await statusWhen('all caches up', socketOf(router), service, isWholly)
  const shown = (await example.status(router)).caches.map(
    ({ pool, name, state, reason }) => `${pool}: ${name} ${state}: ${reason}`,
  )
  t.strictSame(shown.sort(), [...wellInSite('m1-avatars', 5), ...wellInSite('m1-caches', 50)])

  for (const address of ['10.1.0.11', '2001:db8:1::11']) {
    for (const way of [HTTP, { port: 443, tls: client(etc, 'cdn', CDN) }]) {
      const samples = await fetchAll(t, warmPaths, { address, ...way })
      const astray = samples.filter(({ target, cacheName }) => cacheName !== homeOf(target))
      t.strictSame(astray, [], "a photo comes from its user's cache")
      t.equal(namesOf(samples).length, 50)
    }
    for (const way of [HTTP, { port: 443, tls: client(etc, 'avatars', AVATARS) }]) {
      const faces = { address, host: AVATARS, originals: avatars }
      const samples = await fetchAll(t, [...avatars.keys()], { ...faces, ...way })
      t.strictSame(
        namesOf(samples),
        ips.slice(0, 5).map((ip) => `${ip}:8080`),
      )
    }
  }
  const { headers } = await fetch('http://10.1.0.11/u/1/0.jpg')
  t.equal(headers.get('cache-control'), 'public, max-age=31536000')
  t.equal(headers.get('server'), null)
  await stops(t, service)
  example.isAsShipped()
})

const CDN = 'cdn.example.com'
const AVATARS = 'avatars.example.com'
const HTTP = { port: 80 }

const wellInSite = (pool: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => {
    const number = String(index + 1).padStart(2, '0')
    return `${pool}: m1-cache-${number} up: status 200`
  })

/** By `shards: { modulo: 50 }`. */
const homeOf = (target: string): string => `10.1.1.${(Number(target.split('/')[2]) % 50) + 1}:80`

void t.test('reference.yaml: a disk of the wrong type, and one of the right type', async (t) => {
  const example = new Example(t, 'reference.yaml')
  const router = await example.boot('router-1', ['10.0.0.11/24', '2001:db8::11/64'])
  const cache = await example.boot('cache-1', ['10.0.0.21/24'])
  const ips = ['10.0.0.22', '10.0.0.23', '10.0.0.24']
  const others = await example.boot(
    'caches',
    ips.map((ip) => `${ip}/24`),
  )
  await startPlainCaches(t, others, ips, [80, 8081])
  await insert(cache, await mountedDisk(t, 'reference-ext4'))
  const from = { address: '10.0.0.21', storageAddress: '10.0.0.1' }
  const nginx = await startCache(t, { name: 'cache-1', ...from, ...atDisk(cache) })
  for (const box of [router, cache]) {
    writeNamedFiles(box.file('/etc/photoedge'))
    await example.passesCheck(box)
  }
  example.start(cache, 'mountcheck')
  await until(`503 ${WRONG_TYPE}`, 10_000, async () => {
    const { httpStatus, reason } = await mountcheckSays('10.0.0.21')
    if (httpStatus === 503 && reason === WRONG_TYPE) return true
    throw new Error(`${httpStatus} ${reason}`)
  })

  const service = example.start(router, 'router')
  t.teardown(() => service.kill())
  const socket = router.file('/run/photoedge/router-1-router.sock')
  await statusWhen('a verdict on each cache', socket, service, ({ caches }) =>
    caches.every(({ state }) => state !== 'unknown'),
  )
  const plain = ips.map((ip) => `${ip}:80`)
  const [first, ...rest] = verdictsOf(await example.status(router))
  t.equal(first, `cache-1 down: caches: status 503: ${WRONG_TYPE}`)
  t.strictSame(rest, CACHES.slice(1).map(WELL_IN_REFERENCE))
  const tls = client(router.file('/etc/photoedge'), 'cdn', CDN)
  const ways = [HTTP, { port: 443, tls }].map((way) => ({ address: '10.0.0.11', ...way }))
  for (const way of ways) t.strictSame(namesOf(await fetchAll(t, warmPaths, way)), plain)
  const robots = await fetch('http://10.0.0.11/robots.txt')
  t.equal(await robots.text(), 'User-agent: *\n', 'the router answers by itself')

  const skip = (await hasXfs()) ? false : 'no mkfs.xfs, or the kernel has none'
  await t.test('as it should be: xfs on /dev/sdb1', { skip }, async (t) => {
    const options: DiskOptions = { sizeMb: 320, type: 'xfs', mkfs: '' }
    const disk = await mountedDisk(t, 'reference-xfs', options)
    await nginx.kill()
    await insert(cache, disk)
    await nginx.start()
    const status = await statusWhen('all caches up', socket, service, isWholly)
    t.strictSame(verdictsOf(status), CACHES.map(WELL_IN_REFERENCE))
    const answer = await mountcheckSays('10.0.0.21')
    t.match(answer, { httpStatus: 200, mounts: [{ source: '/dev/sdb1', type: 'xfs' }] })
    for (const way of ways) {
      t.strictSame(namesOf(await fetchAll(t, warmPaths, way)), [...plain, 'cache-1'])
    }
  })
  await stops(t, service)
  example.isAsShipped()
})

const WRONG_TYPE = '/srv/photos has type ext4 instead of xfs'
const WELL_IN_REFERENCE = (name: string): string =>
  `${name} up: caches: status 200; caches-port: connected`

/** What reference.yaml names and an operator brings. */
function writeNamedFiles(etc: string): void {
  makeCertificate(etc, 'cdn', CDN)
  fs.writeFileSync(path.join(etc, 'tickets.key'), ticketKeys())
  for (const name of ['admin.token', 'edge.key', 'zabbix.psk']) {
    fs.writeFileSync(path.join(etc, name), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  }
  fs.writeFileSync(path.join(etc, 'alert.sh'), '#!/bin/sh\n', { mode: 0o755 })
}

/** As the example's /dev/sdb1, in place of the disk before, with the example's canary on it. */
async function insert(box: EdgeBox, disk: Disk): Promise<void> {
  await box.sh(`umount -l /srv/photos || true
    rm -f /dev/sdb1
    cp -a ${disk.device} /dev/sdb1
    mount -o noatime /dev/sdb1 /srv/photos
    printf test > /srv/photos/canary.jpg`)
}

const hasXfs = (): Promise<boolean> =>
  sh('which mkfs.xfs; modprobe -q xfs || true; grep -qw xfs /proc/filesystems').then(
    () => true,
    () => false,
  )

/** A cache of edge.yaml, its photos on its disk. */
async function bootCache(t: Test, example: Example, disk: Disk, index: number): Promise<EdgeBox> {
  const name = CACHES[index] ?? ''
  const address = edgeAddress(index)
  const box = await example.boot(name, [`${address}/24`])
  await box.sh(`mount --bind ${disk.mountPoint} /srv/photos`)
  await startCache(t, { name, address, storageAddress: '10.77.0.1', ...atDisk(box) })
  return box
}

/** What nginx keeps is on the mount that is checked, in a folder of its own. */
const atDisk = (box: EdgeBox): Partial<CacheInit> => ({
  photoFolder: '/srv/photos/nginx',
  where: box.where,
})

/** In front of the storage. */
async function startCache(t: Test, init: Partial<CacheInit> & { name: string }): Promise<Nginx> {
  const own = fs.mkdtempSync(path.join(folder, `${init.name}-`))
  const where = { address: '127.0.0.1', port: 80, folder: own, storagePort: STORAGE_PORT }
  const nginx = Nginx.cache({ ...where, ...init })
  t.teardown(() => nginx.kill())
  await nginx.start()
  return nginx
}

/** One nginx for caches on many addresses, and in place of their mount checks. */
async function startPlainCaches(
  t: Test,
  box: EdgeBox,
  addresses: readonly string[],
  ports: readonly number[],
): Promise<void> {
  const endpoints = addresses.flatMap((address) => ports.map((port) => `${address}:${port}`))
  const listen = endpoints.slice(1).map((endpoint) => `listen ${endpoint};`)
  const nginx = new Nginx({
    name: box.name,
    address: addresses[0] ?? '',
    port: ports[0] ?? 0,
    folder: fs.mkdtempSync(path.join(folder, `${box.name}-`)),
    where: box.where,
    serverLines: `${listen.join(' ')}
      add_header X-Cache-Name $server_addr:$server_port;
      location = /health { default_type application/json; return 200 '{ "status": "up" }'; }
      location / { root ${photoFolder}; }`,
  })
  t.teardown(() => nginx.kill())
  await nginx.start()
}

async function mountedDisk(
  t: Test,
  name: string,
  options: DiskOptions = { sizeMb: 96, mkfs: '' },
): Promise<Disk> {
  const disk = await Disk.make(path.join(folder, name), options)
  t.teardown(() => disk.remove())
  await disk.mount()
  return disk
}

const socketOf = (box: EdgeBox): string => box.file(`/run/photoedge/${box.name}.sock`)

const verdictsOf = ({ caches }: RouterStatus): string[] =>
  caches.map(({ name, state, reason }) => `${name} ${state}: ${reason}`)

async function mountcheckSays(address: string): Promise<MountAnswerBody & { httpStatus: number }> {
  const answer = await fetch(`http://${address}:8081/health`)
  return { ...((await answer.json()) as MountAnswerBody), httpStatus: answer.status }
}

/** Resolves when its mount check has found it so. */
async function mountComesUp(address: string): Promise<void> {
  await until(`200 from ${address}`, 10_000, async () => {
    const { httpStatus, reason } = await mountcheckSays(address)
    if (httpStatus === 200) return true
    throw new Error(reason)
  })
}

type Way = Partial<LoadOptions> & { readonly port: number }

/** Each once, with its right bytes. */
async function fetchAll(t: Test, targets: readonly string[], way: Way): Promise<readonly Sample[]> {
  const draw = (): string => ''
  const load = new LoadClient({ requestsPerSecond: 1, originals: photos.originals, draw, ...way })
  await load.fetchAll(targets, 16)
  const samples = await load.stop()
  t.equal(samples.length, targets.length)
  t.same(troubles(samples), [], `every byte, from ${way.address ?? 'loopback'} port ${way.port}`)
  return samples
}

const namesOf = (samples: readonly Sample[]): string[] =>
  [...new Set(samples.map(({ cacheName }) => cacheName))].sort()

/** Who believes that certificate alone. */
const client = (etc: string, name: string, host: string): ConnectionOptions => ({
  ca: fs.readFileSync(path.join(etc, `${name}.pem`)),
  servername: host,
})

/** Warm photos by Zipf's law, and each fresh one once. */
function drawing(): () => string {
  const warm = photos.zipf(1, WARM_USERS)
  const fresh = photos.paths.slice(warmPaths.length).values()
  let count = 0
  return () => {
    count += 1
    return count % FRESH_EVERY === 0 ? (fresh.next().value ?? warm()) : warm()
  }
}

const ticketKeys = (): string => `${randomBytes(48).toString('base64')}\n`
