import { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { GLOBAL } from '../../router/core/counters.ts'
import { buildSlotTable, tableKey } from '../../router/core/slot-table.ts'
import { dial, layGround, sleep, statuses, TRANSPORTS, until } from './edge-ground.ts'
import type { Dialled } from './edge-ground.ts'
import { configOf, get, LISTENER, whole } from './lane-fixture.ts'
import type { Edge, OriginScript } from './lane-fixture.ts'

const photo: OriginScript = (s) => s.write(whole('photo'))
const ask = get('/u/1/p', 'X: 1')
const pair = (file: string): string =>
  JSON.stringify(fileURLToPath(new URL(`../healthcheck/io/fixtures/${file}`, import.meta.url)))
const tls = `tls: [{ certificate: ${pair('cdn.pem')}, key: ${pair('cdn.key')} }]`
/** A configuration that leaves the listener out, and has another route. */
const other = {
  listener: '',
  address: '127.0.0.1:9301',
  routes: '[{ path: /u/*, respond: { status: 410, body: "moved" } }]',
}
const byNewPlan = /^HTTP\/1\.1 410 Gone\r\n[^]*Connection: close\r\n[^]*moved$/

/** A client whose first photo has come, and who keeps its connection. */
async function keep({ port }: Edge): Promise<Dialled> {
  const client = dial(port, ask)
  await until(() => client.text.endsWith('photo'))
  client.text = ''
  return client
}

const hasNoClient = ({ counters: { global } }: Edge): boolean =>
  [GLOBAL.connectionsActive, GLOBAL.connectionsIdle, GLOBAL.requestsActive].every(
    (gauge) => global[gauge] === 0,
  )

/** Nothing refers to its state any more: whoever came would be nobody's. */
function isForgotten({ photos }: Edge): boolean {
  const socket = new Socket()
  const open = (): never => {
    throw new Error('it is served')
  }
  photos.accept({ socket, tls: undefined, open }, LISTENER)
  return socket.destroyed
}

for (const [means, isPlain] of TRANSPORTS) {
  void t.test(`${means}: a listener that is given up lets its idle clients go`, async (t) => {
    const { edge } = await layGround(t, [photo], { isPlain })
    const idle = await keep(edge)
    const asking = await keep(edge)
    asking.socket.write(ask)
    await edge.reload(other)
    await until(() => idle.how !== '' && asking.how !== '')
    t.strictSame([idle.text, idle.how], ['', 'end'])
    t.match(asking.text, byNewPlan, 'what came with the reload is answered')
    t.equal(asking.how, 'end')
    await until(() => hasNoClient(edge))
    t.end()
  })

  void t.test(`${means}: a listener that is given up serves once more, by the new`, async (t) => {
    const { edge, origins } = await layGround(t, [photo], { isPlain })
    const answers: (() => void)[] = []
    origins[0]!.script = (s) => {
      s.write(whole('photo').subarray(0, -1))
      answers.push(() => s.write('o'))
    }
    const early = dial(edge.port)
    const busy = dial(edge.port, ask)
    const pipelining = dial(edge.port, ask + ask)
    await until(() => [busy, pipelining].every(({ text }) => text.endsWith('phot')))
    await until(() => edge.counters.global[GLOBAL.connectionsActive] === 3)
    await edge.reload(other)
    const late = dial(edge.port, ask + ask)
    await until(() => late.how !== '')
    t.match(late.text, byNewPlan, 'whoever comes before the socket is closed')
    t.strictSame(statuses(late.text), [410])

    for (const { how } of [early, busy, pipelining]) t.equal(how, '')
    early.socket.write(ask)
    for (const answer of answers) answer()
    await until(() => [early, busy, pipelining].every(({ how }) => how === 'end'))
    t.match(early.text, byNewPlan, 'whoever had not asked yet')
    t.match(busy.text, /^HTTP\/1\.1 200 [^]*photo$/, 'what was under way comes whole')
    t.notMatch(busy.text, /Connection: close/, 'its head had gone before')
    const second = pipelining.text.lastIndexOf('HTTP/1.1')
    t.match(pipelining.text.slice(0, second), /^HTTP\/1\.1 200 [^]*photo$/)
    t.match(pipelining.text.slice(second), byNewPlan)
    await until(() => hasNoClient(edge))
    t.end()
  })

  void t.test(`${means}: a listener that is named again keeps its clients`, async (t) => {
    const { edge } = await layGround(t, [photo], { isPlain })
    const client = await keep(edge)
    edge.reconfigure(other)
    edge.reconfigure({})
    await sleep(20)
    client.socket.write(ask)
    await until(() => client.text.endsWith('photo'))
    t.notMatch(client.text, /Connection: close/)
    t.equal(client.how, '')
    client.socket.destroy()
    t.end()
  })

  void t.test(`${means}: a listener is forgotten when nobody can come by it`, async (t) => {
    const { edge } = await layGround(t, [photo], {
      isPlain,
      listener: 'proxyProtocol: v1, trust: [127.0.0.0/8]',
    })
    const arriving = dial(edge.port, 'PROXY TCP4 192.0.2.1 ')
    const refused = dial(edge.port, 'PROXY TCP4 192.0.2.1 ')
    await sleep(20)
    await edge.reload(other)
    const last = dial(edge.port, `PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n${ask}`)
    await until(() => last.how !== '')
    t.match(last.text, byNewPlan)
    await edge.unlisten()
    arriving.socket.write(`192.0.2.2 1 80\r\n${ask}`)
    await until(() => arriving.how !== '')
    t.match(arriving.text, byNewPlan, 'whoever had been accepted')
    refused.socket.write('what\r\n')
    await until(() => refused.how !== '')
    t.ok(isForgotten(edge))
    t.end()
  })

  void t.test(`${means}: a handshake with a listener that is given up goes on`, async (t) => {
    const { edge } = await layGround(t, [photo], { isPlain, listener: tls })
    const arriving = dial(edge.port)
    const failing = dial(edge.port)
    await sleep(20)
    await edge.reload(other)
    await edge.unlisten()
    failing.socket.end('what?')
    await until(() => failing.how !== '')
    const client = connectTls({ socket: arriving.socket, rejectUnauthorized: false })
    client.write(ask)
    t.match(await text(client), byNewPlan)
    t.ok(isForgotten(edge))
    t.end()
  })

  void t.test(`${means}: a client of a listener that is gone holds no old plan`, async (t) => {
    const { edge, origins } = await layGround(t, [photo], { isPlain })
    const ports = origins.map(({ port }) => port)
    const config = configOf({ ports, folder: t.testdir(), isPlain })
    const { servers } = config.pools['caches']!
    const configureWithTable = (): WeakRef<Uint16Array> => {
      const table = buildSlotTable(servers)
      const slots = new Map([[tableKey(servers), table]])
      edge.photos.configure(config, 'router-1', 2, { slots, shards: new Map() })
      return new WeakRef(table)
    }
    const table = configureWithTable()
    const held = dial(edge.port)
    await until(() => edge.counters.global[GLOBAL.connectionsActive] === 1)
    await edge.reload(other)
    await edge.unlisten()
    await sleep(20)
    collectGarbage()
    t.equal(table.deref(), undefined)
    t.equal(held.how, '')
    held.socket.destroy()
    t.end()
  })
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
}
