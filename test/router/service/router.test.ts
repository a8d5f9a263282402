import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { Agent, get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import t from 'tap'
import type { Test } from 'tap'
import { dial, until } from '../edge-ground.ts'
import {
  fetchOnce,
  freePort,
  makeCertificate,
  PHOTO_BYTES,
  RouterProcess,
  startCache,
  writeConfig,
} from './router-process.ts'

t.setTimeout(120_000)

// Each has a router, ports and a folder of its own, and waits more than it works; the longest first.
t.jobs = 4
const BESIDE = { buffered: true }

async function setUp(
  t: Test,
  init: {
    readonly workers?: number
    readonly isSecure?: boolean
    readonly listeners?: number
    readonly hasOwnNode?: boolean
  } = {},
) {
  // Not a testdir: a unix socket's path has 107 bytes at most.
  const folder = mkdtempSync(join(tmpdir(), 'edge-'))
  const cache = await startCache()
  const ports = await Promise.all(Array.from({ length: init.listeners ?? 1 }, freePort))
  const tlsPort = init.isSecure === true ? await freePort() : undefined
  if (tlsPort !== undefined) {
    makeCertificate(folder, 'a', 'a.example.com')
    makeCertificate(folder, 'b', 'b.example.com')
  }
  const base = {
    cachePort: cache.port,
    ports,
    workers: init.workers ?? 1,
    ...(tlsPort !== undefined && { tlsPort }),
  }
  const file = writeConfig(folder, base)
  const node = join(folder, 'node')
  if (init.hasOwnNode === true) linkOrCopy(process.execPath, node)
  const router = new RouterProcess(file, init.hasOwnNode === true ? { node } : {})
  t.teardown(() => {
    router.kill()
    rmSync(folder, { recursive: true, force: true })
    cache.server.closeAllConnections()
    cache.server.close()
  })
  await router.said('router serves')
  return { folder, cache, router, file, base, node, port: ports[0] ?? 0, tlsPort: tlsPort ?? 0 }
}

void t.test(
  'TLS: the name picks the certificate, tickets resume on every worker',
  BESIDE,
  async (t) => {
    const { router, tlsPort, folder } = await setUp(t, { workers: 2, isSecure: true })
    t.equal(await nameShown(tlsPort, 'b.example.com'), 'b.example.com')
    t.equal(await nameShown(tlsPort, 'a.example.com'), 'a.example.com')
    t.equal(await nameShown(tlsPort, 'unknown.example.com'), 'a.example.com')
    t.equal(await protocolAgreed(tlsPort, ['h2', 'http/1.1', 'http/1.0']), 'http/1.1')
    t.equal(await protocolAgreed(tlsPort, ['http/1.0']), 'http/1.0')
    await t.rejects(protocolAgreed(tlsPort, ['h2']), /no application protocol/)

    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const session = await sessionOf(tlsPort, maxVersion)
      const resumed = await Promise.all(
        Array.from({ length: 16 }, () => resumes(tlsPort, maxVersion, session)),
      )
      t.notOk(resumed.includes(false), `${maxVersion}: all of 16 connections resume`)
    }

    makeCertificate(folder, 'c', 'c.example.com')
    renameSync(join(folder, 'c.pem'), join(folder, 'b.pem'))
    const refused = await router.said('certificate refused')
    t.match(refused.reason, /belongs to another certificate/)
    t.equal(await nameShown(tlsPort, 'b.example.com'), 'b.example.com')
    renameSync(join(folder, 'c.key'), join(folder, 'b.key'))
    await router.said('certificate changed')
    t.equal(await nameShown(tlsPort, 'c.example.com'), 'c.example.com')

    const before = router.lineCount
    execFileSync('mkfifo', [join(folder, 'pipe')])
    renameSync(join(folder, 'pipe'), join(folder, 'b.key'))
    const { reason } = await router.said('certificate refused', before)
    t.match(reason, /b\.key: it is no regular file; the old one stays$/)
    process.kill(router.workers()[0] ?? 0, 'SIGKILL')
    await router.said('worker died', before)
    t.equal(await nameShown(tlsPort, 'c.example.com'), 'c.example.com')
    process.kill(router.pid, 'SIGHUP')
    t.match(await router.said('reload refused', before), { reason: /b\.key.*no regular file/ })
    router.child.kill('SIGTERM')
    t.equal(await router.ended(), 0)
  },
)

