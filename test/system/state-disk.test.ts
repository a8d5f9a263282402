// Needs: root, mkfs.ext4, losetup, fsfreeze
// The disk of `admin.state` hangs, and nothing that a service does waits for it: not a kill and a
// new start either. Nor does the primary wait for the access log's.

import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { AdminClient } from '../../admin/client.ts'
import { Disk } from './kit/disk.ts'
import { Mountcheck } from './kit/mountcheck.ts'
import { freePorts } from './kit/ports.ts'
import { Router } from './kit/router.ts'
import { until } from './kit/wait.ts'

const CACHES = ['c1', 'c2', 'c3']
/** What an answer that waits for nothing may take on two shared cores. */
const SOON_MS = 1000
const NO_ANSWER =
  /^Cannot write in the state folder .* \(admin\.state\): it has not answered for 1 s$/

async function aDisk(t: Test, folder: string): Promise<Disk> {
  const disk = await Disk.make(folder)
  t.teardown(() => disk.remove())
  return disk
}

function aFolder(t: Test): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-state-'))
  t.teardown(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

async function startCache(t: Test, port: number): Promise<http.Server> {
  const server = http.createServer((_, response) => response.end('photo'))
  t.teardown(() => {
    server.close().closeAllConnections()
  })
  await once(server.listen(port, '127.0.0.1'), 'listening')
  return server
}

/** A router with three caches, and its state on a disk of its own. */
async function setUpRouter(t: Test, { isLogThere = false } = {}) {
  const folder = aFolder(t)
  const disk = await aDisk(t, path.join(folder, 'disk'))
  await disk.mount()
  const [publicPort = 0, ...ports] = await freePorts(1 + CACHES.length)
  const caches = await Promise.all(ports.map((port) => startCache(t, port)))
  const servers = ports.map((port, index) => `c${index + 1}: "127.0.0.1:${port}"`).join(', ')
  const state = path.join(disk.mountPoint, 'state')
  const router = new Router(
    path.join(folder, 'router'),
    `edge: system
boxes: { router-1: { address: 127.0.0.1 } }
pools: { caches: { check: caches, servers: { ${servers} } } }
router:
  boxes: [router-1]
  workers: 1
  drainDeadline: 2s
  accessLog: { file: ${isLogThere ? path.join(disk.mountPoint, 'access.log') : 'access.log'} }
  listen: [{ address: "127.0.0.1:${publicPort}" }]
  groups: { photos: { user: "/u/{user}/{photo}", pool: caches } }
  routes: [{ path: /u/*, group: photos }]
checks: { caches: { type: tcp, interval: 200ms, timeout: 200ms, fall: 2, rise: 1 } }
admin: { socket: router.sock, state: ${isLogThere ? 'state' : state}, http: off }
`,
  )
  t.teardown(async () => {
    await disk.remove()
    await router.destroy()
  })
  await router.start()
  const admin = new AdminClient(path.join(router.folder, 'router.sock'))
  /** 20 users' photos, one after the other; a worker that has just come may be waited for. */
  const ask = async (): Promise<void> => {
    for (let user = 0; user < 20; user++) {
      const response = await fetch(`http://127.0.0.1:${publicPort}/u/${user}/1`)
      t.equal(response.status, 200)
      await response.text()
    }
  }
  const kept = (): unknown => {
    const file = path.join(state, 'overrides.json')
    return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : undefined
  }
  return { disk, router, admin, caches, ask, kept }
}

async function soon<T>(t: Test, what: string, withinMs: number, act: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const result = await act()
  const tookMs = Math.round(performance.now() - startedAt)
  t.comment(`${what}: ${tookMs} ms`)
  t.ok(tookMs < withinMs, `${what} in time`)
  return result
}

async function isDown(router: Router, name: string): Promise<void> {
  await until(`${name} down`, 5000, async () => {
    return (await router.cache(name)).state === 'down' ? true : undefined
  })
}

void t.test('a router serves, checks and takes drains while its state disk hangs', async (t) => {
  const { disk, router, admin, caches, ask, kept } = await setUpRouter(t)
  await admin.drain({ cache: 'c3' })
  t.same(kept(), { drained: ['caches/c3'], weights: {} }, 'what is answered is kept')
  await admin.undrain({ cache: 'c3' })
  await disk.freeze()
  caches[0]?.close().closeAllConnections()
  await isDown(router, 'c1')
  await soon(t, 'status', SOON_MS, () => router.status())
  await ask()
  const drained = await soon(t, 'drain', 1000 + SOON_MS, () => admin.drain({ cache: 'c2' }))
  t.match(drained.notKept, NO_ANSWER)
  const weight = () => admin.weight({ cache: 'c3', weight: 7 })
  t.match((await soon(t, 'weight', 1000 + 2 * SOON_MS, weight)).notKept, NO_ANSWER)
  await ask()
  await router.killWorker()
  await until('another worker', 10_000, async () => {
    const { workers, workerRestarts } = await router.status()
    return workerRestarts === 1 && workers.every(({ state }) => state === 'ready')
      ? true
      : undefined
  })
  await ask()
  await soon(t, 'reload', 5000, () => router.reload())
  await disk.thaw()
  await until('overrides kept', 5000, async () => {
    const { events } = await router.status()
    return events.some(({ event }) => event === 'overrides kept') ? true : undefined
  })
  t.same(kept(), { drained: ['caches/c2'], weights: { 'caches/c3': 7 } })
  t.equal(await router.stop(), 0)
})

void t.test('a log that is to be reopened on a disk that hangs holds up no check', async (t) => {
  const { disk, router, caches, ask } = await setUpRouter(t, { isLogThere: true })
  await ask()
  const log = path.join(disk.mountPoint, 'access.log')
  fs.renameSync(log, `${log}.1`)
  await disk.freeze()
  process.kill(router.pid, 'SIGUSR1')
  caches[0]?.close().closeAllConnections()
  await isDown(router, 'c1')
  await soon(t, 'status', SOON_MS, () => router.status())
  await ask()
  await until('it is told', 10_000, async () => {
    const { events } = await router.status()
    return events.find(({ event }) => event === 'log not reopened')?.reason
  }).then((reason) => {
    t.match(reason, /^Cannot write the access log .*: its disk does not answer$/)
  })
  await disk.thaw()
  await until('the new log', 5000, () => Promise.resolve(fs.existsSync(log) ? true : undefined))
  await ask()
  t.equal(await router.stop(), 0)
  t.match(fs.readFileSync(log, 'utf8'), /^(?:\{.+\}\n)+$/)
})

void t.test('a router is killed, started and stopped while its state disk hangs', async (t) => {
  const { disk, router, admin, ask, kept } = await setUpRouter(t)
  await admin.drain({ cache: 'c1' })
  await disk.freeze()
  t.match((await admin.drain({ cache: 'c2' })).notKept, NO_ANSWER)
  process.kill(router.pid, 'SIGKILL')
  await soon(t, 'its end', SOON_MS, () => router.ended())
  await soon(t, 'a start', 10_000, () => router.start())
  await ask()
  const drained = (await router.status()).caches.map((cache) => cache.drained)
  t.same(drained, [true, false, false], 'what was kept is read')
  t.match((await admin.weight({ cache: 'c3', weight: 5 })).notKept, NO_ANSWER)
  await disk.thaw()
  const wanted = { drained: ['caches/c1'], weights: { 'caches/c3': 5 } }
  await until('overrides kept', 5000, () => {
    return Promise.resolve(JSON.stringify(kept()) === JSON.stringify(wanted) ? true : undefined)
  })
  await disk.freeze()
  t.match((await admin.undrain({ cache: 'c1' })).notKept, NO_ANSWER)
  t.equal(await soon(t, 'a stop', 5000, () => router.stop()), 0)
  await disk.thaw()
  t.same(kept(), wanted, 'a life that is over writes nothing')
})

void t.test('a mount check answers and starts while its state disk hangs', async (t) => {
  const folder = aFolder(t)
  const disk = await aDisk(t, path.join(folder, 'state'))
  await disk.mount()
  const photos = await aDisk(t, path.join(folder, 'photos'))
  const [port = 0] = await freePorts(1)
  const { mountPoint } = photos
  const times = { intervalMs: 300, deadlineMs: 500 }
  const state = path.join(disk.mountPoint, 'state')
  const check = new Mountcheck({ folder, port, mountPoint, state, ...times })
  t.teardown(async () => {
    await disk.remove()
    await check.kill()
  })
  const answers = (httpStatus: number) =>
    until(`${httpStatus}`, 10_000, async () => {
      const answer = await check.health()
      t.ok(answer.tookMs < SOON_MS)
      return answer.httpStatus === httpStatus ? true : undefined
    })
  await answers(503)
  await disk.freeze()
  await photos.mount()
  await answers(200)
  await photos.unmount()
  await answers(503)
  await soon(t, 'an end and a start', 5000, () => check.restart())
  await photos.mount()
  await answers(200)
  await disk.thaw()
  await until('mounts kept', 5000, () => {
    return Promise.resolve(fs.existsSync(path.join(state, 'mounts.json')) ? true : undefined)
  })
  t.equal(await check.stop(), 0)
})
