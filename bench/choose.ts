/**
 * What a choice costs: from a user's bytes to the cache's index, for random users of 1,000 caches.
 * `npm run bench:choose`; exits with 1 if any case takes longer than its bound.
 */
import { parseArgs } from 'node:util'
import { CacheChooser } from '../router/core/cache-chooser.ts'
import type { ShardMap } from '../router/core/shard-map.ts'
import { moduloShardMap } from '../router/core/shard-map.ts'
import { parseShardTable, tableShardMap } from '../router/core/shard-table.ts'
import { buildSlotTable } from '../router/core/slot-table.ts'

const BOUND_NS = 300
const USERS = 1 << 19
const ID_BYTES = 12
const ROUNDS = 9

const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } })

const servers = Array.from({ length: 1000 }, (_, i) => ({ name: `cache-${i + 1}`, weight: 1 }))
const weights = servers.map(({ weight }) => weight)

let state = 0x2545f491
const random = (): number => {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return state >>> 0
}

/** Random users as the head parser leaves them: digits in a buffer, each read once a round. */
const users = new Uint8Array(USERS * ID_BYTES)
const lengths = new Uint8Array(USERS)
const views: Uint8Array[] = []
for (let user = 0; user < USERS; user++) {
  const id = String(random() % 1_000_000_000)
  lengths[user] = id.length
  for (let i = 0; i < id.length; i++) users[user * ID_BYTES + i] = id.charCodeAt(i)
  views.push(users.subarray(user * ID_BYTES, (user + 1) * ID_BYTES))
}

const startedAt = performance.now()
const table = buildSlotTable(servers)
const buildMs = performance.now() - startedAt

const lines = Array.from({ length: 100_000 }, (_, i) => {
  return `${i * 10_000}-${i * 10_000 + 9_999} cache-${(i % 1000) + 1}`
})
const parsed = parseShardTable(
  lines.join('\n'),
  servers.map(({ name }) => name),
)
if (!parsed.ok) throw new Error('the bench made a wrong shard table')

interface Case {
  readonly name: string
  readonly shards?: ShardMap
  readonly down: number
  readonly factor?: number
  /** undefined: shown, not judged. */
  readonly boundNs?: number
}

const cases: Case[] = [
  { name: 'all up', down: 0, boundNs: BOUND_NS },
  { name: '5 of 1,000 down', down: 5, boundNs: BOUND_NS },
  { name: 'half of them down', down: 500 },
  { name: 'all at factor 7/8', down: 0, factor: 7 / 8, boundNs: BOUND_NS },
  { name: 'homes by modulo', shards: moduloShardMap(1000), down: 0, boundNs: BOUND_NS },
  { name: 'homes by modulo, 5 down', shards: moduloShardMap(1000), down: 5, boundNs: BOUND_NS },
  {
    name: 'homes by a table of 100,000 ranges',
    shards: tableShardMap(parsed.table),
    down: 0,
    boundNs: BOUND_NS,
  },
]

function measure({ shards, down, factor = 1 }: Case): { ns: number; bytesPerCall: number } {
  const chooser = new CacheChooser({ servers, shards, fallback: 'spread' })
  chooser.setWeights(weights, table)
  for (let i = 0; i < servers.length; i++) chooser.setFactor(i, i < down ? 0 : factor)
  let sum = 0
  const round = (): void => {
    for (let user = 0; user < USERS; user++) {
      const bytes = views[(user * 7) & (USERS - 1)]!
      chooser.locate(bytes, lengths[(user * 7) & (USERS - 1)]!)
      sum = (sum + chooser.first()) | 0
    }
  }
  round()
  round()
  const times: number[] = []
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < ROUNDS; i++) {
    const at = performance.now()
    round()
    times.push(performance.now() - at)
  }
  const grown = process.memoryUsage().heapUsed - before
  if (sum === 0) throw new Error('nothing was chosen')
  times.sort((a, b) => a - b)
  const medianMs = times[times.length >> 1]!
  return { ns: (medianMs * 1e6) / USERS, bytesPerCall: Math.max(0, grown) / (USERS * ROUNDS) }
}

const results = cases.map((c) => {
  const { ns, bytesPerCall } = measure(c)
  return { case: c.name, ns, boundNs: c.boundNs ?? null, bytesPerCall }
})
const isKept = results.every(({ ns, boundNs }) => boundNs === null || ns <= boundNs)

const out = (line: string): void => void process.stdout.write(`${line}\n`)
if (options.json) {
  out(JSON.stringify({ servers: servers.length, users: USERS, buildMs, results, isKept }))
} else {
  out(`1,000 caches, ${USERS.toLocaleString('en')} random users; median of ${ROUNDS} rounds`)
  out(`table built in ${(buildMs / 1000).toFixed(2)} s\n`)
  out('case                                   ns/choice   bound   bytes/choice')
  for (const { case: name, ns, boundNs, bytesPerCall } of results)
    out(
      name.padEnd(38) +
        ns.toFixed(0).padStart(10) +
        (boundNs === null ? '-' : String(boundNs)).padStart(8) +
        bytesPerCall.toFixed(2).padStart(15),
    )
  if (!isKept) out('\na bound is broken')
}
process.exitCode = isKept ? 0 : 1
