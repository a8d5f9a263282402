// Needs: nginx
// One of four caches is down: what each fallback costs storage and the survivors.

import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Edge, Site } from './kit/edge.ts'
import { tally, troubles } from './kit/load-client.ts'
import { until } from './kit/wait.ts'

const REQUESTS_PER_SECOND = 300
const OUTAGE_MS = 12_000
const DOWN = 'cache-2'

interface Row {
  readonly fallback: string
  readonly hitPct: number
  readonly storageRequests: number
  /** The busiest survivor's requests, to what it had before. */
  readonly worstGrowth: number
}

const site = await Site.start(t)
const rows: Row[] = []

for (const fallback of ['spread', 'scatter', 'backup']) {
  const group =
    fallback === 'backup' ? 'fallback: backup, backup: cache-4' : `fallback: ${fallback}`
  void t.test(`an outage with fallback: ${fallback}`, async (t) => {
    // Copies that the last fallback left would be hits now.
    await Promise.all(
      site.caches.map(async (cache) => {
        await cache.kill()
        cache.wipe()
        await cache.start()
      }),
    )
    const edge = await Edge.start(t, site, { group })
    const survivors = site.caches.filter(({ name }) => name !== DOWN)

    const before = edge.load({ requestsPerSecond: REQUESTS_PER_SECOND }).start()
    await delay(3000)
    const beforeSamples = await before.stop()
    const usual = survivors.map((cache) => cache.takeLog().length / beforeSamples.length)
    site.storage.takeLog()

    await site.cache(DOWN).kill()
    await until('verdict down', 10_000, async () => {
      return (await edge.router.cache(DOWN)).state === 'down' ? true : undefined
    })
    const load = edge
      .load({ requestsPerSecond: REQUESTS_PER_SECOND, draw: site.photos.zipf(1) })
      .start()
    await delay(OUTAGE_MS)
    const samples = await load.stop()
    t.comment(JSON.stringify(tally(samples)))
    t.same(troubles(samples), [])

    const logs = survivors.map((cache) => cache.takeLog())
    const served = logs.flat()
    t.equal(served.length, samples.length, 'the caches have answered what was asked, no more')
    const hits = served.filter(({ cacheStatus }) => cacheStatus === 'HIT').length
    const growth = logs.map((log, index) => log.length / samples.length / (usual[index] ?? 1))
    rows.push({
      fallback,
      hitPct: (100 * hits) / served.length,
      storageRequests: site.storage.takeLog().length,
      worstGrowth: Math.max(...growth),
    })
    t.equal((await edge.router.status()).workerRestarts, 0)
  })
}

void t.test('spread costs storage least and no survivor much', (t) => {
  t.comment(`${DOWN} of 4 down, ${OUTAGE_MS / 1000} s of ${REQUESTS_PER_SECOND} requests/s, Zipf`)
  t.comment('fallback   hit rate   storage requests   busiest survivor, to its load before')
  for (const { fallback, hitPct, storageRequests, worstGrowth } of rows) {
    t.comment(
      `${fallback.padEnd(10)} ${hitPct.toFixed(1).padStart(7)}% ${String(storageRequests).padStart(18)} ${`× ${worstGrowth.toFixed(2)}`.padStart(12)}`,
    )
  }
  const [spread, scatter, backup] = rows
  if (spread === undefined || scatter === undefined || backup === undefined) {
    t.fail('a fallback was not measured')
    t.end()
    return
  }
  t.ok(spread.hitPct > scatter.hitPct, 'more hits than scatter')
  t.ok(spread.storageRequests < 0.8 * scatter.storageRequests, 'less from storage than scatter')
  t.ok(spread.worstGrowth < backup.worstGrowth, 'no survivor is loaded as the one backup is')
  t.end()
})
