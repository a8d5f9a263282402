// Needs: nginx
// A cache whose disk was emptied comes back under load: what storage sees of it, at once, in steps,
// and in steps with warming.

import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { aPhotoSet, Edge, Site } from './kit/edge.ts'
import { tally, troubles } from './kit/load-client.ts'
import { until } from './kit/wait.ts'

const REQUESTS_PER_SECOND = 600
/** So few that a second's requests are for a good part of their photos, as at a site's peak. */
const USERS = 500
const RAMP_S = 8
const SHOWN_S = RAMP_S + 2
const RETURNS = 'cache-2'
const CHECK = '{ type: http, path: /health, interval: 250ms, timeout: 1s, fall: 2, rise: 1 }'

interface Row {
  readonly story: string
  /** Requests at storage in each second from the cache's start on. */
  readonly storagePerSecond: readonly number[]
  /** Clients of the returned cache that had to wait for storage. */
  readonly misses: number
  readonly warmed: number
}

const peakOf = ({ storagePerSecond }: Row): number => Math.max(...storagePerSecond)

const site = await Site.start(t, { photos: aPhotoSet(USERS) })
const rows: Row[] = []

for (const [story, group] of [
  ['at once', 'rampUp: 0s'],
  ['in steps', `rampUp: ${RAMP_S}s`],
  ['in steps, warmed', `rampUp: ${RAMP_S}s, warm: on`],
] as const) {
  void t.test(`an emptied cache returns ${story}`, async (t) => {
    // Copies that the last story left would be hits now.
    await Promise.all(
      site.caches.map(async (cache) => {
        await cache.kill()
        cache.wipe()
        await cache.start()
      }),
    )
    const edge = await Edge.start(t, site, { check: CHECK, group })
    const cache = site.cache(RETURNS)
    await cache.kill()
    cache.wipe()
    await until('verdict down', 10_000, async () => {
      return (await edge.router.cache(RETURNS)).state === 'down' ? true : undefined
    })
    // Every photo of its users is on the disk of their fallback.
    const meanwhile = edge.load({ requestsPerSecond: 1 })
    await meanwhile.fetchAll(site.photos.paths, 16)
    t.same(troubles(meanwhile.samples), [])

    const load = edge
      .load({ requestsPerSecond: REQUESTS_PER_SECOND, draw: site.photos.zipf(1) })
      .start()
    await delay(1000)
    site.storage.takeLog()
    await cache.start()
    const storagePerSecond: number[] = []
    const startedAt = performance.now()
    while (storagePerSecond.length < SHOWN_S) {
      await delay(startedAt + 1000 * (storagePerSecond.length + 1) - performance.now())
      storagePerSecond.push(site.storage.takeLog().length)
    }
    const samples = await load.stop()
    t.comment(JSON.stringify(tally(samples)))
    t.same(troubles(samples), [])

    const ofReturned = samples.filter(({ cacheName }) => cacheName === RETURNS)
    t.ok(ofReturned.length > 0.05 * samples.length, 'it has its users again')
    const asked = new Set(ofReturned.map(({ target }) => target))
    const warmed = cache.takeLog().length - ofReturned.length
    const misses = ofReturned.filter(({ cacheStatus }) => cacheStatus === 'MISS').length
    t.ok(misses <= asked.size)
    rows.push({ story, storagePerSecond, misses, warmed })

    const status = await edge.router.status()
    t.equal(status.workerRestarts, 0)
    const told = status.events
      .map(({ event }) => event)
      .filter((event) => event.startsWith('return'))
    t.strictSame(told, story === 'at once' ? [] : ['return finished', 'return begun'])
    t.equal((await edge.router.cache(RETURNS)).returning, undefined)
  })
}

void t.test('in steps storage sees no herd, and warmed no client waits for most of it', (t) => {
  t.comment(
    `${RETURNS} of 4, emptied; ${REQUESTS_PER_SECOND} requests/s of ${USERS} users, Zipf; rampUp ${RAMP_S} s`,
  )
  t.comment('return            storage requests in each second        peak   misses  warmed')
  for (const row of rows) {
    const seconds = row.storagePerSecond.map((count) => String(count).padStart(5)).join('')
    const [peak, misses, warmed] = [peakOf(row), row.misses, row.warmed].map((count) =>
      String(count).padStart(7),
    )
    t.comment(`${row.story.padEnd(16)}${seconds}${peak}${misses}${warmed}`)
  }
  const [atOnce, inSteps, warmed] = rows
  if (atOnce === undefined || inSteps === undefined || warmed === undefined) {
    t.fail('a return was not measured')
    t.end()
    return
  }
  t.ok(peakOf(inSteps) < 0.7 * peakOf(atOnce), 'the peak is cut by the steps')
  t.ok(peakOf(warmed) < 0.7 * peakOf(atOnce), 'and stays so with warming')
  t.ok(warmed.misses < 0.9 * inSteps.misses, 'who comes back to a warmed cache waits less')
  t.equal(atOnce.warmed, 0)
  t.equal(inSteps.warmed, 0)
  t.ok(warmed.warmed > 0)
  t.end()
})
