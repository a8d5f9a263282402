import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import t from 'tap'
import {
  listeningPlaces,
  openListeningGroup,
  placeName,
} from '../../router/io/listening-sockets.ts'

const place = (address: string, port: number, isV6Only = false) => ({ address, port, isV6Only })

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Accepts on a group's socket, as a worker does, and says its name to each client. */
async function serve(handle: object, name: string): Promise<Server> {
  const server = createServer((socket) => socket.end(name))
  server.listen(handle)
  await once(server, 'listening')
  return server
}

async function ask(port: number, host = '127.0.0.1'): Promise<string> {
  return textOf(connect(port, host))
}

async function textOf(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

void t.test('[::] takes IPv4 too unless an IPv4 listener has that port', (t) => {
  const places = listeningPlaces([
    { address: '::', port: 80 },
    { address: '::', port: 443 },
    { address: '127.0.0.1', port: 443 },
    { address: '2001:db8::1', port: 8080 },
  ])
  t.strictSame(places.map(placeName), [
    '[::]:80',
    '[::]:443 v6only',
    '127.0.0.1:443',
    '[2001:db8::1]:8080 v6only',
  ])
  t.end()
})

void t.test('a dual-stack socket answers IPv4 and IPv6, a v6only one IPv6 alone', async (t) => {
  const port = await freePort()
  const group = openListeningGroup(place('::', port))
  const server = await serve(group.handle(0), 'dual')
  t.equal(await ask(port), 'dual')
  t.equal(await ask(port, '::1'), 'dual')
  server.close()
  group.close()

  const only = openListeningGroup(place('::', port, true))
  const second = await serve(only.handle(0), 'six')
  t.equal(await ask(port, '::1'), 'six')
  await t.rejects(ask(port), { code: 'ECONNREFUSED' })
  second.close()
  only.close()
})

void t.test(
  "a port in use is refused with its owner's name, also where both would share",
  async (t) => {
    const port = await freePort()
    const group = openListeningGroup(place('127.0.0.1', port))
    group.resize(2)
    t.throws(() => openListeningGroup(place('127.0.0.1', port)), {
      code: 'RTR_LISTEN_FAILED',
      message: new RegExp(
        `^Cannot listen on 127.0.0.1:${port}: the port is in use by .+ \\(pid ${process.pid}\\); `,
      ),
    })
    t.throws(() => openListeningGroup(place('0.0.0.0', port)), { code: 'RTR_LISTEN_FAILED' })
    t.doesNotThrow(() => {
      openListeningGroup(place('0.0.0.0', port), { isOurs: true }).close()
    })
    group.close()
  },
)

void t.test('an address that is not ours is refused by name', (t) => {
  t.throws(() => openListeningGroup(place('192.0.2.77', 8099)), {
    message: 'Cannot listen on 192.0.2.77:8099: this box has no address 192.0.2.77',
  })
  t.end()
})

void t.test(
  'a shrunk group sends nobody to its last sockets, and loses nobody there',
  async (t) => {
    const port = await freePort()
    const group = openListeningGroup(place('127.0.0.1', port))
    group.resize(3)
    // They wait in the queues of the three sockets: nobody accepts yet.
    const waiting = Array.from({ length: 30 }, () => connect(port, '127.0.0.1'))
    await Promise.all(waiting.map((socket) => once(socket, 'connect')))
    group.resize(1)
    const servers = [
      await serve(group.handle(0), 'a'),
      await serve(group.handle(1), 'b'),
      await serve(group.handle(2), 'c'),
    ]
    const first = await Promise.all(waiting.map(textOf))
    t.ok(first.includes('b') || first.includes('c'), 'the queues of the last ones were taken')
    const second = await Promise.all(Array.from({ length: 30 }, () => ask(port)))
    t.strictSame(new Set(second), new Set(['a']))
    servers[1]?.close()
    servers[2]?.close()
    group.closeRest()
    group.resize(2)
    const grown = await serve(group.handle(1), 'd')
    const third = await Promise.all(Array.from({ length: 40 }, () => ask(port)))
    t.strictSame(new Set(third), new Set(['a', 'd']))
    for (const server of [servers[0], grown]) server?.close()
    group.close()
  },
)

void t.test(
  'a group that refuses takes no new connection and still serves its queue',
  async (t) => {
    const port = await freePort()
    const group = openListeningGroup(place('127.0.0.1', port))
    const early = connect(port, '127.0.0.1')
    await once(early, 'connect')
    group.refuse()
    const late = connect(port, '127.0.0.1')
    late.on('error', () => undefined)
    const server = await serve(group.handle(0), 'served')
    const [chunk] = (await once(early, 'data')) as [Buffer]
    t.equal(String(chunk), 'served')
    t.equal(late.connecting, true)
    late.destroy()
    server.close()
    group.close()
  },
)
