import { readFileSync } from 'node:fs'
import type net from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import t from 'tap'
import type { HttpCheckConfig } from '../../../common/config/config.ts'
import { createHttpProber } from '../../../healthcheck/io/http-probe.ts'
import { httpCheck } from '../world.ts'
import { components, httpAnswer, listen, outcomeOf, targetOf } from './rig.ts'

const fixture = (name: string): Buffer => readFileSync(join(import.meta.dirname, 'fixtures', name))

const ask = (port: number, changes: Partial<HttpCheckConfig> = {}) => {
  const check = httpCheck({ type: 'https', reuse: false, ...changes }) as HttpCheckConfig
  const prober = createHttpProber(components)
  return outcomeOf((done) => prober.run(targetOf(check, port), done))
}

async function secureServer(
  t: { teardown(fn: () => void): void },
  pair = 'cdn',
): Promise<{ port: number; names: (string | false)[] }> {
  const names: (string | false)[] = []
  const sockets = new Set<net.Socket>()
  const cert = fixture(`${pair}.pem`)
  const server = tls.createServer({ cert, key: fixture(`${pair}.key`) }, (socket) => {
    names.push(socket.servername ?? false)
    socket.on('data', () => socket.write(httpAnswer('200 OK', 'ok')))
    socket.on('error', () => undefined)
  })
  server.on('connection', (socket: net.Socket) => sockets.add(socket))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, names }
}

void t.test('an HTTPS check asks under the name it is told, or the Host', async (t) => {
  const { port, names } = await secureServer(t)
  t.match(await ask(port), { result: 'passed', reason: 'status 200' })
  await ask(port, { host: 'cdn.example.com:8443' })
  await ask(port, { sni: 'other.example.com' })
  t.same(names, [false, 'cdn.example.com', 'other.example.com'])
})

void t.test('a certificate is looked at only where asked', async (t) => {
  const { port } = await secureServer(t)
  t.match(await ask(port, { verify: false }), { result: 'passed' })
  t.match(await ask(port, { verify: true, sni: 'cdn.example.com' }), {
    result: 'failed',
    blame: 'server',
    reason: 'certificate refused: self-signed certificate',
  })
})

void t.test('an authority is trusted where the system or the process is told to', async (t) => {
  const named = { verify: true, sni: 'cdn.example.com' }
  const issued = (await secureServer(t, 'issued')).port
  const expired = (await secureServer(t, 'expired')).port
  t.match(await ask(issued, named), {
    result: 'failed',
    blame: 'server',
    reason: 'certificate refused: unable to verify the first certificate',
  })
  const usual = tls.getCACertificates('default')
  t.teardown(() => {
    tls.setDefaultCACertificates(usual)
  })
  tls.setDefaultCACertificates([...usual, fixture('ca.pem').toString()])
  t.match(await ask(issued, named), { result: 'passed' })
  const reason = 'certificate refused: certificate has expired'
  t.match(await ask(expired, named), { result: 'failed', blame: 'server', reason })
  t.match(await ask(expired, { ...named, verify: false }), { result: 'passed' })
  t.match(await ask(issued, { ...named, sni: 'other.example.com' }), {
    result: 'failed',
    reason: /^certificate refused: .*other\.example\.com/,
  })
})

void t.test('a server that speaks no TLS, and one that says nothing', async (t) => {
  const plain = await listen(t, (socket) => {
    socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  })
  t.match(
    (await ask(plain)).reason,
    /^the TLS handshake failed: wrong version number \(is it a plain HTTP port\?\)$/,
  )
  const silent = await listen(t, () => undefined)
  const timeouts = { connectMs: 50, firstByteMs: 80, lastByteMs: 100 }
  t.match(await ask(silent, { timeouts }), {
    reason: 'no TLS handshake within 80 ms',
    blame: 'doubtful',
  })
})
