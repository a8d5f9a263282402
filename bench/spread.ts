/**
 * How evenly a dead cache's users spread: 1,000,000 users, 100 caches, ten sets of cache names; our
 * scheme beside the field's. `npm run bench:spread` (`-- --json`); exits with 1 if a bound that
 * holds for ours is broken for any set of names.
 */
import { parseArgs } from 'node:util'
import { measure } from './spread/measure.ts'
import type { Outage } from './spread/measure.ts'
import { schemesFor } from './spread/schemes.ts'

const USERS = 1_000_000
const CACHES = 100
const BOUNDS = { worstShareOfLost: 0.02, maxToMeanFiveDown: 1.1 }

const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } })

/** Ten ways in which operators name a hundred caches. */
const NAMINGS: ((i: number) => string)[] = [
  (i) => `cache-${i + 1}`,
  (i) => `cache${String(i).padStart(3, '0')}`,
  (i) => `c${i}`,
  (i) => `photo-cache-${i + 1}.example.com`,
  (i) => `10.0.${i >> 5}.${(i & 31) + 1}`,
  (i) => `rack${1 + Math.floor(i / 10)}-node${i % 10}`,
  (i) => `${String.fromCharCode(97 + (i % 26))}${Math.floor(i / 26)}`,
  (i) => `edge-eu-west-1-cache-${1000 + i * 7}`,
  (i) => `pc${String(i * i + 3)}`,
  (i) => `北-${i}`,
]

const encoder = new TextEncoder()
const users = Array.from({ length: USERS }, (_, id) => encoder.encode(String(id + 1)))

const schemes = schemesFor(users)

interface Result {
  readonly scheme: string
  readonly sets: Outage[]
}

const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  else if (text !== '') process.stderr.write(`${text}\n`)
}

const startedAt = performance.now()
const results: Result[] = schemes.map(({ name }) => ({ scheme: name, sets: [] }))
NAMINGS.forEach((nameOf, set) => {
  const names = Array.from({ length: CACHES }, (_, i) => nameOf(i))
  progress(`names ${set + 1} of ${NAMINGS.length}: ${names[0]!} to ${names.at(-1)!}`)
  schemes.forEach((scheme, at) => {
    results[at]!.sets.push(measure(scheme, names, USERS))
  })
})
progress('')

const [ours] = results
const broken = ours!.sets.flatMap((set, i) => {
  const faults: string[] = []
  if (set.worstShareOfLost > BOUNDS.worstShareOfLost)
    faults.push(`the worst survivor gets ${(set.worstShareOfLost * 100).toFixed(2)} % of the lost`)
  if (set.othersMoved + set.othersMovedFiveDown > 0) faults.push('others move')
  if (set.scattered > 0) faults.push(`${set.scattered} users are on two caches`)
  if (set.maxToMeanFiveDown > BOUNDS.maxToMeanFiveDown)
    faults.push(`five down, max/mean is ${set.maxToMeanFiveDown.toFixed(3)}`)
  return faults.map((fault) => `names like ${NAMINGS[i]!(0)}: ${fault}`)
})

const out = (line: string): void => void process.stdout.write(`${line}\n`)
const over = (sets: readonly Outage[], of: (set: Outage) => number): [number, number] => {
  const values = sets.map(of).sort((a, b) => a - b)
  return [values[values.length >> 1]!, values.at(-1)!]
}

const WIDTHS = [19, 9, 6, 9, 8, 8, 8, 7, 6]
const row = (cells: readonly string[]): string =>
  cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!))).join('')

function rowOf({ scheme, sets }: Result): string {
  const [shareMedian, shareWorst] = over(sets, (set) => set.worstShareOfLost * 100)
  const [fiveMedian, fiveWorst] = over(sets, (set) => set.maxToMeanFiveDown)
  return row([
    scheme,
    over(sets, (set) => set.maxToMeanAllUp)[0].toFixed(3),
    String(over(sets, (set) => set.receivers)[0]),
    shareMedian.toFixed(2),
    shareWorst.toFixed(2),
    String(over(sets, (set) => set.othersMoved)[1]),
    String(over(sets, (set) => set.scattered)[1]),
    fiveMedian.toFixed(3),
    fiveWorst.toFixed(3),
  ])
}

if (options.json) {
  out(JSON.stringify({ users: USERS, caches: CACHES, bounds: BOUNDS, results, broken }))
} else {
  out(`${USERS.toLocaleString('en')} users, ${CACHES} caches, ${NAMINGS.length} sets of names`)
  out('')
  out(row(['', 'all up', 'one', 'down', '', '', '', 'five', 'down']))
  out(row(['', 'max/mean', 'to n', 'share %', 'worst', 'others', 'on two', 'max', 'worst']))
  for (const result of results) out(rowOf(result))
  out('')
  out('Medians over the sets of names; "worst" is the worst set of the column before it.')
  out('to n: so many caches get some of the lost users; share: what the one that gets')
  out('most of them gets (ideal 1.01); others: users who move though their cache is up;')
  out('on two: users whose second request goes to another cache than the first.')
  out('Bounds (photoedge spread, each set): share 2.00, others 0, on two 0, 5 down 1.100')
  for (const fault of broken) out(`BROKEN ${fault}`)
  const seconds = (performance.now() - startedAt) / 1000
  out('')
  out(`${broken.length === 0 ? 'all bounds hold' : 'a bound is broken'}; ${seconds.toFixed(0)} s`)
}
process.exitCode = broken.length === 0 ? 0 : 1
