// Needs: openssl
// Answers framed by length, by chunks and by the connection's end; in one piece and dripped; small
// and larger than every buffer; whole and broken half-way: over HTTP and over HTTPS.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { randomOf } from '../../bin/demo/picture.ts'
import { makeCertificate } from './kit/certificate.ts'
import { LoadClient, tally, troubles } from './kit/load-client.ts'
import { childrenOf } from './kit/nginx.ts'
import { Origin } from './kit/origin.ts'
import { freePorts } from './kit/ports.ts'
import { Router } from './kit/router.ts'

const SIZES = { empty: 0, one: 1, small: 3000, medium: 200_000, big: 6_000_000 }
const FRAMINGS = ['length', 'chunked', 'close']

/** Every size in every framing, its bytes its own: `/u/7/big.drip.close`. */
function makePhotos(): Map<string, Buffer> {
  const photos = new Map<string, Buffer>()
  let user = 0
  for (const [size, bytes] of Object.entries(SIZES)) {
    for (const framing of FRAMINGS) {
      for (const pace of ['whole', 'drip']) {
        user += 1
        photos.set(`/u/${user}/${size}.${pace}.${framing}`, noise(bytes, user))
      }
    }
  }
  for (const framing of FRAMINGS) {
    for (const end of ['fin', 'reset']) {
      user += 1
      photos.set(`/u/${user}/broken.${framing}.${end}`, noise(400_000, user))
    }
  }
  return photos
}

function noise(bytes: number, seed: number): Buffer {
  const random = randomOf(seed)
  return Buffer.from(Uint8Array.from({ length: bytes }, () => random() * 256))
}

const photos = makePhotos()
const wholes = [...photos.keys()].filter((target) => !target.includes('broken'))
const broken = [...photos.keys()].filter((target) => target.includes('broken'))

async function startEdge(t: Test): Promise<{ router: Router; plain: number; secure: number }> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-framing-'))
  const origins = await Promise.all([Origin.start(photos), Origin.start(photos)])
  const [plain = 0, secure = 0] = await freePorts(2)
  const servers = origins.map(({ port }, index) => `o${index}: "127.0.0.1:${port}"`).join(', ')
  makeCertificate(folder, 'cdn')
  const router = new Router(
    folder,
    `edge: framing
boxes: { router-1: { address: 127.0.0.1 } }
pools: { origins: { check: tcp, servers: { ${servers} } } }
router:
  boxes: [router-1]
  listen:
    - { address: "127.0.0.1:${plain}" }
    - { address: "127.0.0.1:${secure}", tls: [{ certificate: cdn.pem, key: cdn.key }] }
  accessLog: { file: access.log, format: json }
  groups: { photos: { user: "/u/{user}/{photo}", pool: origins } }
  routes: [{ path: /u/*, group: photos }]
checks: { tcp: { type: tcp, interval: 500ms } }
admin: { socket: router.sock, http: off }
`,
  )
  t.teardown(async () => {
    await router.destroy()
    await Promise.all(origins.map((origin) => origin.close()))
    fs.rmSync(folder, { recursive: true, force: true })
  })
  await router.start()
  return { router, plain, secure }
}

/** What OpenSSL's own client says of the end of the answer: Node's and curl's don't tell. */
async function tlsEnd(port: number, target: string): Promise<string> {
  const address = `127.0.0.1:${port}`
  const child = spawn('openssl', ['s_client', '-connect', address, '-ign_eof', '-tls1_2', '-msg'])
  let said = ''
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString('latin1')))
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString('latin1')))
  child.stdin.write(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
  await once(child, 'close')
  // By FIN alone, or reset.
  if (/unexpected eof|errno=104/.test(said)) return 'cut'
  return /<<<.*Alert.*close_notify/.test(said) ? 'closed' : 'neither'
}

const schemes = ['HTTP', 'HTTPS'] as const

for (const scheme of schemes) {
  void t.test(`${scheme}: every byte of every framing`, async (t) => {
    const { router, plain, secure } = await startEdge(t)
    const client = new LoadClient({
      port: scheme === 'HTTP' ? plain : secure,
      requestsPerSecond: 1,
      originals: photos,
      draw: () => '',
      ...(scheme === 'HTTPS' && { tls: { rejectUnauthorized: false, servername: 'cdn.test' } }),
    })
    await client.fetchAll([...wholes, ...wholes], 6)
    t.comment(JSON.stringify(tally(client.samples)))
    t.same(troubles(client.samples), [])
    t.equal(client.samples.length, 2 * wholes.length)
    t.equal(client.strayCount, 0)

    client.samples.length = 0
    await client.fetchAll(broken, 3)
    for (const { target, outcome, detail } of client.samples) {
      // By FIN: whole-looking by the origin's own doing, nothing tells this end from the photo's.
      t.equal(outcome, target.endsWith('close.fin') ? 'wrong' : 'cut', `${target} ${detail}`)
    }
    t.equal(client.samples.length, broken.length)

    if (scheme === 'HTTPS') {
      const whole = wholes.find((target) => target.includes('medium.whole.close')) ?? ''
      const cut = broken.find((target) => target.endsWith('close.reset')) ?? ''
      t.equal(await tlsEnd(secure, whole), 'closed')
      t.equal(await tlsEnd(secure, cut), 'cut')
    }
    t.equal((await router.status()).workerRestarts, 0)
    t.equal(await router.stop(), 0)
    // All but the unframed ones that the origin itself ends by FIN; OpenSSL has asked for one more.
    const cuts = broken.filter((target) => !target.endsWith('close.fin')).length
    t.equal(router.loggedEnds()['cache cut'], cuts + (scheme === 'HTTPS' ? 1 : 0), 'counted')
  })
}

void t.test('slow clients of large photos cost the router little memory', async (t) => {
  const { router, plain } = await startEdge(t)
  const target = wholes.find((one) => one.includes('big.whole.length')) ?? ''
  const rssBefore = rssOfTreeBytes(router.pid)
  const clients = Array.from({ length: 30 }, () => {
    const socket = net.connect(plain, '127.0.0.1')
    socket.pause().write(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
    return socket
  })
  await delay(2000)
  const growth = rssOfTreeBytes(router.pid) - rssBefore
  t.comment(`${clients.length} clients, ${Math.round(growth / 1024 / clients.length)} KB each`)
  // 256 KB each is the bound; the rest is what a heap may have taken and not given back.
  t.ok(growth < clients.length * 256 * 1024 + 40e6, `${Math.round(growth / 1e6)} MB`)
  for (const socket of clients) socket.destroy()
  await delay(200)
  t.equal((await router.status()).workerRestarts, 0)
  t.equal(await router.stop(), 0)
})

function rssOfTreeBytes(pid: number): number {
  const pages = Number(fs.readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1])
  return childrenOf(pid).reduce((sum, child) => sum + rssOfTreeBytes(child), pages * 4096)
}