void t.test('a worker that cannot be started is one that died', BESIDE, async (t) => {
  const { router, port, cache, node } = await setUp(t, { hasOwnNode: true, workers: 2 })
  const slow = fetchOnce(port, '/u/slow/1')
  await once(cache.server, 'request')
  // As in the middle of an update; Node throws what comes of it.
  unlinkSync(node)
  symlinkSync(node, node)
  const from = router.lineCount
  const [one = 0, two = 0] = router.workers()
  process.kill(one, 'SIGTERM')
  process.kill(two, 'SIGTERM')
  const wanted = 'it could not be started: spawn ELOOP; it is replaced in 400 ms'
  await router.until(({ msg, reason }) => msg === 'worker died' && reason === wanted, from)
  unlinkSync(node)
  linkOrCopy(process.execPath, node)
  // One of the old ones has a request to finish still: its place is filled all the same.
  t.strictSame((await fetchOnce(port, '/u/1/1')).type, 'whole')
  while (router.workers().length < 3) await delay(20)
  cache.goOn()
  t.match(await slow, { type: 'whole' })
  while (router.workers().length > 2) await delay(20)
  router.child.kill('SIGTERM')
  t.equal(await router.ended(), 0)
})

void t.test('kill -9 of the only worker refuses and loses no connection', BESIDE, async (t) => {
  const { router, port } = await setUp(t)
  for (let round = 0; round < 3; round++) {
    const before = router.lineCount
    const [worker = 0] = router.workers()
    process.kill(worker, 'SIGKILL')
    await router.said('worker died', before)
    // Nobody accepts now: all of them wait for the successor.
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, user) => fetchOnce(port, `/u/${user}/1`)),
    )
    t.strictSame(new Set(answers.map(({ type }) => type)), new Set(['whole']))
    t.not(router.workers()[0], worker)
  }
})

void t.test(
  'a reload adds and takes away listeners and workers, and keeps the processes',
  BESIDE,
  async (t) => {
    const { router, folder, base, port, cache } = await setUp(t, { workers: 2 })
    const added = await freePort()
    const before = router.workers()
    const slow = fetchOnce(port, '/u/slow/1')
    await once(cache.server, 'request')

    writeConfig(folder, { ...base, ports: [added], workers: 3 })
    router.child.kill('SIGHUP')
    await router.said('reload taken')
    t.equal((await fetchOnce(added, '/u/1/1')).type, 'whole')
    t.strictSame(router.workers().slice(0, 2), before, 'the workers are the same processes')
    t.equal(router.workers().length, 3)
    await delay(500)
    t.match(await fetchOnce(port, '/u/1/1'), { type: 'broken', code: 'ECONNREFUSED' })
    cache.goOn()
    t.match(await slow, { type: 'whole', bodyBytes: PHOTO_BYTES }, 'what was under way came whole')

    const lines = router.lineCount
    writeConfig(folder, { ...base, ports: [added], workers: 1 })
    router.child.kill('SIGHUP')
    await router.said('reload taken', lines)
    while (router.workers().length > 1) await delay(20)
    t.strictSame(router.workers(), before.slice(0, 1))
    const all = await Promise.all(Array.from({ length: 20 }, () => fetchOnce(added, '/u/1/1')))
    t.ok(all.every(({ type }) => type === 'whole'))
  },
)

