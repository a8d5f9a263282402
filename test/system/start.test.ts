// Needs: root, openssl
// What is wrong at the start is one clear sentence and an exit code, with nothing half-started; what
// goes wrong later leaves the router as it was.

import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { makeCertificate } from './kit/certificate.ts'
import { LoadClient, troubles } from './kit/load-client.ts'
import { childrenOf } from './kit/nginx.ts'
import { Origin } from './kit/origin.ts'
import { freePorts } from './kit/ports.ts'
import { Router } from './kit/router.ts'
import { until } from './kit/wait.ts'

const PROGRAM = path.join(import.meta.dirname, '..', '..', 'bin', 'photoedge.ts')
const PHOTO = '/u/1/a.jpg'
const photos = new Map([[PHOTO, Buffer.alloc(3000, 'photo')]])

interface Parts {
  readonly listen: string
  readonly originPort: number
  readonly log?: string
}

function configText({ listen, originPort, log = 'access.log' }: Parts): string {
  return `edge: start
boxes: { router-1: { address: 127.0.0.1 } }
pools: { origins: { check: tcp, servers: { o0: "127.0.0.1:${originPort}" } } }
router:
  boxes: [router-1]
  listen: [${listen}]
  accessLog: { file: "${log}", format: json }
  groups: { photos: { user: "/u/{user}/{photo}", pool: origins } }
  routes: [{ path: /u/*, group: photos }]
checks: { tcp: { type: tcp, interval: 500ms } }
admin: { socket: router.sock, http: off }
`
}

function tempFolder(t: Test): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-start-'))
  t.teardown(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

async function startOrigin(t: Test): Promise<Origin> {
  const origin = await Origin.start(photos)
  t.teardown(() => origin.close())
  return origin
}

/** It ends by itself, soon, with a sentence that has `message` in it, and leaves nothing. */
async function refuses(t: Test, router: Router, message: RegExp): Promise<void> {
  t.teardown(() => router.destroy())
  const startMs = performance.now()
  const code = await router.launch().ended()
  t.ok(performance.now() - startMs < 5000, 'at once')
  t.ok(code !== 0 && code !== null, `exit code ${String(code)}`)
  t.match(router.output, message)
  t.notMatch(router.output, /^\s+at /m, 'no stack trace')
  t.ok(router.output.trim().split('\n').length <= 3, router.output)
  t.notOk(fs.existsSync(path.join(router.folder, 'router.sock')), 'no socket is left')
}

void t.test('wrong flags and files', (t) => {
  const folder = tempFolder(t)
  fs.writeFileSync(path.join(folder, 'broken.yaml'), 'edge: [')
  const wrong: [string[], RegExp][] = [
    [['router', '--bogus'], /--bogus/],
    [['router'], /-c|--config/],
    [['router', '-c', path.join(folder, 'none.yaml')], /none\.yaml/],
    [['router', '-c', folder], /photoedge-start/],
    [['router', '-c', path.join(folder, 'broken.yaml')], /broken\.yaml:1:\d+: /],
    [['routre'], /router/],
  ]
  for (const [args, message] of wrong) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
      encoding: 'utf8',
      timeout: 10_000,
    })
    t.ok(status === 1 || status === 2, `${args.join(' ')}: exit code ${String(status)}`)
    t.match(stderr, message)
    t.equal(stdout, '')
    t.notMatch(stderr, /^\s+at /m, 'no stack trace')
  }
  t.end()
})

void t.test('a port in use', async (t) => {
  const origin = await startOrigin(t)
  const [free = 0] = await freePorts(1)
  const taken = net.createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as net.AddressInfo
  const listen = `{ address: "127.0.0.1:${free}" }, { address: "127.0.0.1:${port}" }`
  const text = configText({ listen, originPort: origin.port })
  await refuses(t, new Router(tempFolder(t), text), new RegExp(`127\\.0\\.0\\.1:${port}`))
  await t.rejects(once(net.connect(free, '127.0.0.1'), 'connect'), 'the other one is free again')
})

void t.test('a second router on the same ports', async (t) => {
  const origin = await startOrigin(t)
  const [port = 0] = await freePorts(1)
  const listen = `{ address: "127.0.0.1:${port}" }`
  const text = configText({ listen, originPort: origin.port })
  const router = new Router(tempFolder(t), text)
  t.teardown(() => router.destroy())
  await router.start()
  await refuses(t, new Router(tempFolder(t), text), new RegExp(`127\\.0\\.0\\.1:${port}`))
  t.equal(await router.stop(), 0)
})

