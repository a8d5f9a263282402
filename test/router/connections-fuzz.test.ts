import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { GLOBAL, SERVER, SERVER_STRIDE } from '../../router/core/counters.ts'
import { raisedGauges, sleep } from './edge-ground.ts'
import { makeStream } from './fuzz/client-stream.ts'
import { Dice } from './fuzz/dice.ts'
import { faultsOf, play, StallWatch } from './fuzz/fuzz-client.ts'
import type { FuzzTarget } from './fuzz/fuzz-client.ts'
import { startWildCache } from './fuzz/wild-cache.ts'
import { startEdge } from './lane-fixture.ts'
import type { Edge } from './lane-fixture.ts'

// Short everywhere, as long as one likes with FUZZ_SECONDS; the seed is printed to repeat a run.
const isLong = process.env['CI'] === 'true'
const seconds = Number(process.env['FUZZ_SECONDS'] ?? (isLong ? 5 : 2))
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const CLIENTS_AT_ONCE = 128
const LEAST_CLIENTS = 256
t.setTimeout((seconds + 120) * 1000)
t.comment(`FUZZ_SEED=${seed} FUZZ_SECONDS=${seconds}`)

const pair = (file: string): string =>
  JSON.stringify(fileURLToPath(new URL(`../healthcheck/io/fixtures/${file}`, import.meta.url)))
const TLS = `tls: [{ certificate: ${pair('cdn.pem')}, key: ${pair('cdn.key')} }]`
const PROXY = 'proxyProtocol: v1, trust: [127.0.0.0/8]'
const PREAMBLE = 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n'

const KINDS = [
  ['stream_wrap', false, '', ''],
  ['stream_wrap, TLS', false, TLS, ''],
  ['stream_wrap, PROXY', false, PROXY, PREAMBLE],
  ['public API', true, '', ''],
  ['public API, TLS', true, TLS, ''],
] as const

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

KINDS.forEach(([means, isPlain, listener, preamble], place) => {
  void t.test(`${means}: no client and no cache takes anything with it`, async (t) => {
    const before = openSockets()
    const caches = await Promise.all([0, 1, 2].map(() => startWildCache(seed)))
    const edge = await startEdge({
      ports: caches.map(({ port }) => port),
      folder: t.testdir(),
      isPlain,
      listener: `${listener === '' ? '' : `${listener}, `}timeouts: { head: 500ms, idle: 400ms, send: 500ms }`,
      group:
        'methods: [GET, HEAD, POST], bodies: allow, maxBody: 1KB, timeouts: { firstByte: 80ms, betweenBytes: 200ms }',
      routes:
        '[{ path: /u/*, group: photos }, { path: /r/*, redirect: { status: 302, to: "http://b{target}" } }, { path: /s, respond: { status: 200, body: "hello" } }]',
    })
    const target = { port: edge.port, isTls: listener === TLS, preamble }
    const endsAt = performance.now() + (seconds * 1000) / KINDS.length
    const faults: string[] = []
    const stalls = new StallWatch()
    let count = 0
    let disturbedCount = 0
    const playSome = async (isOver: () => boolean): Promise<void> => {
      await Promise.all(
        Array.from({ length: CLIENTS_AT_ONCE }, async () => {
          while (!isOver()) faults.push(...(await playOne(target, count++)))
        }),
      )
    }
    const playOne = async (to: FuzzTarget, client: number): Promise<string[]> => {
      const stream = makeStream(new Dice(seed + place * 1_000_003 + client), client)
      const seen = await play(to, stream, stalls)
      if (seen.isDisturbed) disturbedCount++
      const isCut = caches.some(({ cutClients }) => cutClients.has(client))
      return faultsOf(seen, stream, client, isCut)
    }

    await playSome(() => count >= LEAST_CLIENTS)
    await quiet(edge)
    const heldBefore = held()
    const countBefore = count
    await playSome(() => performance.now() > endsAt)
    await quiet(edge)
    const grown = held() - heldBefore
    stalls.close()
    t.comment(
      `${count} clients, ${disturbedCount} of them disturbed, ${Math.round(grown / 1024)} KB grown`,
    )

    t.strictSame(faults, [], 'each client got its own photos, whole or visibly cut')
    t.strictSame(
      caches.flatMap((cache) => cache.faults),
      [],
      'the caches saw only well-formed requests, one at a time',
    )
    t.strictSame(busyGauges(edge), [], 'nothing is under way')
    // A connection that is kept by anybody is some kilobytes.
    t.ok(grown < 2_000_000 + 500 * (count - countBefore), `${grown} bytes are held`)

    const { global } = edge.counters
    const ends = global.subarray(GLOBAL.ends, GLOBAL.ends + 11).reduce((sum, n) => sum + n, 0)
    t.equal(ends, global[GLOBAL.requests], 'each request has ended, once')
    for (const name of ['c0', 'c1', 'c2']) edge.setVerdict(name, { clearsSuspicion: true })
    await edge.close()
    t.strictSame(raisedGauges(edge), [], 'every connection is closed')
    const lines = readFileSync(edge.logFile, 'utf8').trimEnd().split('\n')
    t.equal(lines.length, ends, 'and has its line')
    t.doesNotThrow(() => lines.map((line) => JSON.parse(line) as unknown))
    await within(2_000, () => caches.every(({ openCount }) => openCount() === 0))
    t.strictSame(
      caches.map(({ openCount }) => openCount()),
      [0, 0, 0],
      'the caches see their connections closed',
    )
    await Promise.all(caches.map((cache) => cache.close()))
    await within(2_000, () => openSockets() <= before)
    t.ok(openSockets() <= before, `${openSockets()} sockets are open, ${before} were before`)
    t.end()
  })
})

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => /^(TCP|TLS)/.test(name)).length
}

/** Connections that may be kept, and suspicions, aside. */
function busyGauges(edge: Edge): string[] {
  return raisedGauges(edge).filter((gauge) => {
    const [kind, place] = gauge.split(' ')
    return kind === 'global' || Number(place) % SERVER_STRIDE === SERVER.active
  })
}

/** Until nothing is under way; the longest limit of time is well within this. */
async function quiet(edge: Edge): Promise<void> {
  await within(8_000, () => busyGauges(edge).length === 0)
}

async function within(ms: number, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + ms
  while (!isSo() && performance.now() < deadline) await sleep(5)
}

/** Bytes that are in use, those of buffers too. */
function held(): number {
  collect()
  return process.memoryUsage().heapUsed
}
