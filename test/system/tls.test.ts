// Needs: nginx, openssl
// HTTPS in front of real caches: a cache dies, certificates change, sessions resume.

import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import tls from 'node:tls'
import { makeCertificate } from './kit/certificate.ts'
import { Edge, Site } from './kit/edge.ts'
import { tally, troubles } from './kit/load-client.ts'

const CLIENT: tls.ConnectionOptions = { rejectUnauthorized: false, servername: 'cdn.test' }

const site = await Site.start(t)

async function connect(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host: '127.0.0.1', port, ...CLIENT, ...options })
  await once(socket, 'secureConnect')
  return socket
}

void t.test('kill -9 of a cache and reloads with another certificate, over HTTPS', async (t) => {
  const folder = t.testdir()
  makeCertificate(folder, 'cdn')
  const certificate = path.join(folder, 'cdn.pem')
  const key = path.join(folder, 'cdn.key')
  const listener = `tls: [{ certificate: "${certificate}", key: "${key}" }]`
  const edge = await Edge.start(t, site, { workers: 2, listener, client: CLIENT })
  const first = fs.readFileSync(certificate)
  const load = edge.load({ requestsPerSecond: 150, tls: CLIENT, freshShare: 0.2 }).start()
  await delay(1000)
  await site.cache('cache-1').kill()
  await delay(3000)
  await site.cache('cache-1').start()
  for (let round = 0; round < 3; round += 1) {
    makeCertificate(folder, 'cdn')
    await edge.router.reload()
    await delay(700)
  }
  const samples = await load.stop()
  t.comment(JSON.stringify(tally(samples)))
  const failed = samples.filter(({ outcome }) => outcome !== 'ok' && outcome !== 'cut')
  t.same(troubles(failed), [])
  t.equal(load.strayCount, 0)

  const socket = await connect(edge.publicPort)
  const served = socket.getPeerX509Certificate()?.fingerprint256
  t.equal(served, fingerprint(fs.readFileSync(certificate)), 'the new certificate')
  t.not(served, fingerprint(first))
  socket.destroy()

  const current = fs.readFileSync(certificate)
  fs.writeFileSync(certificate, first)
  process.kill(edge.router.pid, 'SIGHUP')
  await delay(1000)
  const after = await connect(edge.publicPort)
  t.equal(
    after.getPeerX509Certificate()?.fingerprint256,
    fingerprint(current),
    'a pair that does not fit is refused, the old one stays',
  )
  after.destroy()
  t.equal((await edge.router.status()).workerRestarts, 0)
  t.equal(await edge.router.stop(), 0)
})

void t.test('a session resumes on every worker', async (t) => {
  const folder = t.testdir()
  makeCertificate(folder, 'cdn')
  const listener = `tls: [{ certificate: "${folder}/cdn.pem", key: "${folder}/cdn.key" }]`
  const edge = await Edge.start(t, site, { workers: 2, listener, client: CLIENT })
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    let session: Buffer | undefined
    const socket = tls.connect({ host: '127.0.0.1', port: edge.publicPort, ...CLIENT, maxVersion })
    socket.on('session', (ticket) => (session = ticket))
    socket.write(
      `GET ${site.photos.paths[0] ?? ''} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    )
    socket.resume()
    await once(socket, 'close')
    let resumed = 0
    for (let attempt = 0; attempt < 16; attempt += 1) {
      const again = await connect(edge.publicPort, { maxVersion, ...(session && { session }) })
      if (again.isSessionReused()) resumed += 1
      again.destroy()
    }
    t.equal(resumed, 16, maxVersion)
  }
  t.equal(await edge.router.stop(), 0)
})

void t.test('keys are renewed whenever a client asks; a new handshake is refused', async (t) => {
  const folder = t.testdir()
  makeCertificate(folder, 'cdn')
  const listener = `tls: [{ certificate: "${folder}/cdn.pem", key: "${folder}/cdn.key" }]`
  const edge = await Edge.start(t, site, { workers: 1, listener, client: CLIENT })
  const [photo = ''] = site.photos.paths
  const request = `GET ${photo} HTTP/1.1\r\nHost: a\r\n\r\n`
  const bytes = site.photos.originals.get(photo)!

  const renewing = startClient(t, edge.publicPort, '-tls1_3')
  for (let count = 1; count <= 5; count++) {
    // A line of its own that begins with K asks for new keys both ways; see s_client(1).
    renewing.write('K\n')
    await renewing.until('KEYUPDATE', count)
    renewing.write(request)
    await renewing.until(bytes, count)
  }
  t.pass('five photos, each under other keys')

  const again = startClient(t, edge.publicPort, '-tls1_2')
  again.write('R\n')
  await again.until('no renegotiation')
  t.pass('TLS 1.2 is not begun anew')
  const status = await edge.router.status()
  t.equal(status.workerRestarts, 0)
  t.equal(await edge.router.stop(), 0)
})

/** openssl s_client, a client with a keyboard. */
function startClient(t: Test, port: number, version: string) {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, version])
  t.teardown(() => child.kill('SIGKILL'))
  let said = Buffer.alloc(0)
  const listen = (part: Buffer) => (said = Buffer.concat([said, part]))
  child.stdout.on('data', listen)
  child.stderr.on('data', listen)
  child.stdin.on('error', () => undefined)
  return {
    write: (text: string) => child.stdin.write(text),
    /** Waits for the `count`th time; the test's own time limit ends it. */
    until: async (what: string | Buffer, count = 1) => {
      for (;;) {
        let at = -1
        for (let i = 0; i < count && (i === 0 || at >= 0); i++) at = said.indexOf(what, at + 1)
        if (at >= 0) return
        await delay(10)
      }
    },
  }
}

function fingerprint(pem: Buffer): string {
  return new X509Certificate(pem).fingerprint256
}
