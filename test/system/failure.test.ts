// Needs: nginx
// A cache dies, hangs and returns under load, seen by a TCP check and by an HTTP check.

import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Edge, HTTP_CHECK, Site, TCP_CHECK } from './kit/edge.ts'
import { startedIn, tally, troubles, waitPercentileMs } from './kit/load-client.ts'
import type { Sample } from './kit/load-client.ts'
import { until } from './kit/wait.ts'

const REQUESTS_PER_SECOND = 250
const FIRST_BYTE_MS = 2000
const CONNECT_MS = 250
/** What two shared cores may add to a wait. */
const NOISE_MS = 1000
/** fall × interval + timeout of the checks. */
const OUT_WITHIN_MS = 3 * 500 + 300

const site = await Site.start(t)

/** p99 may not be far above what it was: twice, and a stall of the machine. */
function isAsBefore(afterMs: number, beforeMs: number): boolean {
  return afterMs <= 2 * beforeMs + 100
}

function p99(samples: readonly Sample[]): number {
  return waitPercentileMs(samples, 99)
}

for (const [kind, check] of [
  ['TCP', TCP_CHECK],
  ['HTTP', HTTP_CHECK],
] as const) {
  void t.test(`${kind} check: kill -9 of a cache and its return`, async (t) => {
    const edge = await Edge.start(t, site, { check })
    const cache = site.cache('cache-2')
    const load = edge.load({ requestsPerSecond: REQUESTS_PER_SECOND }).start()
    const bodies = edge.load({ requestsPerSecond: 1 })
    await delay(1000)
    // Several cut at a time make the cache suspect at once, and no retry is needed: seen once here,
    // and once without.
    const large = kind === 'TCP' ? site.photos.largePaths : []
    const underWay = bodies.fetchAll(large, large.length)
    await delay(1000)
    const killedAt = performance.now()
    await cache.kill()
    const downAfterMs = await until('verdict down', 10_000, async () => {
      const { state } = await edge.router.cache('cache-2')
      return state === 'down' ? performance.now() - killedAt : undefined
    })
    await delay(3000)
    const returnedAt = performance.now()
    await cache.start()
    await until('verdict up', 5000, async () => {
      return (await edge.router.cache('cache-2')).state === 'up' ? true : undefined
    })
    const upAt = performance.now()
    await delay(2000)
    const samples = await load.stop()
    await underWay

    const { ok = 0, cut = 0, ...others } = tally(bodies.samples)
    t.same(others, {}, 'a body under way ends whole or cut, and what came is right')
    t.ok(large.length === 0 || (ok > 0 && cut > 0), `${ok} bodies whole, ${cut} cut`)
    t.comment(JSON.stringify({ ...tally(samples), downAfterMs: Math.round(downAfterMs) }))
    const failed = samples.filter(({ outcome }) => outcome !== 'ok' && outcome !== 'cut')
    t.same(troubles(failed), [], 'no request fails before its first byte, none is wrong')
    t.ok(samples.length - failed.length > samples.length * 0.99, 'photos')
    t.equal(load.strayCount, 0, 'no byte that was not asked for')
    t.ok(downAfterMs <= OUT_WITHIN_MS + NOISE_MS, 'it is out in time')
    const outage = startedIn(samples, killedAt + downAfterMs, returnedAt)
    t.notOk(outage.some(({ cacheName }) => cacheName === 'cache-2'))
    const back = startedIn(samples, upAt + 500, Infinity)
    t.ok(
      back.some(({ cacheName }) => cacheName === 'cache-2'),
      'its users are back',
    )
    t.equal((await edge.router.status()).workerRestarts, 0)
    t.equal(await edge.router.stop(), 0, 'a clean end')
    const { cut: cutUnderLoad = 0 } = tally(samples)
    const ends = edge.router.loggedEnds()
    t.comment(JSON.stringify(ends))
    t.equal(ends['cache cut'] ?? 0, cut + cutUnderLoad, 'each cut is counted')
  })

  void t.test(`${kind} check: a cache that accepts and never answers`, async (t) => {
    const edge = await Edge.start(t, site, { check })
    const cache = site.cache('cache-3')
    const load = edge.load({ requestsPerSecond: REQUESTS_PER_SECOND }).start()
    await delay(2500)
    const stoppedAt = performance.now()
    cache.signal('SIGSTOP')
    let outAfterMs: number | undefined
    if (kind === 'HTTP') {
      outAfterMs = await until('verdict down', 10_000, async () => {
        const { state } = await edge.router.cache('cache-3')
        return state === 'down' ? performance.now() - stoppedAt : undefined
      })
    }
    await delay(stoppedAt + 7000 - performance.now())
    const continuedAt = performance.now()
    cache.signal('SIGCONT')
    await until('cache-3 in use', 10_000, async () => {
      const { state, suspectIn } = await edge.router.cache('cache-3')
      return state === 'up' && suspectIn.length === 0 ? true : undefined
    })
    const backAt = performance.now()
    await delay(2000)
    const samples = await load.stop()

    const before = p99(startedIn(samples, stoppedAt - 2000, stoppedAt))
    const during = p99(startedIn(samples, stoppedAt + 3000, continuedAt))
    const after = p99(startedIn(samples, backAt, Infinity))
    const longest = waitPercentileMs(samples, 100)
    const waits = { before, during, after, longest, outAfterMs: outAfterMs ?? NaN }
    t.comment(JSON.stringify({ ...tally(samples), ...waits }))
    const failed = samples.filter(({ outcome }) => outcome !== 'ok' && outcome !== 'cut')
    t.same(troubles(failed), [], 'no request fails')
    t.ok(longest <= FIRST_BYTE_MS + CONNECT_MS + NOISE_MS, 'one deadline and one retry at most')
    t.ok(isAsBefore(during, before), 'from the third second on p99 is as before')
    t.ok(isAsBefore(after, before), 'and so it is after its return')
    if (outAfterMs !== undefined) {
      t.ok(outAfterMs <= OUT_WITHIN_MS + NOISE_MS, 'it is out within fall × interval + timeout')
    }
    t.ok(
      startedIn(samples, backAt, Infinity).some(({ cacheName }) => cacheName === 'cache-3'),
      'its users are back',
    )
    t.equal((await edge.router.status()).workerRestarts, 0)
    t.equal(await edge.router.stop(), 0, 'a clean end')
  })
}
