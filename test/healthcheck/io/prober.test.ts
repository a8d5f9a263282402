import net from 'node:net'
import t from 'tap'
import type { CheckConfig, Pool } from '../../../common/config/config.ts'
import type { EdgeEvent } from '../../../common/model/edge-event.ts'
import type { HealthChange } from '../../../common/model/health.ts'
import { systemClock } from '../../../common/runtime/clock.ts'
import { createProber } from '../../../healthcheck/io/prober.ts'
import type { Prober, ProberInit } from '../../../healthcheck/io/prober.ts'
import type { WriteState } from '../../../healthcheck/io/verdict-store.ts'
import { httpCheck, poolOf, tcpCheck } from '../world.ts'
import { answering, httpAnswer, listen } from './rig.ts'

/** A prober with a log of what it tells, and a way to wait for it. */
class Rig {
  readonly changes: HealthChange[] = []
  readonly events: EdgeEvent[] = []
  readonly prober: Prober
  #wake: (() => void) | undefined

  constructor(
    t: { teardown(fn: () => void): void },
    init: ProberInit,
    writeState: WriteState = () => Promise.resolve(),
  ) {
    this.prober = createProber(
      {
        clock: systemClock,
        onChange: (change) => {
          this.changes.push(change)
          this.#wake?.()
        },
        onEvent: (event) => {
          this.events.push(event)
        },
        writeState,
      },
      init,
    )
    t.teardown(() => {
      this.prober.stop()
    })
  }

