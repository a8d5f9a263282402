import { parseArgs } from 'node:util'
import { ALL_CELLS, QUICK, type Cell } from './cells.ts'

export const PEERS = ['nginx', 'haproxy', 'reply-from'] as const
export type PeerName = (typeof PEERS)[number]

export interface BenchOptions {
  readonly cells: readonly Cell[]
  readonly peers: readonly PeerName[]
  readonly isOursIn: boolean
  /** Another copy of photoedge to measure beside this one. */
  readonly before: string | undefined
  readonly pairs: number
  readonly sliceMs: number
  readonly warmUpMs: number
  /** Of a proxy's first cell: V8 compiles what is hot only after a while. */
  readonly firstWarmUpMs: number
  /** All cells together; Infinity: as long as they take. */
  readonly budgetMs: number
  readonly latencySlices: number
  readonly latencySliceMs: number
  readonly idleConnections: number
  /** Size of the photo that each idle connection has fetched. */
  readonly idlePhotoKb: number
  readonly connections: number
  readonly isProfiling: boolean
  readonly isJson: boolean
  readonly cores: { readonly proxy: number; readonly load: number }
}

export const HELP = `npm run bench:router -- [options]
Measures our photo router beside nginx, HAProxy and @fastify/reply-from.

  --quick             five cells, nginx only, in under 60 s
  --cell NAME,...     only these cells: http-1k ... https-512k; idle connections only if asked
  --peers NAME,...    nginx, haproxy, reply-from (default: all; --quick and --cell: nginx)
  --no-ours           the peers alone
  --before DIR        another copy of photoedge as one more peer
  --pairs N           slices per proxy and cell (default 8)
  --slice MS          length of a saturated slice (default 2500)
  --latency N         slices per proxy for p50/p99 (default 10, 0: none; --cell: 0)
  --latency-slice MS  their length (default 3000)
  --idle N            idle client connections (default 4000; 0: none)
  --idle-photo KB     size of the photo each has fetched (default 128)
  --connections N     client connections (default 64)
  --profile           a CPU profile of our worker in each cell
  --proxy-core N      core of the proxy under test (default 0)
  --load-core N       core of the caches and the load (default 1)
  --json              the report as JSON
`

/** Reads the command line; throws an Error that names the wrong option. */
export function parseOptions(args: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      cell: { type: 'string', multiple: true },
      peers: { type: 'string', multiple: true },
      'no-ours': { type: 'boolean', default: false },
      before: { type: 'string' },
      pairs: { type: 'string' },
      slice: { type: 'string' },
      latency: { type: 'string' },
      'latency-slice': { type: 'string' },
      idle: { type: 'string' },
      'idle-photo': { type: 'string', default: '128' },
      connections: { type: 'string', default: '64' },
      profile: { type: 'boolean', default: false },
      'proxy-core': { type: 'string', default: '0' },
      'load-core': { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const isQuick = values.quick
  const isChosen = values.cell !== undefined || values.idle !== undefined
  const isShort = isQuick || isChosen
  const count = (name: keyof typeof values, fallback: number): number => {
    const text = values[name]
    if (text === undefined) return fallback
    const value = Number(text)
    if (Number.isInteger(value) && value >= 0) return value
    throw new Error(`--${name} takes a whole number, not "${String(text)}"`)
  }
  const pick = <T>(option: string, lists: string[], known: ReadonlyMap<string, T>): T[] =>
    lists
      .flatMap((list) => list.split(','))
      .filter((name) => name !== '' && name !== 'none')
      .map((name) => {
        const value = known.get(name)
        if (value !== undefined) return value
        throw new Error(`--${option} "${name}" is none of ${[...known.keys()].join(', ')}`)
      })
  const cellsByName = new Map(ALL_CELLS.map((cell) => [cell.name, cell]))
  const peersByName = new Map(PEERS.map((name) => [name as string, name]))
  const chosen = pick('cell', values.cell ?? [], cellsByName)
  const cells = isQuick && chosen.length === 0 ? QUICK : isChosen ? chosen : ALL_CELLS
  return {
    cells,
    peers: values.peers ? pick('peers', values.peers, peersByName) : isShort ? ['nginx'] : PEERS,
    isOursIn: !values['no-ours'],
    before: values.before,
    pairs: count('pairs', isQuick ? 4 : 8),
    sliceMs: count('slice', isQuick ? 600 : isChosen ? 1000 : 2500),
    warmUpMs: isQuick ? 300 : 1000,
    firstWarmUpMs: isQuick ? 2000 : 3000,
    budgetMs: isQuick ? 48_000 : Infinity,
    latencySlices: count('latency', isQuick ? 2 : isChosen ? 0 : 10),
    latencySliceMs: count('latency-slice', isQuick ? 500 : 3000),
    idleConnections: count('idle', isShort ? 0 : 4000),
    idlePhotoKb: count('idle-photo', 128),
    connections: count('connections', 64),
    isProfiling: values.profile,
    isJson: values.json,
    cores: { proxy: count('proxy-core', 0), load: count('load-core', 1) },
  }
}
