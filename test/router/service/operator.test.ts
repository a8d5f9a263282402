import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { AdminClient } from '../../../admin/client.ts'
import { fetchOnce, freePort, RouterProcess, startCache, writeConfig } from './router-process.ts'
import type { ConfigInit } from './router-process.ts'

t.setTimeout(120_000)

const CACHES = ['c1', 'c2', 'c3'] as const

/** A configuration with three caches that count, and routers to be started from it. */
async function setUp(t: Test, init: Partial<ConfigInit> = {}) {
  // Not a testdir: a unix socket's path has 107 bytes at most.
  const folder = mkdtempSync(join(tmpdir(), 'edge-'))
  const caches = await Promise.all(CACHES.map(startCache))
  const counts = { c1: 0, c2: 0, c3: 0 }
  caches.forEach(({ server }, place) => {
    server.on('request', () => counts[CACHES[place]!]++)
  })
  const [first, ...rest] = caches.map(({ port }) => port)
  const others = rest.map((port, i) => `c${i + 2}: "127.0.0.1:${port}"`)
  const port = await freePort()
  const base = { cachePort: first!, ports: [port], ...init }
  const write = (change: Partial<ConfigInit> = {}) =>
    writeConfig(folder, { ...base, others, ...change })
  const file = write()
  const routers: RouterProcess[] = []
  t.teardown(() => {
    for (const router of routers) router.kill()
    rmSync(folder, { recursive: true, force: true })
    for (const { server } of caches) {
      server.closeAllConnections()
      server.close()
    }
  })
  const start = async (environment = {}) => {
    const router = new RouterProcess(file, { environment })
    routers.push(router)
    await router.said('router serves')
    const admin = new AdminClient(join(folder, 'r.sock'))
    while ((await admin.status()).caches.some(({ state }) => state !== 'up')) await delay(20)
    return { router, admin }
  }
  /** Which caches 60 users' photos come from, once the workers have heard of what was told. */
  const ask = async () => {
    let last = ''
    for (;;) {
      Object.assign(counts, { c1: 0, c2: 0, c3: 0 })
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, user) => fetchOnce(port, `/u/${user}/1`)),
      )
      if (answers.some(({ type }) => type === 'broken')) throw new Error('a photo did not come')
      if (JSON.stringify(counts) === last) return { ...counts }
      last = JSON.stringify(counts)
      await delay(50)
    }
  }
  return { start, write, ask, others, folder, caches, port }
}

/** Nothing can be written into the folder any more; who writes just then may make it once more. */
function takePlaceOf(folder: string): void {
  try {
    rmSync(folder, { recursive: true, maxRetries: 5 })
    writeFileSync(folder, '')
  } catch {
    takePlaceOf(folder)
  }
}

void t.test('a flapping cache is let up where the others are drained', async (t) => {
  const { start, ask, caches } = await setUp(t)
  const { router, admin } = await start()
  t.strictSame((await admin.drain({ cache: 'c2' })).unserved, [])
  await admin.drain({ cache: 'c3' })
  const { server, port } = caches[0]!
  for (const backAs of ['server up', 'server up', 'server let up early']) {
    const line = router.lineCount
    server.closeAllConnections()
    await once(server.close(), 'close')
    await router.said('server down', line)
    await once(server.listen(port, '127.0.0.1'), 'listening')
    await router.said(backAs, line)
  }
  t.match(await ask(), { c1: 60 })
  t.strictSame((await admin.weight({ cache: 'c1', weight: 0 })).unserved, ['caches'])
})

