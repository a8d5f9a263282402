// Needs: nginx
// Reloads, and workers that die, under load: once with one worker and once with two.

import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Edge, Site } from './kit/edge.ts'
import { tally, troubles } from './kit/load-client.ts'

const REQUESTS_PER_SECOND = 250
const ROUNDS = 6

const site = await Site.start(t)

for (const workers of [1, 2]) {
  void t.test(`a reload every second, workers: ${workers}`, async (t) => {
    const edge = await Edge.start(t, site, { workers })
    const pids = (await edge.router.status()).workers.map(({ pid }) => pid)
    const load = edge.load({ requestsPerSecond: REQUESTS_PER_SECOND, freshShare: 0.2 }).start()
    for (let round = 0; round < ROUNDS; round += 1) {
      edge.router.configure(
        edge.configText({ workers, group: `fallback: ${round % 2 === 0 ? 'scatter' : 'spread'}` }),
      )
      await edge.router.reload()
      await delay(1000)
    }
    const samples = await load.stop()
    t.comment(JSON.stringify(tally(samples)))
    t.same(troubles(samples), [], 'every photo, every byte')
    t.equal(load.strayCount, 0)
    const status = await edge.router.status()
    t.equal(status.workerRestarts, 0)
    t.same(
      status.workers.map(({ pid }) => pid),
      pids,
      'the same processes',
    )

    edge.router.configure('edge: [broken')
    process.kill(edge.router.pid, 'SIGHUP')
    await delay(1000)
    t.equal((await edge.router.status()).generation, status.generation, 'a wrong one is refused')
    t.equal(await edge.router.stop(), 0)
  })

  void t.test(`a worker killed every second, workers: ${workers}`, async (t) => {
    const edge = await Edge.start(t, site, { workers })
    const load = edge.load({ requestsPerSecond: REQUESTS_PER_SECOND, freshShare: 0.2 }).start()
    const kills: { fromMs: number; toMs: number }[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      await delay(1000)
      const fromMs = performance.now()
      await edge.router.killWorker()
      kills.push({ fromMs, toMs: performance.now() })
    }
    await delay(2000)
    const samples = await load.stop()
    const broken = samples.filter(({ outcome }) => outcome !== 'ok')
    const elsewhere = broken.filter(
      ({ outcome, startMs, endMs }) =>
        !(outcome === 'cut' || outcome === 'no answer') ||
        !kills.some(({ fromMs, toMs }) => startMs <= toMs + 50 && endMs >= fromMs),
    )
    t.comment(JSON.stringify(tally(samples)))
    t.same(troubles(elsewhere), [], 'only what was in flight breaks, nothing is refused or wrong')
    t.ok(broken.length <= ROUNDS * 10, `${broken.length} broken`)
    t.equal(load.strayCount, 0)
    t.equal((await edge.router.status()).workerRestarts, ROUNDS)
    t.equal(await edge.router.stop(), 0)
  })
}
