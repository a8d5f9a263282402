// Needs: root, ip, unshare
// A box whose ports towards one cache are all in use: nobody but the box is to blame, and the next
// cache can still be reached.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import t from 'tap'
import { GLOBAL, SERVER } from '../../router/core/counters.ts'
import { homeOf, layGround, logOf } from '../router/edge-ground.ts'
import { ask, bodyOf, get, whole } from '../router/lane-fixture.ts'
import type { OriginScript } from '../router/lane-fixture.ts'

const PORT_COUNT = 200

if (process.env['PHOTOEDGE_FEW_PORTS'] === undefined) {
  const last = 40_000 + PORT_COUNT - 1
  const script = `ip link set lo up && echo 40000 ${last} > /proc/sys/net/ipv4/ip_local_port_range && exec "$0" "$1"`
  const { status } = spawnSync(
    'unshare',
    ['--net', 'sh', '-c', script, process.execPath, import.meta.filename],
    { stdio: 'inherit', env: { ...process.env, PHOTOEDGE_FEW_PORTS: 'yes' } },
  )
  process.exit(status ?? 1)
}

/** Its connections end with each answer: what is asked needs a new one. */
const named = (name: string): OriginScript => {
  return (socket) => socket.end(whole(name, 'Connection: close'))
}

const takePorts = async (port: number, taken: Socket[]): Promise<void> => {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw error
      return
    }
    taken.push(socket)
  }
}

void t.test('where ports towards a cache lack, the next one serves', async (t) => {
  const taken: Socket[] = []
  t.teardown(() => {
    for (const socket of taken) socket.destroy()
  })
  const group = 'methods: [GET, POST], bodies: allow'
  const ground = await layGround(t, [named('c0'), named('c1')], { group })
  const { edge, origins } = ground
  const { counters } = edge
  const user = await homeOf(ground, 0)
  await takePorts(origins[0]!.port, taken)
  for (let i = 0; i < 4; i++)
    t.equal(bodyOf((await ask(edge.port, get(`/u/${user}/p`))).text), 'c1')
  const post = `POST /u/${user}/p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx`
  t.match((await ask(edge.port, post)).text, /^HTTP\/1\.1 503 .*\r\nRetry-After: 1\r\n/s)
  await takePorts(origins[1]!.port, taken)
  t.match(
    (await ask(edge.port, get(`/u/${user}/p`))).text,
    /^HTTP\/1\.1 503 .*\r\nRetry-After: 1\r\n/s,
  )

  t.equal(counters.global[GLOBAL.shortages], 7)
  t.strictSame(edge.suspects, [])
  for (const name of ['c0', 'c1'])
    for (const mark of [SERVER.connectFailed, SERVER.connectUnreachable, SERVER.suspicions])
      t.equal(counters.servers[counters.serverRow('caches', name) + mark], 0)
  t.match(edge.events, [{ event: 'out of resources' }])
  t.match(edge.events[0]?.reason, /^No local address or port to connect from \(EADDRNOTAVAIL\) /)
  const lines = (await logOf(ground)).slice(-6)
  const moved = { rank: 1, fallback: 'retry', attempts: 2, retries: ['unreachable'] }
  t.match(lines, [
    ...Array.from({ length: 4 }, () => ({ ...moved, status: 200 })),
    { status: 503, end: 'busy', attempts: 1, lane: 'general' },
    { ...moved, status: 503, end: 'busy' },
  ])
})
