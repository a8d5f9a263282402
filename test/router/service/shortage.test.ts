import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { AdminClient } from '../../../admin/client.ts'
import { dial, until } from '../edge-ground.ts'
import { get } from '../lane-fixture.ts'
import { fetchOnce, freePort, RouterProcess, startCache, writeConfig } from './router-process.ts'

t.setTimeout(120_000)

/** A worker has about half of them open without any client. */
const OPEN_FILES = 60

function metricsOf(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path: '/metrics' }, (answer) => {
      resolve(text(answer))
    })
      .on('error', reject)
      .end()
  })
}

void t.test('a router out of descriptors says so, and blames no cache', async (t) => {
  // Not a testdir: a unix socket's path has 107 bytes at most.
  const folder = mkdtempSync(join(tmpdir(), 'edge-'))
  const caches = await Promise.all([startCache(), startCache()])
  const port = await freePort()
  const file = writeConfig(folder, {
    cachePort: caches[0].port,
    others: [`c2: "127.0.0.1:${caches[1].port}"`],
    ports: [port],
    maxConnections: 1000,
  })
  const router = new RouterProcess(file, { openFiles: OPEN_FILES })
  t.teardown(() => {
    router.kill()
    rmSync(folder, { recursive: true, force: true })
    for (const { server } of caches) {
      server.closeAllConnections()
      server.close()
    }
  })
  const warned = await router.said('not enough open files')
  t.match(
    warned.reason,
    /^1000 clients .* need 2100 open files, and it may have 60; raise LimitNOFILE/,
  )
  await router.said('router serves')
  const socket = join(folder, 'r.sock')
  const admin = new AdminClient(socket)
  while ((await admin.status()).caches.some(({ state }) => state !== 'up')) await delay(20)

  // More than there is room for: some hold every descriptor, the others are closed by libuv, unheard.
  const clients = Array.from({ length: 120 }, () => dial(port))
  const [worker = 0] = router.workers()
  while (readdirSync(`/proc/${worker}/fd`).length < OPEN_FILES - 1) await delay(10)
  await until(() => clients.some(({ how }) => how !== ''))
  await delay(200)
  const held = clients.filter(({ how }) => how === '')
  t.ok(held.length >= 10, `${held.length} clients hold every descriptor`)
  held.forEach(({ socket }, user) => {
    socket.write(get(`/u/${user}/1`))
  })
  await until(() => held.every(({ how }) => how === 'end'))
  const heads = held.map((client) => client.text.slice(0, client.text.indexOf('\r\n\r\n')))
  t.ok(heads.every((head) => /^HTTP\/1\.1 (200|503) /.test(head)))
  // Each that gives its own back makes room for the next one's connection.
  const refused = heads.filter((head) => head.startsWith('HTTP/1.1 503 '))
  t.ok(refused.length > held.length / 4, `${refused.length} of ${held.length} answers are 503`)
  t.ok(refused.every((head) => head.includes('\r\nRetry-After: 1')))
  t.ok(refused.every((head) => head.includes('\r\nConnection: close')))

  const told = await router.said('out of resources')
  t.match(told, { level: 'warn', subject: 'worker 1' })
  t.match(told.reason, /^No more file descriptors \(EMFILE\) .* may have 60 files open; raise/)
  const line = `edge_router_resource_shortages_total ${refused.length}\n`
  while (!(await metricsOf(socket)).includes(line)) await delay(50)
  const { caches: shown, events } = await admin.status()
  t.match(shown, [
    { state: 'up', suspectIn: [], errorCount: 0 },
    { state: 'up', suspectIn: [], errorCount: 0 },
  ])
  t.equal(events.filter(({ event }) => event === 'out of resources').length, 1)
  t.notOk(events.some(({ event }) => event.startsWith('cache suspect')))

  const after = await Promise.all(
    Array.from({ length: 10 }, (_, user) => fetchOnce(port, `/u/${user}/1`)),
  )
  t.ok(after.every((answer) => answer.type === 'whole' && answer.head.includes(' 200 ')))
})
