/**
 * How long a worker's event loop is held by a new table or a verdict: 1,000 caches, a worker that
 * answers for random users all the while. `npm run bench:swap`; exits with 1 above 5 ms.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { CacheChooser } from '../router/core/cache-chooser.ts'
import { tableShardMap } from '../router/core/shard-table.ts'
import { createTableBuilder } from '../router/io/table-builder.ts'
import type { TableFile } from '../router/io/table-builder.ts'
import { loadShardTable, loadSlotTable } from '../router/io/table-file.ts'

const BOUND_MS = 5
const ROUNDS = 15
const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
const folder = mkdtempSync(join(tmpdir(), 'bench-swap-'))

const servers = Array.from({ length: 1000 }, (_, i) => ({ name: `cache-${i + 1}`, weight: 1 }))
const weights = servers.map(({ weight }) => weight)
const builder = createTableBuilder(folder)
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

/** The longest turn of the loop while `change` runs, and for some time after it. */
async function longestTurnMs(change: () => Promise<void> | void): Promise<number> {
  let turnsLeft = Infinity
  const changed = turn()
    .then(change)
    .then(() => {
      turnsLeft = 300
    })
  let longest = 0
  let at = performance.now()
  for (let round = 0; turnsLeft > 0; round++, turnsLeft--) {
    await turn()
    serve(round)
    const now = performance.now()
    longest = Math.max(longest, now - at)
    at = now
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

const results: { case: string; bestMs: number; medianMs: number; worstMs: number }[] = []
for (const { name, change } of cases) {
  const longest: number[] = []
  for (let i = 0; i < ROUNDS; i++) longest.push(await longestTurnMs(change))
  longest.sort((a, b) => a - b)
  results.push({
    case: name,
    bestMs: longest[0]!,
    medianMs: longest[ROUNDS >> 1]!,
    worstMs: longest[ROUNDS - 1]!,
  })
}
await builder.close()
rmSync(folder, { recursive: true })

// On a shared machine the worst is the scheduler's: see what it does to the first case.
const isKept = results.every(({ medianMs }) => medianMs <= BOUND_MS)
const out = (line: string): void => void process.stdout.write(`${line}\n`)
if (options.json) out(JSON.stringify({ boundMs: BOUND_MS, rounds: ROUNDS, results, isKept }))
else {
  out(`longest turn of the event loop, ms, of ${ROUNDS} rounds; the median at most ${BOUND_MS}\n`)
  out('case                                              best  median   worst')
  for (const { case: name, bestMs, medianMs, worstMs } of results)
    out(
      name.padEnd(46) + [bestMs, medianMs, worstMs].map((ms) => ms.toFixed(2).padStart(8)).join(''),
    )
  if (!isKept) out('\nthe bound is broken')
}
process.exitCode = isKept ? 0 : 1
