import t from 'tap'
import { ALL_CELLS, cpuBound, QUICK } from '../../../bench/router/cells.ts'
import type { CellResult, PeerResult } from '../../../bench/router/cell-result.ts'
import { median, medianRatio } from '../../../bench/router/median.ts'
import { cellTable, idleTable, verdictsOf, verdictTable } from '../../../bench/router/tables.ts'

const result = (peer: string, cpu: number[], p99Ms: number[]): PeerResult => ({
  peer,
  cpuUsPerPhoto: cpu,
  photosPerSecond: cpu.map((us) => 1e6 / us),
  busyShare: cpu.map(() => 0.99),
  saturatedP50Ms: cpu.map(() => 1.5),
  p50Ms: p99Ms.map((ms) => ms / 4),
  p99Ms,
  photos: 123_456,
})

function cellResult(name: string, peers: PeerResult[]): CellResult {
  const cell = ALL_CELLS.find((one) => one.name === name)
  if (cell === undefined) throw new Error(name)
  return { cell, peers, isRealtime: false, disturbedSlices: 0, latencyRate: 12_345 }
}

void t.test('the median of an even count is the mean of the two in the middle', (t) => {
  t.equal(median([4, 1, 3, 2]), 2.5)
  t.equal(median([3, 1, 2]), 2)
  t.ok(Number.isNaN(median([])))
  t.end()
})

void t.test(
  'pairs are divided one by one, so a slow minute that hits both changes nothing',
  (t) => {
    t.equal(medianRatio([10, 40, 10], [20, 80, 20]), 0.5)
    t.not(medianRatio([10, 40, 12], [20, 80, 20]), median([10, 40, 12]) / median([20, 80, 20]) + 1)
    t.end()
  },
)

void t.test('each cell has the bound that was promised for it', (t) => {
  const bounds = Object.fromEntries(ALL_CELLS.map((cell) => [cell.name, cpuBound(cell, 'nginx')]))
  t.strictSame(bounds, {
    'http-1k': 1.2,
    'http-16k': 1.2,
    'http-64k': 1,
    'http-128k': 1,
    'http-512k': 1,
    'https-1k': 1.3,
    'https-16k': 1.2,
    'https-64k': 1,
    'https-128k': 1,
    'https-512k': 1,
  })
  for (const cell of ALL_CELLS) {
    t.equal(cpuBound(cell, 'reply-from'), 0.4)
    t.equal(cpuBound(cell, 'HAProxy'), undefined)
  }
  t.equal(QUICK.length, 5)
  t.end()
})

void t.test('a ratio over its bound is not kept, a p99 neither', (t) => {
  const peers = [
    result('photoedge', [50, 50], [2.5, 2.5]),
    result('nginx', [40, 40], [2, 2]),
    result('HAProxy', [10, 10], []),
    result('reply-from', [200, 200], []),
  ]
  const verdicts = verdictsOf(cellResult('http-64k', peers), 'photoedge')
  t.strictSame(
    verdicts.map(({ what, ratio, isKept }) => [what, ratio, isKept]),
    [
      ['CPU/nginx', 1.25, false],
      ['CPU/HAProxy', 5, true],
      ['CPU/reply-from', 0.25, true],
      ['p99/nginx', 1.25, false],
    ],
  )
  t.strictSame(verdictsOf(cellResult('https-1k', peers), 'photoedge')[0]?.isKept, true)
  t.strictSame(verdictsOf(cellResult('https-1k', peers.slice(1)), 'photoedge'), [])
  t.end()
})

void t.test('a proxy of ours too slow to be measured at nginx half rate has failed', (t) => {
  const peers = [result('photoedge', [50], []), result('nginx', [20], [2])]
  const verdicts = verdictsOf(cellResult('http-1k', peers), 'photoedge')
  t.match(verdicts[1], { what: 'p99/nginx', ratio: Infinity, isKept: false })
  t.end()
})

void t.test('every table fits 80 columns', (t) => {
  const peers = [
    result('photoedge', [1234.5], [123.45]),
    result('before', [1234.5], [123.45]),
    result('nginx', [1234.5], [123.45]),
    result('HAProxy', [1234.5], [123.45]),
    result('reply-from', [1234.5], []),
  ]
  const cells = ALL_CELLS.map(({ name }) => cellResult(name, peers))
  const idle = [
    {
      ...{ peer: 'photoedge', isTls: true, connections: 4000, photos: 9000 },
      ...{ bytesPerConnection: 99_999, bytesSinceStart: 123_456 },
    },
  ]
  const text = [
    ...cells.map((cell) => cellTable(cell, 'photoedge')),
    verdictTable(cells.flatMap((cell) => verdictsOf(cell, 'photoedge'))),
    idleTable(idle, 'photoedge'),
  ].join('\n')
  for (const line of text.split('\n')) t.ok(line.length <= 80, `${line.length}: ${line}`)
  t.match(text, /≤ 80 KB NOT/)
  t.end()
})
