// Needs: root, nginx, mkfs.ext4, losetup, fsfreeze
// A cache's disk hangs under load. A TCP check stays green; the mount check takes the cache out, and
// brings it back. What storage is asked meanwhile is drawn into test-output/frozen-disk.svg.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { TOKEN_FILE } from '../../healthcheck/io/mount-look.ts'
import { plotSvg } from '../kit/plot.ts'
import type { Panel } from '../kit/plot.ts'
import { Disk } from './kit/disk.ts'
import { CACHES, Edge, Site, TCP_CHECK, aPhotoSet } from './kit/edge.ts'
import { startedIn, tally, troubles, waitPercentileMs } from './kit/load-client.ts'
import type { LoadClient, Sample } from './kit/load-client.ts'
import { Mountcheck } from './kit/mountcheck.ts'
import type { Nginx } from './kit/nginx.ts'
import { freePorts } from './kit/ports.ts'
import { until } from './kit/wait.ts'

const REQUESTS_PER_SECOND = 200
/** Every tenth photo is asked for the first time: a cache has to write it to its disk. */
const FRESH_EVERY = 10
/** Users whose photos are on their caches' disks from the start. */
const WARM_USERS = 1500
/** The others, whose photos are the fresh ones: more than a story asks for. */
const FRESH_USERS = 150
const MOUNT = { intervalMs: 500, deadlineMs: 500 }
const CHECK = { intervalMs: 500, timeoutMs: 300 }
const OUT_WITHIN_MS = MOUNT.intervalMs + MOUNT.deadlineMs + CHECK.intervalMs + CHECK.timeoutMs
const BACK_WITHIN_MS = MOUNT.deadlineMs + CHECK.intervalMs + CHECK.timeoutMs
const FIRST_BYTE_MS = 2000
const CONNECT_MS = 250
/** What two shared cores may add to a wait. */
const NOISE_MS = 1000
const SPAN_MS = 500
const BEFORE_MS = 2000
/** Requests that hang in the disk wait for their deadline, and then go elsewhere. */
const FROZEN_MS = FIRST_BYTE_MS + 1000

const photos = aPhotoSet(WARM_USERS + FRESH_USERS)
const WARM_COUNT = (photos.paths.length * WARM_USERS) / photos.userCount
const ground = await makeGround()
const panels: Panel[] = []
t.teardown(() => {
  const folder = path.join(import.meta.dirname, '..', '..', 'test-output')
  fs.mkdirSync(folder, { recursive: true })
  const svg = plotSvg("A cache's disk hangs", 'storage requests per second', panels)
  fs.writeFileSync(path.join(folder, 'frozen-disk.svg'), svg)
})

void t.test('a TCP check stays green while the disk hangs', async (t) => {
  const { disk, edge, story, load } = await setUp(t, { check: TCP_CHECK })
  await delay(2 * SPAN_MS)
  const frozenAt = story.mark('frozen')
  await disk.freeze()
  const seen = new Set<string>()
  while (performance.now() < frozenAt + 4500) {
    seen.add((await edge.router.cache('cache-2')).state)
    await delay(100)
  }
  const thawedAt = story.mark('thawed')
  await disk.thaw()
  await delay(SPAN_MS)
  const samples = await story.end(load)

  t.same([...seen], ['up'], 'green all the time')
  // Who asks later than that is served by the thawed disk, within the deadline.
  const late = startedIn(samples, frozenAt + 1000, thawedAt - FIRST_BYTE_MS - 200)
  const served = late.filter(({ cacheName }) => cacheName === 'cache-2')
  t.ok(late.length > 0)
  t.same(served, [], 'though it serves nothing')
  t.same(troubles(samples), [], "requests' own failures protect the clients")
  t.ok(isBounded(samples), 'one deadline and one retry at most')
})

interface Return {
  readonly name: string
  /** The same disk again, or an empty one in its place. */
  readonly disk: 'thawed' | 'replaced'
  readonly group: string
  /** The events of its return. */
  readonly told: readonly string[]
}

const RETURNS: readonly Return[] = [
  {
    name: 'thawed, and all of its users are back at once',
    disk: 'thawed',
    group: 'rampUp: 60s',
    told: ['return skipped'],
  },
  { name: 'replaced by an empty disk', disk: 'replaced', group: 'fallback: spread', told: [] },
  {
    name: 'replaced, and its users come back in steps',
    disk: 'replaced',
    group: 'rampUp: 2s',
    told: ['return begun', 'return finished'],
  },
]