void t.test('a drain and a weight outlive the router that took them', async (t) => {
  const { start, write, ask } = await setUp(t)
  const first = await start()
  const before = await ask()
  t.ok(before.c1 > 0 && before.c2 > 0 && before.c3 > 0)
  await first.admin.drain({ cache: 'c1' })
  await first.admin.weight({ cache: 'caches/c2', weight: 9 })
  const changed = await ask()
  t.equal(changed.c1, 0, 'a drained cache gets nobody')
  t.ok(changed.c2 > 2 * before.c2)
  const request = { down: ['c3'], userCount: 60_000, requestsPerSecond: 600 }
  const { groups } = await first.admin.simulate(request)
  const [c1, c2, c3] = groups[0]?.caches ?? []
  t.match(c1, { usersBefore: 0, usersAfter: 0 })
  t.match(c2, { weight: 9, usersAfter: 60_000 }, 'nobody falls to the drained one')
  t.ok(Math.abs((c2?.requestsPerSecondBefore ?? 0) - 540) < 5, 'by the weight in force')
  t.match(c3, { down: true, usersAfter: 0 })
  await t.rejects(first.admin.simulate({ down: ['c33'] }), {
    message: 'There is no cache "c33", did you mean c3?',
  })
  await first.admin.reload({})
  t.strictSame(await ask(), changed, 'a reload leaves them')

  // By force, so that nothing could be written at the end.
  first.router.kill()
  await first.router.ended()
  const second = await start()
  const { caches } = await second.admin.status()
  t.match(caches, [
    { name: 'c1', drained: true, weight: 1 },
    { name: 'c2', drained: false, weight: 9 },
    { name: 'c3', drained: false, weight: 1 },
  ])
  t.strictSame(await ask(), changed, 'after a restart every user is where he was')

  await second.admin.undrain({ cache: 'c1' })
  await second.admin.weight({ cache: 'c2', weight: null })
  t.strictSame(await ask(), before)
  second.router.kill()
  await second.router.ended()
  const third = await start()
  t.strictSame(await ask(), before, 'what was taken back stays so')

  // What is about a cache that is not there any more does not come back with its name.
  await third.admin.drain({ cache: 'c3' })
  write({ others: [] })
  await third.admin.reload({})
  write()
  await third.admin.reload({})
  t.match((await third.admin.status()).caches, [{}, {}, { name: 'c3', drained: false }])
})

void t.test('a router with no usable state folder starts, and takes a drain', async (t) => {
  const { start, ask, folder } = await setUp(t)
  // No folder takes a file's place, whoever makes it.
  writeFileSync(join(folder, 'r.state'), '')
  const { router, admin } = await start()
  const said = (event: string) => router.said(event)
  t.match(await said('tables not kept'), { level: 'warn', reason: /EEXIST|ENOTDIR/ })
  t.match(await said('verdicts not kept'), { level: 'warn' })
  const before = await ask()
  t.ok(before.c1 > 0 && before.c2 > 0 && before.c3 > 0)
  const { caches, notKept } = await admin.drain({ cache: 'c1' })
  t.match(caches, [{ name: 'c1', drained: true }])
  t.match(notKept, /^Cannot write in the state folder .* \(admin\.state\): /)
  t.match(await said('overrides not kept'), { level: 'warn', reason: notKept })
  await admin.weight({ cache: 'c2', weight: 9 })
  const changed = await ask()
  t.equal(changed.c1, 0)
  t.ok(changed.c2 > 2 * before.c2)
  unlinkSync(join(folder, 'r.state'))
  await said('overrides kept')
  const kept = readFileSync(join(folder, 'r.state/overrides.json'), 'utf8')
  t.strictSame(JSON.parse(kept), { drained: ['caches/c1'], weights: { 'caches/c2': 9 } })
  // In good order, so that the folder that stood in goes, too.
  router.child.kill('SIGTERM')
  await router.ended()
})

void t.test('a worker that dies is replaced though the tables are gone', async (t) => {
  const { start, write, ask, others, folder } = await setUp(t, { workers: 2 })
  const { router, admin } = await start()
  const before = await ask()
  const tables = join(folder, 'r.state', 'tables')
  const kill = async () => {
    const line = router.lineCount
    const [worker = 0] = router.workers()
    process.kill(worker, 'SIGKILL')
    await router.said('worker died', line)
    return line
  }

  rmSync(join(folder, 'r.state'), { recursive: true, maxRetries: 5 })
  let line = await kill()
  t.match(await router.said('table lost', line), { level: 'warn', reason: /^ENOENT.*written anew/ })
  t.strictSame(await ask(), before, 'photos come again, each from where it came')

  for (const name of readdirSync(tables)) writeFileSync(join(tables, name), 'x')
  line = await kill()
  t.match(await router.said('table lost', line), { reason: /^its digest is .*written anew/ })
  t.strictSame(await ask(), before)

  takePlaceOf(join(folder, 'r.state'))
  line = await kill()
  const { reason = '' } = await router.said('tables not kept', line)
  t.strictSame(await ask(), before)

  const [, other = ''] = / they lie in (.*)$/.exec(reason) ?? []
  rmSync(other, { recursive: true })
  line = await kill()
  await router.said('table lost', line)
  t.strictSame(await ask(), before)
  const { workerRestarts, workerCount, workers } = await admin.status()
  t.match([workerRestarts, workerCount], [4, 2], 'no successor died of it')
  t.strictSame(new Set(workers.map(({ state }) => state)), new Set(['ready']))

  t.equal((await admin.simulate({ down: ['c1'] })).groups.length, 1)
  write({ others: others.slice(0, 1) })
  t.match(await admin.reload({}), { movedPct: Number }, 'what was and what will be is compared')
  t.match(await ask(), { c3: 0 })
  // In good order, so that the folder that stood in goes, too.
  router.child.kill('SIGTERM')
  await router.ended()
})

