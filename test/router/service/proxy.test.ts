import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import t from 'tap'
import type { ListenerConfig } from '../../../common/config/config.ts'
import { readPreamble } from '../../../router/io/proxy-preamble.ts'
import type { Preamble } from '../../../router/io/proxy-preamble.ts'

const listener = (init: Partial<ListenerConfig>): ListenerConfig => ({
  name: 'test',
  address: '127.0.0.1',
  port: 0,
  trust: ['127.0.0.0/8'],
  proxyProtocol: 'v1',
  maxConnections: undefined,
  keepAlive: { requests: 1, ageMs: 1 },
  timeouts: { headMs: 200, idleMs: 1, sendMs: 1 },
  limits: { targetBytes: 1, headBytes: 1, fields: 1 },
  tls: [],
  minTls: '1.2',
  ticketKeys: undefined,
  ...init,
})

/** What the preamble of a connection that sends these pieces is, and what comes after it. */
async function preambleOf(
  config: ListenerConfig,
  pieces: readonly string[],
): Promise<{ readonly preamble: Preamble; readonly rest: string }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  const found = new Promise<Preamble>((resolve) => {
    readPreamble(accepted, config, resolve)
  })
  for (const piece of pieces) await new Promise((resolve) => client.write(piece, resolve))
  const preamble = await found
  let rest = ''
  accepted.on('data', (chunk: Buffer) => {
    rest += String(chunk)
  })
  client.end()
  if (preamble.ok) await once(accepted, 'end')
  accepted.destroy()
  client.destroy()
  server.close()
  return { preamble, rest }
}

void t.test(
  'a trusted PROXY header names the peer, and what follows is left to be read',
  async (t) => {
    const header = 'PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n'
    for (const pieces of [[`${header}HELLO`], [header.slice(0, 9), header.slice(9), 'HELLO']]) {
      const { preamble, rest } = await preambleOf(listener({}), pieces)
      t.strictSame(preamble, { ok: true, peer: { address: '192.0.2.7', port: 4711 } })
      t.equal(rest, 'HELLO')
    }
  },
)

void t.test('PROXY UNKNOWN leaves the connection its own peer', async (t) => {
  const { preamble } = await preambleOf(listener({}), ['PROXY UNKNOWN\r\n'])
  t.strictSame(preamble, { ok: true, peer: undefined })
})

void t.test('no header, a wrong one, or one from a stranger is refused', async (t) => {
  const refused = async (config: ListenerConfig, pieces: string[]) => {
    const { preamble } = await preambleOf(config, pieces)
    return preamble.ok ? 'taken' : preamble.reason
  }
  t.equal(await refused(listener({}), ['GET / HTTP/1.1\r\n']), 'not a PROXY line')
  t.equal(await refused(listener({}), ['PROXY TCP4 ']), 'no PROXY header in time')
  t.equal(
    await refused(listener({ trust: ['10.0.0.0/8'] }), ['PROXY UNKNOWN\r\n']),
    'the peer is not trusted',
  )
})