for (const { name, disk: kind, group, told } of RETURNS) {
  void t.test(`the mount check takes it out; its disk is ${name}`, async (t) => {
    const { disk, edge, cache, check, story, load } = await setUp(t, { group })
    const cacheBefore = (await check.health()).body.cache
    await delay(BEFORE_MS)
    const frozenAt = story.mark('frozen')
    await disk.freeze()
    await verdict(edge, 'down')
    const downAt = story.mark('out')
    const { reason, results, outageCount } = await edge.router.cache('cache-2')
    await delay(frozenAt + FROZEN_MS - performance.now())
    if (kind === 'replaced') await replace(disk, cache)
    else await disk.thaw()
    const mendedAt = story.mark(kind)
    await verdict(edge, 'up')
    const upAt = story.mark('back')
    const cacheAfter = (await check.health()).body.cache
    const returning = (await edge.router.cache('cache-2')).returning
    t.equal(returning !== undefined, told.includes('return begun'), 'in steps or at once')
    await delay(2500)
    const samples = await story.end(load)

    const outAfterMs = Math.round(downAt - frozenAt)
    const backAfterMs = Math.round(upAt - mendedAt)
    const [before, out, back] = [
      [frozenAt - BEFORE_MS + 200, frozenAt - 200],
      [downAt, mendedAt],
      [upAt, Infinity],
    ].map(([from = 0, to = 0]) => p99(startedIn(samples, from, to)))
    const waits = { before, out, back, all: p99(samples), longest: longest(samples) }
    const storage = {
      before: story.storageRate(0, frozenAt),
      back: story.storageRate(upAt + SPAN_MS, Infinity),
    }
    t.comment(JSON.stringify({ outAfterMs, backAfterMs, ...tally(samples), waits, storage }))
    t.match(reason, /^status 503: no answer from /)
    t.match(results, /^\+*-+$/, 'its last checks: well, until they failed')
    t.equal(outageCount, 1)
    t.ok(outAfterMs <= OUT_WITHIN_MS + NOISE_MS, 'out in time')
    t.ok(backAfterMs <= BACK_WITHIN_MS + NOISE_MS, 'back in time')
    t.equal(cacheBefore === cacheAfter, kind === 'thawed', 'an empty disk is another cache')
    t.same(troubles(samples), [], 'no client sees an error, every byte is right')
    t.ok(isBounded(samples), 'one deadline and one retry at most')
    t.ok(isAsBefore(out, before) && isAsBefore(back, before), 'p99 is as before, once it is out')
    const whileOut = startedIn(samples, downAt, mendedAt)
    t.notOk(whileOut.some(({ cacheName }) => cacheName === 'cache-2'))
    const returned = startedIn(samples, upAt + 500, Infinity)
    t.ok(
      returned.some(({ cacheName }) => cacheName === 'cache-2'),
      'its users are back',
    )
    const isAsked = storage.back > 1.5 * storage.before
    t.equal(
      isAsked,
      kind === 'replaced',
      'storage is asked again for what an empty disk lost alone',
    )
    const { events, workerRestarts } = await edge.router.status()
    const names = events.map(({ event }) => event).reverse()
    t.strictSame(
      names.filter((event) => event.startsWith('return')),
      told,
    )
    t.equal(workerRestarts, 0)
  })
}

interface Ground {
  readonly site: Site
  readonly diskOf: (name: string) => Disk
  readonly checkOf: (name: string) => Mountcheck
  readonly checkPort: number
}

/** Four caches on four disks, with a mount check beside each: the same ones in every story. */
async function makeGround(): Promise<Ground> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-frozen-'))
  t.teardown(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  const disks = new Map<string, Disk>()
  for (const name of CACHES) {
    const disk = await Disk.make(path.join(folder, name), { sizeMb: 96, mkfs: '' })
    t.teardown(() => disk.remove())
    await disk.mount()
    disks.set(name, disk)
  }
  const diskOf = (name: string): Disk => disks.get(name) ?? raise(`no disk of ${name}`)
  const site = await Site.start(t, { photos, diskOf: (name) => diskOf(name).mountPoint })
  const [checkPort = 0] = await freePorts(1)
  const checks = new Map<string, Mountcheck>()
  for (const { name, address } of site.caches) {
    const { mountPoint } = diskOf(name)
    const own = path.join(folder, name)
    const check = new Mountcheck({ folder: own, address, port: checkPort, mountPoint, ...MOUNT })
    t.teardown(() => check.kill())
    checks.set(name, check)
  }
  // Whatever went wrong: what hangs in the kernel can only be ended once its disk is thawed.
  t.teardown(() => diskOf('cache-2').remove())
  const checkOf = (name: string): Mountcheck => checks.get(name) ?? raise(`no check of ${name}`)
  return { site, diskOf, checkOf, checkPort }
}

interface Start {
  readonly disk: Disk
  readonly cache: Nginx
  readonly check: Mountcheck
  readonly edge: Edge
  readonly load: LoadClient
  readonly story: Story
}

