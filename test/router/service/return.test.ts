import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { AdminClient } from '../../../admin/client.ts'
import { freePort, RouterProcess } from './router-process.ts'

t.setTimeout(120_000)

const RAMP_S = 40
/** By then the router has tried to keep what changed. */
const KEPT_BY_MS = 400

/** A cache that says who it is, and tells its mount check's `cache` while there is one. */
async function startNamed(name: string, port: number, cache?: string): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url === '/health') response.end(JSON.stringify({ cache }))
    else response.end(name)
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function stopServer(server: Server): Promise<void> {
  server.closeAllConnections()
  await once(server.close(), 'close')
}

const configText = (port: number, ports: readonly number[], workers: number): string => `edge: test
boxes: { r1: { address: 127.0.0.1 } }
pools:
  caches:
    check: health
    servers: { ${ports.map((p, i) => `c${i}: "127.0.0.1:${p}"`).join(', ')} }
checks: { health: { type: http, path: /health, interval: 100ms, timeout: 3s, fall: 1 } }
router:
  boxes: [r1]
  workers: ${workers}
  accessLog: { format: "off" }
  listen: [{ address: "127.0.0.1:${port}" }]
  groups: { photos: { user: "/u/{user}/{photo}", pool: caches, rampUp: ${RAMP_S}s } }
  routes: [{ path: "/u/*", group: photos }]
admin: { socket: ./r.sock, http: off }
`

const cacheOf = async (port: number, user: string): Promise<string> => {
  const answer = await fetch(`http://127.0.0.1:${port}/u/${user}/p`)
  return answer.text()
}

void t.test(
  'a return goes on over a new worker, a reload and a restart, and is shown',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'edge-'))
    const file = join(folder, 'router.yaml')
    const servers = [await startNamed('c0', 0), await startNamed('c1', 0)]
    const ports = servers.map((server) => (server.address() as AddressInfo).port)
    const port = await freePort()
    writeFileSync(file, configText(port, ports, 1))
    let router = new RouterProcess(file)
    t.teardown(async () => {
      router.kill()
      await router.ended()
      await Promise.all(servers.map(stopServer))
      rmSync(folder, { recursive: true, force: true })
    })
    await router.said('router serves')
    const admin = new AdminClient(join(folder, 'r.sock'))
    const c0 = async () => (await admin.status()).caches.find(({ name }) => name === 'c0')

    const users: string[] = []
    for (let user = 0; users.length < 60; user++)
      if ((await cacheOf(port, String(user))) === 'c0') users.push(String(user))
    t.equal((await c0())?.returning, undefined, 'the first verdict begins no return')

    await stopServer(servers[0]!)
    await router.said('server down')
    servers[0] = await startNamed('c0', ports[0]!)
    await router.said('return begun')
    let before: string[] = []
    const look = async (what: string): Promise<void> => {
      const asked = await Promise.all(users.map((user) => cacheOf(port, user)))
      const back = users.filter((_, i) => asked[i] === 'c0')
      t.ok(
        before.every((user) => back.includes(user)),
        `${what}: who was back still is`,
      )
      t.ok(back.length < users.length, `${what}: ${back.length} of ${users.length} are back`)
      before = back
    }
    await look('begun')
    // Some have to be back, or the rest would show nothing.
    while (before.length < 5) await look('in the midst')

    const [worker = 0] = router.workers()
    let line = router.lineCount
    process.kill(worker, 'SIGKILL')
    await router.said('worker died', line)
    await look('new worker')

    writeFileSync(file, configText(port, ports, 2))
    line = router.lineCount
    router.child.kill('SIGHUP')
    await router.said('reload taken', line)
    await look('reload')

    router.child.kill('SIGTERM')
    t.equal(await router.ended(), 0)
    router = new RouterProcess(file)
    t.match(await router.said('return begun'), { reason: /^its users .*\d s of them over: / })
    await router.said('router serves')
    await look('restart')

    const shown = await c0()
    const sharePct = shown?.returning?.sharePct ?? 0
    t.ok(sharePct > 5 && sharePct < 60, `${sharePct} %`)
    t.match(shown, { state: 'up', returning: { reason: /told no identity/ } })
    const leftMs = (shown?.returning?.untilMs ?? 0) - Date.now()
    t.ok(leftMs > 0 && leftMs < RAMP_S * 1000)
    const away = users.find((user) => !before.includes(user))!
    const explained = await admin.explain({ url: `/u/${away}/p` })
    t.match(explained, {
      choice: 'c1',
      why: /home c0 is not usable \(up, returning: [\d.]+ % of its users are back, this one's slot is not back yet\)/,
    })

    line = router.lineCount
    await stopServer(servers[0])
    t.match(await router.said('return broken off', line), { reason: /of its users back: / })
    servers[0] = await startNamed('c0', ports[0]!, 'k1')
    await router.said('return begun', line)

    // The same cache again, with the router restarted in its outage and in its return.
    while (((await c0())?.returning?.sharePct ?? 0) < 6) await delay(50)
    line = router.lineCount
    await stopServer(servers[0])
    t.match(await router.said('return broken off', line), { reason: /of its users back: / })
    for (const where of ['outage', 'return']) {
      router.child.kill('SIGTERM')
      t.equal(await router.ended(), 0)
      router = new RouterProcess(file)
      await router.said('router serves')
      if (where === 'outage') servers[0] = await startNamed('c0', ports[0]!, 'k1')
      const begun = /\d s of them over: it went down before all of its users were back/
      t.match(await router.said('return begun'), { reason: begun }, where)
    }
    line = router.lineCount
    await stopServer(servers[1]!)
    t.match(await router.said('return finished', line), { reason: /less than half of the pool/ })
    servers[1] = await startNamed('c1', ports[1]!)
    await router.said('return begun', router.lineCount - 1)

    line = router.lineCount
    await stopServer(servers[0])
    await router.said('server down', line)
    servers[0] = await startNamed('c0', ports[0]!, 'k1')
    t.match(await router.said('return skipped', line), { reason: /the cache that it was \(k1\)/ })
  },
)