void t.test('where no table can be written anew, a drain is taken all the same', async (t) => {
  const { start, ask, folder } = await setUp(t)
  const { router, admin } = await start({ TMPDIR: join(folder, 'no-folder') })
  const state = join(folder, 'r.state')
  takePlaceOf(state)
  await admin.drain({ cache: 'c1' })
  const drained = await ask()
  t.match(drained, { c1: 0 }, 'the worker needs no file')
  await t.rejects(admin.weight({ cache: 'c2', weight: 9 }), { message: /no-folder/ })
  t.strictSame(await ask(), drained)

  const line = router.lineCount
  process.kill(router.workers()[0] ?? 0, 'SIGKILL')
  t.match(await router.said('table lost', line), { reason: /^Cannot build .* anew: .*no-folder/ })
  rmSync(state)
  t.strictSame(await ask(), drained, 'once there is room, a successor comes by itself')
})

void t.test(
  'a reload that would move too many users is refused, unless it is forced',
  async (t) => {
    const { start, write, ask, others } = await setUp(t, { maxMoved: '20%' })
    const { router, admin } = await start()
    const before = await ask()
    // A third of the users has its home there.
    write({ others: others.slice(0, 1) })
    await t.rejects(admin.reload({}), {
      message:
        /^It would move 3\d\.\d % of the users to another cache, more than router\.maxMoved \(20 %\): photoedge reload --force does it$/,
    })
    const refused = await router.said('reload refused')
    t.match(refused.reason, /more than router\.maxMoved/)
    t.equal((await admin.status()).generation, 1)
    t.strictSame(await ask(), before, 'nothing has changed')

    write({ maxMoved: '30%' })
    t.equal((await admin.reload({})).generation, 2, 'nobody moves')
    write({ others: others.slice(0, 1), maxMoved: '30%' })
    await t.rejects(admin.reload({}), { message: /more than router\.maxMoved \(30 %\)/ })
    const forced = await admin.reload({ force: true })
    t.match(forced, { generation: 3 })
    t.ok((forced.movedPct ?? 0) > 30)
    const after = await ask()
    t.equal(after.c3, 0)
    t.ok(after.c1 >= before.c1 && after.c2 >= before.c2)

    write({ others: others.slice(0, 1), maxMoved: '0%' })
    t.equal((await admin.reload({})).generation, 4, 'who moves nobody needs no force')
  },
)

void t.test('a shard table that moves the users whom it names needs force', async (t) => {
  const init = { maxMoved: '10%', shards: 'shards.txt' }
  const { start, folder, write } = await setUp(t, init)
  const shards = (cacheOf: (line: number) => number): void => {
    const lines = Array.from({ length: 10 }, (_, i) => `${i + 10}000000-${i + 10}999999`)
    const text = lines.map((range, i) => `${range} c${1 + (cacheOf(i) % 3)}`).join('\n')
    writeFileSync(join(folder, 'shards.txt'), text)
  }
  shards((i) => i)
  write()
  const { admin } = await start()
  shards((i) => i + 1)
  await t.rejects(admin.reload({}), {
    message:
      /^It would move 100\.0 % of the users whom a shard table of photos names to another cache, more than router\.maxMoved \(10 %\): photoedge reload --force does it$/,
  })
  const forced = { movedPct: 100, movedOf: 'the users whom a shard table of photos names' }
  t.match(await admin.reload({ force: true }), forced)
  t.match(await admin.reload({}), { movedPct: 0, movedOf: 'the users' })
  writeFileSync(join(folder, 'shards.txt'), '')
  await t.rejects(admin.reload({ force: true }), { message: /shards\.txt.* it names no user$/ })
})

void t.test('explain passes by a cache that every worker suspects', async (t) => {
  const { start, caches, port } = await setUp(t)
  const { admin } = await start()
  let user = 0
  const explain = () => admin.explain({ url: `/u/${user}/1` })
  while ((await explain()).choice !== 'c1') user++
  caches[0]?.server.prependListener('request', ({ socket }) => socket.destroy())
  for (let failure = 0; failure < 3; failure++)
    t.match(await fetchOnce(port, `/u/${user}/1`), { type: 'whole' }, 'another one serves')
  let explained = await explain()
  while (explained.choice === 'c1') {
    await delay(50)
    explained = await explain()
  }
  t.match(explained.caches[0], { name: 'c1', usable: false })
  t.match(explained.why, /^The user's home c1 is passed by \(up, suspect in worker 1: one request/)
})
