/**
 * How long a worker's event loop is held by a new table or a verdict: 1,000 caches, a worker that
 * answers for random users all the while. `npm run bench:swap`; exits with 1 above 5 ms.
 *
 * A turn that takes long by the clock may be the machine's: so the cases take turns with a loop in
 * which nothing happens, and what the thread itself computed in a turn is told beside.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import koffi from 'koffi'
import { CacheChooser } from '../router/core/cache-chooser.ts'
import { tableShardMap } from '../router/core/shard-table.ts'
import { openStateFolder } from '../common/runtime/state-folder.ts'
import { createTableBuilder } from '../router/io/table-builder.ts'
import type { TableFile } from '../router/io/table-builder.ts'
import { loadShardTable, loadSlotTable } from '../router/io/table-file.ts'

const BOUND_MS = 5
const ROUNDS = 40
const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
const CLOCK_THREAD_CPUTIME_ID = 3
const clock = new BigInt64Array(2)
const clockGettime = koffi
  .load('libc.so.6')
  .func('int clock_gettime(int clock, int64_t *time)') as (
  clock: number,
  time: BigInt64Array,
) => number
const folder = mkdtempSync(join(tmpdir(), 'bench-swap-'))

const servers = Array.from({ length: 1000 }, (_, i) => ({ name: `cache-${i + 1}`, weight: 1 }))
const weights = servers.map(({ weight }) => weight)
const builder = createTableBuilder({ state: openStateFolder(folder), name: '.' })
const slots = await builder.buildSlots(servers)
const shardsFile = join(folder, 'shards.txt')
writeFileSync(
  shardsFile,
  Array.from({ length: 200_000 }, (_, i) => `${i * 9}-${i * 9 + 8} cache-${(i % 1000) + 1}\n`).join(
    '',
  ),
)
const shards = await builder.buildShards(
  shardsFile,
  servers.map(({ name }) => name),
)

/** Ten groups of one pool: every change is set in each of them. */
const choosers = Array.from({ length: 10 }, () => {
  const chooser = new CacheChooser({ servers, fallback: 'spread' })
  for (let i = 0; i < servers.length; i++) chooser.setFactor(i, 1)
  return chooser
})
const user = new Uint8Array(9)

/** As many choices as a busy worker makes between two looks at its sockets. */
function serve(round: number): void {
  for (let request = 0; request < 64; request++) {
    let id = Math.imul(round * 64 + request, 0x9e3779b1) >>> 0
    for (let i = 0; i < 9; i++, id = (id / 10) >>> 0) user[i] = 0x30 + (id % 10)
    const chooser = choosers[request % choosers.length]!
    chooser.locate(user, user.length)
    chooser.first()
  }
}

/** The longest turn of the loop: by the clock, and by what this thread computed. */
interface Longest {
  readonly wallMs: number
  readonly cpuMs: number
}

/** By `clock_gettime`: `process.threadCpuUsage` follows only at the kernel's next tick. */
function cpuMs(): number {
  clockGettime(CLOCK_THREAD_CPUTIME_ID, clock)
  return Number(clock[0]) * 1000 + Number(clock[1]) / 1e6
}

/** Of the turns while `change` runs, and for some time after it. */
async function longestTurn(change: () => Promise<void> | void): Promise<Longest> {
  let turnsLeft = Infinity
  const changed = turn()
    .then(change)
    .then(() => {
      turnsLeft = 300
    })
  const longest = { wallMs: 0, cpuMs: 0 }
  let at = performance.now()
  let computed = cpuMs()
  for (let round = 0; turnsLeft > 0; round++, turnsLeft--) {
    await turn()
    serve(round)
    const now = performance.now()
    const nowComputed = cpuMs()
    longest.wallMs = Math.max(longest.wallMs, now - at)
    longest.cpuMs = Math.max(longest.cpuMs, nowComputed - computed)
    at = now
    computed = nowComputed
  }
  await changed
  return longest
}

const swap = async (file: TableFile): Promise<void> => {
  const table = await loadSlotTable(file)
  for (const chooser of choosers) {
    chooser.setWeights(weights, table)
    await turn()
  }
}

await swap(slots)
const cases: { name: string; change: () => Promise<void> | void }[] = [
  { name: 'nothing (the machine itself)', change: () => undefined },
  { name: 'a new slot table, read, verified, swapped', change: () => swap(slots) },
  {
    name: 'a new shard table of 200,000 ranges',
    change: async () => {
      const map = tableShardMap(await loadShardTable(shards))
      choosers[0]!.setShards(map)
    },
  },
  {
    name: 'one cache down, and up again, in ten groups',
    change: () => {
      for (const factor of [0, 1]) for (const chooser of choosers) chooser.setFactor(7, factor)
    },
  },
  {
    name: 'verdicts of all 1,000 caches, in ten groups',
    change: () => {
      for (const chooser of choosers)
        for (let i = 0; i < servers.length; i++) chooser.setFactor(i, i % 2 === 0 ? 1 : 0.9)
    },
  },
  {
    name: 'a table built while the worker serves',
    change: async () => {
      await builder.buildSlots(servers.slice(0, 100))
    },
  },
]

const rounds: Longest[][] = cases.map(() => [])
for (let i = 0; i < ROUNDS; i++)
  for (const [at, { change }] of cases.entries()) rounds[at]!.push(await longestTurn(change))
await builder.close()
rmSync(folder, { recursive: true })

const at = (of: keyof Longest, turns: readonly Longest[], share: number): number =>
  turns.map((turn) => turn[of]).sort((a, b) => a - b)[Math.floor(share * (ROUNDS - 1))]!
const results = cases.map(({ name }, i) => ({
  case: name,
  medianMs: at('wallMs', rounds[i]!, 0.5),
  worstMs: at('wallMs', rounds[i]!, 1),
  medianCpuMs: at('cpuMs', rounds[i]!, 0.5),
  p95CpuMs: at('cpuMs', rounds[i]!, 0.95),
  worstCpuMs: at('cpuMs', rounds[i]!, 1),
}))

// The worst is left to the reader: what a hypervisor takes away counts as computed, too.
const isKept = results.every((one) => one.medianMs <= BOUND_MS && one.p95CpuMs <= BOUND_MS)
const out = (line: string): void => void process.stdout.write(`${line}\n`)
if (options.json) out(JSON.stringify({ boundMs: BOUND_MS, rounds: ROUNDS, results, isKept }))
else {
  out(
    `longest turn of the event loop, ms, of ${ROUNDS} rounds; the clock's median and 95 % of what`,
  )
  out(`the thread computed: at most ${BOUND_MS}\n`)
  out(`${''.padEnd(46)} by the clock    computed by the thread`)
  out(`${'case'.padEnd(46)}  median   worst  median     p95   worst`)
  for (const { case: name, ...figures } of results)
    out(
      name.padEnd(46) +
        Object.values(figures)
          .map((ms) => ms.toFixed(2).padStart(8))
          .join(''),
    )
  if (!isKept) out('\nthe bound is broken')
}
process.exitCode = isKept ? 0 : 1