  /** The first change from now on, or already told, that fits. */
  async change(fits: (change: HealthChange) => boolean): Promise<HealthChange> {
    for (;;) {
      const found = this.changes.find(fits)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

const quick = { intervalMs: 50, fastIntervalMs: 20, downIntervalMs: 50, timeoutMs: 100 }

function pools(ports: readonly number[], checks: readonly string[]): Record<string, Pool> {
  const pool = poolOf(ports.length, { checks })
  const servers = pool.servers.map((server, index) => ({
    ...server,
    address: '127.0.0.1',
    port: ports[index] ?? 0,
  }))
  return { caches: { ...pool, servers } }
}

const is = (server: string, state: string) => (change: HealthChange) =>
  change.verdict.server === server && change.verdict.state === state

void t.test(
  'a server is up after its first good check, down after fall bad ones, and back',
  async (t) => {
    const answers = { isWell: true }
    const port = await listen(t, (socket) => {
      answering(answers.isWell ? httpAnswer('200 OK') : httpAnswer('500 No'))(socket)
    })
    const http = httpCheck({ ...quick, reuse: false })
    const rig = new Rig(t, { pools: pools([port], ['http']), checks: { http } })
    t.same(rig.prober.verdicts(), [], 'nothing before start')
    rig.prober.start()
    t.match(rig.prober.verdicts(), [{ state: 'unknown', reason: 'not checked yet' }])
    t.match(await rig.change(is('c1', 'up')), { before: 'unknown', verdict: { factor: 1 } })
    answers.isWell = false
    t.match(await rig.change(is('c1', 'down')), { before: 'up', verdict: { reason: 'status 500' } })
    t.same(
      rig.prober
        .history('caches', 'c1')
        .slice(-3)
        .map(({ result }) => result),
      ['failed', 'failed', 'failed'],
    )
    answers.isWell = true
    rig.changes.length = 0
    t.match(await rig.change(is('c1', 'up')), { before: 'down', verdict: { outageCount: 1 } })
    t.same(
      rig.events.map(({ event }) => event),
      ['server up', 'check failed', 'server down', 'server up'],
    )
  },
)

void t.test('a suspicion is answered by a check begun after it', async (t) => {
  const port = await listen(t, answering(httpAnswer('200 OK')))
  const slow = { intervalMs: 60_000, fastIntervalMs: 60_000, downIntervalMs: 60_000 }
  const rig = new Rig(t, { pools: pools([port], ['http']), checks: { http: httpCheck(slow) } })
  rig.prober.start()
  await rig.change(is('c1', 'up'))
  rig.prober.checkNow('caches', 'c1')
  rig.prober.checkNow('caches', 'nobody')
  const { verdict } = await rig.change((change) => change.verdict.clearsSuspicion)
  t.match(verdict, { server: 'c1', state: 'up' })
  t.match(rig.prober.verdicts(), [{ clearsSuspicion: false }])
})

void t.test('a reload adds and removes servers and leaves the rest alone', async (t) => {
  const ports = [await listen(t, () => undefined), await listen(t, () => undefined)]
  const checks: Record<string, CheckConfig> = { tcp: tcpCheck(quick) }
  const rig = new Rig(t, { pools: pools(ports.slice(0, 1), ['tcp']), checks })
  rig.prober.start()
  const first = await rig.change(is('c1', 'up'))
  rig.prober.reconfigure(pools(ports, ['tcp']), checks)
  t.match(rig.prober.verdicts(), [{ state: 'up' }, { state: 'unknown' }])
  await rig.change(is('c2', 'up'))
  t.equal(rig.prober.verdicts()[0]?.sinceMs, first.verdict.sinceMs)
  rig.prober.reconfigure({}, {})
  t.same(rig.prober.verdicts(), [])
})

void t.test('verdicts are taken over from the life before', async (t) => {
  let saved = ''
  const writeState = (_: string, text: string) => {
    saved = text
    return Promise.resolve()
  }
  const port = await listen(t, () => undefined)
  const init = { pools: pools([port], ['tcp']), checks: { tcp: tcpCheck(quick) } }
  const before = new Rig(t, init, writeState)
  before.prober.start()
  const { verdict } = await before.change(is('c1', 'up'))
  before.prober.stop()
  const after = new Rig(t, { ...init, saved })
  after.prober.start()
  t.match(after.prober.verdicts(), [{ state: 'up', sinceMs: verdict.sinceMs }])
  t.match(after.changes[0], { before: 'unknown', verdict: { state: 'up' } })
})

void t.test('a state file that cannot be written is told, and the checks go on', async (t) => {
  const answers = { isWell: true }
  const port = await listen(t, (socket) => {
    answering(answers.isWell ? httpAnswer('200 OK') : httpAnswer('500 No'))(socket)
  })
  const checks = { http: httpCheck({ ...quick, reuse: false }) }
  const refused = () => Promise.reject(new Error('no room'))
  const rig = new Rig(t, { pools: pools([port], ['http']), checks }, refused)
  rig.prober.start()
  await rig.change(is('c1', 'up'))
  const isTold = () => rig.events.find(({ event }) => event === 'verdicts not kept')
  while (isTold() === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
  t.match(isTold(), { subject: 'verdicts.json', reason: 'no room' })
  answers.isWell = false
  await rig.change(is('c1', 'down'))
})

void t.test('what cannot even be asked is a failed check, not a dead prober', async (t) => {
  const checks = { http: httpCheck({ ...quick, path: '/\u0000', reuse: false }) }
  const rig = new Rig(t, { pools: pools([1], ['http']), checks })
  rig.prober.start()
  const { verdict } = await rig.change(is('c1', 'down'))
  t.match(verdict.reason, /ERR_UNESCAPED_CHARACTERS/)
})

void t.test('no socket and no timer outlives a stopped prober', async (t) => {
  const sockets: net.Socket[] = []
  const port = await listen(t, (socket) => {
    sockets.push(socket.resume())
  })
  const checks = { http: httpCheck({ ...quick, timeoutMs: 60_000 }) }
  const rig = new Rig(t, { pools: pools([port], ['http']), checks })
  rig.prober.start()
  while (sockets.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const closed = new Promise((resolve) => sockets[0]?.on('close', resolve))
  rig.prober.stop()
  await closed
  t.same(rig.changes, [])
})

void t.test('a thousand servers have their first check within a moment', async (t) => {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end()
  })
  t.teardown(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const { port } = server.address() as net.AddressInfo
  const pool = poolOf(1000)
  const servers = pool.servers.map((s, index) => {
    return { ...s, address: `127.0.${Math.floor(index / 250)}.${(index % 250) + 1}`, port }
  })
  const rig = new Rig(t, {
    pools: { caches: { ...pool, servers } },
    checks: { tcp: tcpCheck({ intervalMs: 60_000, timeoutMs: 10_000 }) },
  })
  rig.prober.start()
  await rig.change(() => rig.changes.length === 1000)
  t.ok(rig.changes.every((change) => change.verdict.state === 'up'))
})