void t.test('a listener that is spelled otherwise ends its kept connections', BESIDE, async (t) => {
  const { router, file, port } = await setUp(t)
  const kept = dial(port, 'GET /u/1/1 HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => kept.text.length > PHOTO_BYTES)
  writeFileSync(file, readFileSync(file, 'utf8').replace(`127.0.0.1:${port},`, `0.0.0.0:${port},`))
  router.child.kill('SIGHUP')
  await until(() => kept.how !== '')
  t.equal(kept.how, 'end')
  await router.said('reload taken')
  // As long a socket that is given up is still emptied.
  await delay(300)
  t.equal((await fetchOnce(port, '/u/1/1')).type, 'whole')
})

void t.test('a listener that is named again at once is open', BESIDE, async (t) => {
  const { router, folder, base, port } = await setUp(t)
  const other = await freePort()
  for (const ports of [[other], [port, other]]) {
    const lines = router.lineCount
    writeConfig(folder, { ...base, ports })
    router.child.kill('SIGHUP')
    await router.said('reload taken', lines)
  }
  // As long a socket that is given up is still emptied.
  await delay(300)
  t.equal((await fetchOnce(port, '/u/1/1')).type, 'whole')
})

void t.test(
  'a wrong configuration is refused whole and the old one serves on',
  BESIDE,
  async (t) => {
    const { router, file, port, folder, base } = await setUp(t)
    writeFileSync(file, 'edge: test\nrouter: { boxes: [r9] }\n')
    router.child.kill('SIGHUP')
    const refused = await router.said('reload refused')
    t.match(refused.reason, /router\.yaml:2:\d+: /)
    t.equal((await fetchOnce(port, '/u/1/1')).type, 'whole')

    // A port that somebody else has: found before anything is switched.
    const lines = router.lineCount
    writeConfig(folder, { ...base, ports: [port, base.cachePort] })
    router.child.kill('SIGHUP')
    const second = await router.said('reload refused', lines)
    t.match(second.reason, /the port is in use by .+ \(pid \d+\)/)
    t.equal((await fetchOnce(port, '/u/1/1')).type, 'whole')
  },
)

void t.test(
  'a graceful stop takes no one new, says so, and lets what is in flight finish',
  BESIDE,
  async (t) => {
    const { router, port, cache } = await setUp(t)
    const agent = new Agent({ keepAlive: true })
    const slow = new Promise<IncomingMessage>((resolve) => {
      get({ port, host: '127.0.0.1', path: '/u/slow/1', agent }, resolve)
    })
    const answer = await slow
    router.child.kill('SIGTERM')
    await router.said('router stops')
    await delay(400)
    t.match(await fetchOnce(port, '/u/1/1'), { type: 'broken', code: 'ECONNREFUSED' })
    cache.goOn()
    let bytes = 0
    for await (const chunk of answer) bytes += (chunk as Buffer).length
    t.equal(bytes, PHOTO_BYTES)
    t.equal(await router.ended(), 0)
    agent.destroy()
  },
)

void t.test('a SIGHUP right after the start is a reload all the same', BESIDE, async (t) => {
  const { file, router: other } = await setUp(t)
  other.kill()
  await other.ended()
  const router = new RouterProcess(file)
  t.teardown(() => {
    router.kill()
  })
  await router.hearsHangUp()
  process.kill(router.pid, 'SIGHUP')
  t.match(await router.said('router serves'), { generation: 2 })
  t.equal(router.workers().length, 1)
})

void t.test('a stop in the midst of a reload is a stop', BESIDE, async (t) => {
  const { router } = await setUp(t)
  await router.said('router serves')
  router.child.kill('SIGHUP')
  router.child.kill('SIGTERM')
  t.equal(await router.ended(), 0)
})

void t.test('a second signal ends at once', BESIDE, async (t) => {
  const { router, port, cache } = await setUp(t)
  const slow = fetchOnce(port, '/u/slow/1')
  await once(cache.server, 'request')
  router.child.kill('SIGTERM')
  await router.said('router stops')
  router.child.kill('SIGINT')
  t.equal(await router.ended(), 0)
  t.match(await slow, { type: 'broken' })
})

void t.test('workers whose primary died finish what is in flight and leave', BESIDE, async (t) => {
  const { router, port, cache } = await setUp(t)
  const slow = fetchOnce(port, '/u/slow/1')
  await once(cache.server, 'request')
  const [worker = 0] = router.workers()
  router.kill()
  await router.ended()
  await delay(300)
  t.match(await fetchOnce(port, '/u/1/1'), { type: 'broken', code: 'ECONNREFUSED' })
  t.doesNotThrow(() => process.kill(worker, 0))
  cache.goOn()
  t.match(await slow, { type: 'whole', bodyBytes: PHOTO_BYTES })
  await gone(worker)
})

void t.test('no process of the router opens the inspector on SIGUSR1', BESIDE, async (t) => {
  const { router, port } = await setUp(t)
  for (const pid of [router.pid, ...router.workers()]) process.kill(pid, 'SIGUSR1')
  t.equal((await fetchOnce(port, '/u/1/1')).type, 'whole')
  t.notMatch(router.errors, /Debugger listening/)
})

async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0)
    } catch {
      return
    }
    // A dead child of nobody is reaped by whoever runs as process 1.
    if (
      execFileSync('ps', ['-o', 'stat=', '-p', String(pid)])
        .toString()
        .startsWith('Z')
    )
      return
    await delay(20)
  }
}

async function opened(socket: TLSSocket): Promise<TLSSocket> {
  await once(socket, 'secureConnect')
  return socket
}

async function protocolAgreed(port: number, ALPNProtocols: string[]): Promise<unknown> {
  const socket = await opened(
    connect({ port, host: '127.0.0.1', ALPNProtocols, rejectUnauthorized: false }),
  )
  socket.destroy()
  return socket.alpnProtocol
}

async function nameShown(port: number, servername: string): Promise<string> {
  const socket = await opened(
    connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }),
  )
  const { subject } = socket.getPeerCertificate()
  socket.destroy()
  return String(subject.CN)
}

async function sessionOf(port: number, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<Buffer> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername: 'b.example.com',
    rejectUnauthorized: false,
    maxVersion,
  })
  const session = once(socket, 'session')
  await opened(socket)
  const [ticket] = (await session) as [Buffer]
  socket.destroy()
  return ticket
}

async function resumes(
  port: number,
  maxVersion: 'TLSv1.2' | 'TLSv1.3',
  session: Buffer,
): Promise<boolean> {
  const socket = await opened(
    connect({
      port,
      host: '127.0.0.1',
      servername: 'b.example.com',
      rejectUnauthorized: false,
      maxVersion,
      session,
    }),
  )
  const isReused = socket.isSessionReused()
  socket.destroy()
  return isReused
}

/** Another file system takes no link. */
function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch {
    copyFileSync(from, to)
  }
}