void t.test('certificates that are missing, unreadable, or of another key', async (t) => {
  const origin = await startOrigin(t)
  const [port = 0] = await freePorts(1)
  const folder = tempFolder(t)
  makeCertificate(folder, 'one')
  makeCertificate(folder, 'two')
  fs.writeFileSync(path.join(folder, 'garbage.pem'), 'no certificate')
  fs.mkdirSync(path.join(folder, 'folder.pem'))
  for (const [certificate, key] of [
    ['missing.pem', 'one.key'],
    ['garbage.pem', 'one.key'],
    ['folder.pem', 'one.key'],
    ['one.pem', 'two.key'],
  ] as const) {
    const listen = `{ address: "127.0.0.1:${port}", tls: [{ certificate: ${certificate}, key: ${key} }] }`
    const router = new Router(folder, configText({ listen, originPort: origin.port }))
    await t.test(`${certificate} with ${key}`, (t) => refuses(t, router, new RegExp(certificate)))
  }
})

void t.test('a reload that cannot be taken leaves everything as it was', async (t) => {
  const origin = await startOrigin(t)
  const [port = 0] = await freePorts(1)
  const taken = net.createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const takenPort = (taken.address() as net.AddressInfo).port
  const good = `{ address: "127.0.0.1:${port}" }`
  const router = new Router(tempFolder(t), configText({ listen: good, originPort: origin.port }))
  t.teardown(() => router.destroy())
  await router.start()
  const before = await router.status()
  for (const listen of [
    `${good}, { address: "127.0.0.1:${takenPort}" }`,
    `${good}, { address: "127.0.0.1:1", tls: [{ certificate: none.pem, key: none.key }] }`,
    `{ address: "somewhere:80" }`,
  ]) {
    router.configure(configText({ listen, originPort: origin.port }))
    process.kill(router.pid, 'SIGHUP')
    await until('refusal in the events', 5000, async () => {
      const { events } = await router.status()
      const refusals = events.filter(({ event }) => event.includes('refused'))
      return refusals.length > 0 ? true : undefined
    })
    await delay(300)
    const { generation, workers, listeners } = await router.status()
    t.equal(generation, before.generation)
    t.same(listeners, before.listeners)
    t.same(
      workers.map(({ pid }) => pid),
      before.workers.map(({ pid }) => pid),
    )
    const client = new LoadClient({
      port,
      requestsPerSecond: 1,
      originals: photos,
      draw: () => PHOTO,
    })
    await client.fetchAll([PHOTO, PHOTO], 1)
    t.same(troubles(client.samples), [])
  }
  t.equal(await router.stop(), 0)
})

void t.test('a full disk under the log costs no photo', async (t) => {
  const origin = await startOrigin(t)
  const folder = tempFolder(t)
  const disk = path.join(folder, 'disk')
  fs.mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk])
  t.teardown(() => {
    execFileSync('umount', ['-l', disk])
  })
  const [port = 0] = await freePorts(1)
  const listen = `{ address: "127.0.0.1:${port}" }`
  const log = path.join(disk, 'access.log')
  const router = new Router(folder, configText({ listen, originPort: origin.port, log }))
  t.teardown(() => router.destroy())
  await router.start()
  const load = new LoadClient({
    port,
    requestsPerSecond: 400,
    originals: photos,
    draw: () => PHOTO,
  }).start()
  await until('full disk', 10_000, () => (statfsFree(disk) === 0 ? true : undefined))
  await delay(2500)
  fs.truncateSync(log)
  await delay(2500)
  const samples = await load.stop()
  t.same(troubles(samples), [])
  t.match(router.output, /ENOSPC|no space|disk/i, 'it says so')
  const said = router.output.split('\n').filter((line) => /ENOSPC|no space|disk/i.test(line))
  t.ok(said.length <= 10, `and not at every write: ${said.length} times`)
  const { workerRestarts, workers } = await router.status()
  t.equal(workerRestarts, 0)
  t.equal(workers.length, 1)
  t.equal(await router.stop(), 0)
  t.same(childrenOf(router.pid), [])
  const lines = fs.readFileSync(log, 'utf8').split('\n').filter(Boolean)
  t.ok(lines.length > 0, 'it goes on when there is space again')
  t.same(
    lines.filter((line) => !isJson(line)),
    [],
    'whole lines only',
  )
})

function statfsFree(folder: string): number {
  return fs.statfsSync(folder).bavail
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