/** A router of its own, caches that hold the warm photos and nothing else, and the load. */
async function setUp(t: Test, options: { check?: string; group?: string }): Promise<Start> {
  const { site, diskOf, checkOf, checkPort } = ground
  await Promise.all(
    site.caches.map(async (cache) => {
      const disk = diskOf(cache.name)
      await putEmptyDisk(disk, cache)
      await until(`a look at ${cache.name}'s new disk`, 10_000, async () => {
        const token = fs.readFileSync(path.join(disk.mountPoint, TOKEN_FILE), 'latin1').trim()
        return (await checkOf(cache.name).health()).body.cache === token ? true : undefined
      })
    }),
  )
  const mountCheck = `{ type: http, port: ${checkPort}, path: /health, interval: ${CHECK.intervalMs}ms, timeout: ${CHECK.timeoutMs}ms, fall: 3, rise: 1 }`
  const edge = await Edge.start(t, site, {
    check: mountCheck,
    warm: photos.paths.slice(0, WARM_COUNT),
    ...options,
  })
  const load = edge.load({ requestsPerSecond: REQUESTS_PER_SECOND, draw: drawing() })
  const story = new Story(t.name, site.storage)
  load.start()
  t.teardown(async () => {
    await Promise.all([story.stop(), load.stop()])
  })
  const [disk, cache, check] = [diskOf('cache-2'), site.cache('cache-2'), checkOf('cache-2')]
  // A story that failed half-way leaves nothing hanging for the next.
  t.teardown(() => disk.thaw().catch(() => undefined))
  return { disk, cache, check, edge, load, story }
}

/** Warm photos by Zipf's law, and each fresh one once. */
function drawing(): () => string {
  const warm = photos.zipf(1, WARM_USERS)
  const fresh = photos.paths.slice(WARM_COUNT).values()
  let count = 0
  return () => {
    count += 1
    return count % FRESH_EVERY === 0 ? (fresh.next().value ?? warm()) : warm()
  }
}

/** Counts what storage is asked, span by span, and remembers what happened when. */
class Story {
  readonly #name: string
  readonly #storage: Nginx
  readonly #startedAt = performance.now()
  readonly #counts: number[] = []
  readonly #marks: { atMs: number; label: string }[] = []
  readonly #counting: Promise<void>
  #isOver = false

  constructor(name: string, storage: Nginx) {
    this.#name = name
    this.#storage = storage
    this.#counting = this.#count()
  }

  async #count(): Promise<void> {
    while (!this.#isOver) {
      const spanEndsAt = this.#startedAt + (this.#counts.length + 1) * SPAN_MS
      await delay(Math.max(0, spanEndsAt - performance.now()))
      this.#counts.push(this.#storage.takeLog().length)
    }
  }

  /** Now. */
  mark(label: string): number {
    const atMs = performance.now()
    this.#marks.push({ atMs, label })
    return atMs
  }

  /** Counts no more. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#counting
  }

  /** Mean of what storage was asked a second in the whole spans within that time; to be called last. */
  storageRate(fromMs: number, toMs: number): number {
    const counts = this.#counts.filter((_, index) => {
      const beganAt = this.#startedAt + index * SPAN_MS
      return beganAt >= fromMs && beganAt + SPAN_MS <= toMs
    })
    const sum = counts.reduce((a, b) => a + b, 0)
    return (sum * 1000) / (counts.length * SPAN_MS)
  }

  /** The load's end, and the story's panel, lined up by its first mark. */
  async end(load: LoadClient): Promise<readonly Sample[]> {
    await this.stop()
    const samples = await load.stop()
    const zeroMs = this.#marks[0]?.atMs ?? this.#startedAt
    panels.push({
      name: this.#name,
      fromS: (this.#startedAt - zeroMs) / 1000,
      spanS: SPAN_MS / 1000,
      values: this.#counts.map((count) => (count * 1000) / SPAN_MS),
      marks: this.#marks.map(({ atMs, label }) => ({ atS: (atMs - zeroMs) / 1000, label })),
    })
    return samples
  }
}

/** The disk that hung turns out to be dead; an empty one takes its place, and the cache starts anew. */
async function replace(disk: Disk, cache: Nginx): Promise<void> {
  await disk.pull()
  await disk.thaw()
  await putEmptyDisk(disk, cache)
}

async function putEmptyDisk(disk: Disk, cache: Nginx): Promise<void> {
  await cache.kill()
  await disk.unmount()
  await disk.makeFileSystem()
  await disk.mount()
  await cache.start()
}

async function verdict(edge: Edge, wanted: string): Promise<void> {
  await until(`verdict ${wanted}`, 10_000, async () => {
    return (await edge.router.cache('cache-2')).state === wanted ? true : undefined
  })
}

const p99 = (samples: readonly Sample[]): number => waitPercentileMs(samples, 99)
const longest = (samples: readonly Sample[]): number => waitPercentileMs(samples, 100)

function isBounded(samples: readonly Sample[]): boolean {
  return longest(samples) <= FIRST_BYTE_MS + CONNECT_MS + NOISE_MS
}

/** p99 may not be far above what it was: twice, and a stall of the machine. */
function isAsBefore(afterMs = NaN, beforeMs = NaN): boolean {
  return afterMs <= 2 * beforeMs + 100
}

function raise(message: string): never {
  throw new Error(message)
}