void t.test('returns that cannot be kept are told once, until they can', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-'))
  const file = join(folder, 'router.yaml')
  const kept = join(folder, 'r.state', 'returns.json')
  const servers = [await startNamed('c0', 0), await startNamed('c1', 0)]
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  writeFileSync(file, configText(await freePort(), ports, 1))
  // No file takes a folder's place, whoever writes it.
  mkdirSync(kept, { recursive: true })
  const router = new RouterProcess(file)
  t.teardown(async () => {
    router.kill()
    await router.ended()
    await Promise.all(servers.map(stopServer))
    rmSync(folder, { recursive: true, force: true })
  })
  const told = await router.said('returns not kept')
  t.match(told, { level: 'warn', subject: 'returns.json' })
  t.match(told.reason, /^Cannot write in the state folder .*\/r\.state \(admin\.state\): EISDIR/)
  await router.said('router serves')
  const admin = new AdminClient(join(folder, 'r.sock'))
  const toldCount = async (): Promise<number> =>
    (await admin.events()).filter(({ event }) => event === 'returns not kept').length
  await stopServer(servers[0]!)
  await router.said('server down')
  servers[0] = await startNamed('c0', ports[0]!)
  await router.said('return begun')
  await delay(KEPT_BY_MS)
  t.equal(await toldCount(), 1)

  rmdirSync(kept)
  await admin.drain({ cache: 'c0' })
  while (!existsSync(kept)) await delay(20)
  t.match(JSON.parse(readFileSync(kept, 'utf8')), { returns: { 'caches/c0': { state: 'owed' } } })
  rmSync(kept)
  mkdirSync(kept)
  await admin.undrain({ cache: 'c0' })
  while ((await toldCount()) < 2) await delay(20)
})
