import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { AdminClient, AdminRefusal } from '../../admin/client.ts'
import { openAdmin } from '../../admin/open.ts'
import { sampleControl, sampleStatus } from './sample.ts'

/** A socket's path may have 107 bytes: a test's own folder is too deep for that. */
function shortFolder(t: { teardown: (act: () => void) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'adm-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  return folder
}

const none = { http: undefined, token: undefined }

void t.test('the client gets over the socket what the router says', async (t) => {
  const socket = join(shortFolder(t), 'run', 'admin.sock')
  const control = sampleControl()
  const admin = await openAdmin(control, { ...none, socket })
  t.equal(statSync(socket).mode & 0o777, 0o660)
  const client = new AdminClient(socket)
  t.strictSame(await client.status(), sampleStatus)
  t.strictSame(await client.events(), sampleStatus.events)
  t.match(await client.explain({ url: '/u/1/ä&b.jpg' }), { url: '/u/1/ä&b.jpg' })
  t.match(await client.drain({ cache: 'cache-1' }), { caches: [{ name: 'cache-1' }] })
  t.match(await client.undrain({ cache: 'cache-1' }), { caches: [{ name: 'cache-1' }] })
  t.match(await client.weight({ cache: 'cache-1', weight: 2 }), { caches: [{}] })
  t.match(await client.reload({}), { generation: 4 })
  t.match(await client.simulate({ down: ['a'] }), { down: ['a'] })
  await client.close()
  await admin.close()
  t.notOk(existsSync(socket), 'closing removes the socket')
})

void t.test('who asks for more and more without reading is not answered for ever', async (t) => {
  const http = { address: '127.0.0.1', port: 0 }
  const socket = join(shortFolder(t), 'admin.sock')
  let renderings = 0
  const metrics = () =>
    new Promise<string>((resolve) => {
      renderings += 1
      setImmediate(() => {
        resolve('text\n')
      })
    })
  const admin = await openAdmin({ ...sampleControl(), metrics }, { ...none, socket, http })
  t.teardown(() => admin.close())
  const client = connect(admin.httpPort ?? 0, '127.0.0.1')
  client.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1000))
  let text = ''
  for await (const piece of client) text += String(piece)
  t.equal(text.match(/^HTTP\/1\.1 200 /gm)?.length, 16)
  t.match(text, /\r\nConnection: close\r\n/i)
  t.ok(renderings < 16, `${renderings} renderings for 16 answers`)
})

void t.test('a refusal reaches the caller as the sentences that it is', async (t) => {
  const socket = join(shortFolder(t), 'admin.sock')
  const problems = ['There is no cache "x"']
  const control = sampleControl({
    drain: () => Promise.resolve({ ok: false, status: 404, problems }),
  })
  const admin = await openAdmin(control, { ...none, socket })
  const client = new AdminClient(socket)
  await t.rejects(client.drain({ cache: 'x' }), new AdminRefusal(problems))
  await client.close()
  await admin.close()
})

void t.test('http reads, and changes only with the token of the file', async (t) => {
  const dir = shortFolder(t)
  writeFileSync(join(dir, 'token'), 'secret\n')
  const admin = await openAdmin(sampleControl(), {
    socket: join(dir, 'admin.sock'),
    http: { address: '127.0.0.1', port: 0 },
    token: join(dir, 'token'),
  })
  const base = `http://127.0.0.1:${admin.httpPort ?? 0}`
  t.equal((await fetch(`${base}/status`)).status, 200)
  const change = (authorization: string): Promise<Response> =>
    fetch(`${base}/drain`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '{"cache":"cache-1"}',
    })
  t.equal((await change('Bearer wrong')).status, 401)
  t.equal((await change('Bearer secret')).status, 200)
  await admin.close()
})

void t.test("a dead process's socket is taken over, a living one's is not", async (t) => {
  const socket = join(shortFolder(t), 'admin.sock')
  const admin = await openAdmin(sampleControl(), { ...none, socket })
  await t.rejects(openAdmin(sampleControl(), { ...none, socket }), {
    code: 'ADM_OPEN_FAILED',
    message: `Cannot open the admin socket ${socket}: another process serves it`,
  })
  t.ok(existsSync(socket), 'the first one is left alone')
  await admin.close()
  const { spawnSync } = await import('node:child_process')
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ])
  t.ok(existsSync(socket), 'it died and left its socket')
  const next = await openAdmin(sampleControl(), { ...none, socket })
  await next.close()
})

void t.test('whatever cannot be opened is one sentence, and nothing stays open', async (t) => {
  const dir = shortFolder(t)
  writeFileSync(join(dir, 'empty'), '')
  writeFileSync(join(dir, 'file'), 'x')
  const socket = join(dir, 'admin.sock')
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  const cases = [
    [
      { socket, token: join(dir, 'none') },
      /^Cannot read the admin token .*: there is no such file/,
    ],
    [{ socket, token: join(dir, 'empty') }, /^Cannot use the admin token .*: the file is empty$/],
    [
      { socket, http: { address: '127.0.0.1', port } },
      /:\d+: the port is in use by .+ \(pid \d+\); stop its owner or choose another port$/,
    ],
    [
      { socket, http: { address: '192.0.2.1', port } },
      /^Cannot open the admin API on 192\.0\.2\.1:\d+: this box has no address 192\.0\.2\.1$/,
    ],
    [{ socket: join(dir, 'file', 'a.sock') }, /^Cannot open the admin socket .*: /],
    [
      { socket: join(dir, 'x'.repeat(120)) },
      /^Cannot open the admin socket .*: the path is too long/,
    ],
    [{ socket: join(dir, 'file') }, /^Cannot open the admin socket /],
  ] as const
  for (const [part, message] of cases) {
    await t.rejects(openAdmin(sampleControl(), { ...none, ...part }), {
      code: 'ADM_OPEN_FAILED',
      message,
    })
    t.notOk(existsSync(socket))
  }
  taken.close()
})

void t.test('a router that is not there is one sentence', async (t) => {
  const dir = shortFolder(t)
  writeFileSync(join(dir, 'file'), '')
  for (const [name, message] of [
    ['none.sock', /^Cannot ask the router on .*none\.sock: there is no such socket/],
    ['file', /: the socket is there and nobody serves it; the router is not running$/],
  ] as const) {
    const client = new AdminClient(join(dir, name))
    await t.rejects(client.status(), { code: 'ADM_UNREACHABLE', message })
    await client.close()
  }
})

void t.test('something else on the socket is told as it is', async (t) => {
  const socket = join(shortFolder(t), 'other.sock')
  const other = createServer((connection) => {
    connection.end('HTTP/1.1 418 Teapot\r\ncontent-length: 3\r\n\r\ntea')
  })
  await new Promise<void>((resolve) => other.listen(socket, resolve))
  const client = new AdminClient(socket)
  await t.rejects(client.status(), { message: 'The service answered with status 418' })
  await client.close()
  other.close()
})
