import type {
  CacheStatus,
  Changed,
  Event,
  Explanation,
  RouterStatus,
  Simulation,
} from '../admin/schemas.ts'
import { cut, figure, fold, span, textTable } from './text-table.ts'

/** `photoedge status`: what an operator looks at first. */
export function statusText(status: RouterStatus, nowMs: number, width: number): string[] {
  const ready = status.workers.filter(({ state }) => state === 'ready').length
  return [
    `${status.box} of ${status.edge}: ${status.state} for ${span(nowMs - status.sinceMs)}, generation ${status.generation}, ${ready} of ${status.workerCount} workers ready, ${status.workerRestarts} ${status.workerRestarts === 1 ? 'restart' : 'restarts'}`,
    `${figure(status.requestsPerSecond)} requests/s, ${figure(status.errorPct)} % errors, ${status.connections} connections, on ${status.listeners.map(({ name }) => name).join(' ')}`,
    '',
    ...cacheTable(status.caches, nowMs, width),
    ...(status.events.length === 0 ? [] : ['', ...eventLines(status.events.slice(0, 5), width)]),
  ].map((line) => cut(line, width))
}

/**
 * A line for each cache. Where its reason does not fit beside the figures, it is told below, of those
 * caches whose state needs one.
 */
function cacheTable(caches: readonly CacheStatus[], nowMs: number, width: number): string[] {
  const hasPools = new Set(caches.map(({ pool }) => pool)).size > 1
  const isWide = width >= WIDE
  const [head = '', ...lines] = textTable(
    [
      { title: 'CACHE' },
      { title: 'STATE' },
      { title: 'SINCE', align: 'right' },
      { title: 'WEIGHT', align: 'right' },
      { title: 'REQ/S', align: 'right' },
      { title: 'SHARE', align: 'right' },
      { title: 'ERRORS', align: 'right' },
      { title: 'FLAPS', align: 'right' },
      { title: 'LAST 10' },
      ...(isWide ? [{ title: 'REASON' }] : []),
    ],
    caches.map((cache) => [
      hasPools ? `${cache.pool}/${cache.name}` : cache.name,
      stateWords(cache),
      span(nowMs - cache.sinceMs),
      weightWords(cache),
      figure(cache.requestsPerSecond),
      `${figure(cache.sharePct)} %`,
      String(cache.errorCount),
      String(cache.outageCount),
      cache.results,
      ...(isWide ? [reasonWords(cache, nowMs)] : []),
    ]),
    width,
  )
  const below = (cache: CacheStatus): string[] =>
    isWide || isPlainlyUp(cache) ? [] : [`  ${reasonWords(cache, nowMs)}`]
  return [head, ...caches.flatMap((cache, row) => [lines[row] ?? '', ...below(cache)])]
}

const isPlainlyUp = ({ state, held, suspectIn, factor }: CacheStatus): boolean =>
  state === 'up' && held === 'no' && suspectIn.length === 0 && factor === 1

/** A terminal with room for a reason beside the figures. */
const WIDE = 110

function stateWords(cache: CacheStatus): string {
  if (cache.drained) return `${cache.state}, drained`
  if (cache.returning !== undefined) return `returning, ${cache.returning.sharePct} %`
  return cache.suspectIn.length > 0 ? `${cache.state}, suspect` : cache.state
}

function weightWords({ weight, configuredWeight, factor, state }: CacheStatus): string {
  const base = weight === configuredWeight ? `${weight}` : `${weight} (${configuredWeight})`
  return state === 'up' && factor < 1 ? `${base} x${Number(factor.toFixed(3))}` : base
}

function reasonWords({ reason, held, returning, suspectIn }: CacheStatus, nowMs: number): string {
  const notes = [
    reason,
    returning ? `all users back in ${span(returning.untilMs - nowMs)}: ${returning.reason}` : '',
    held === 'panic' ? 'kept up: the checks suspect themselves' : '',
    held === 'flapping' ? 'kept down: it flaps' : '',
    suspectIn.length > 0 ? `suspect in worker ${suspectIn.join(', ')}` : '',
  ]
  return notes.filter((note) => note !== '').join('; ')
}

function eventLines(events: readonly Event[], width: number): string[] {
  return events.map(({ atMs, event, subject, reason }) =>
    cut(`${new Date(atMs).toISOString().slice(0, 19)}Z ${event} ${subject}: ${reason}`, width),
  )
}

/** `photoedge explain URL`. */
export function explanationText(explained: Explanation, width: number): string[] {
  const facts: (readonly [string, string | undefined])[] = [
    ['url', explained.url],
    ['host', explained.host],
    ['path', explained.path],
    ['route', explained.route === undefined ? undefined : `number ${explained.route + 1}`],
    ['group', explained.group],
    ['pool', explained.pool],
    ['user', explained.user],
    ['slot', explained.slot === undefined ? undefined : String(explained.slot)],
    ['home by', explained.homeBy],
    ['fallback', explained.fallback],
  ]
  const more = explained.cacheCount - explained.caches.length
  const table = textTable(
    [
      { title: 'RANK', align: 'right' },
      { title: 'CACHE' },
      { title: 'WEIGHT', align: 'right' },
      { title: 'USABLE' },
      { title: 'STATE' },
    ],
    explained.caches.map(({ rank, name, weight, usable, reason }) => [
      String(rank),
      name,
      String(weight),
      usable ? 'yes' : 'no',
      reason,
    ]),
    width,
  )
  return [
    ...facts.flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(9)}${value}`])),
    ...(explained.caches.length === 0 ? [] : ['', ...table]),
    ...(more > 0 ? [`and ${more} more`] : []),
    '',
    `${explained.choice ?? explained.answer ?? 'nothing'}: ${explained.why}`,
  ]
}

/** `photoedge simulate`: users and load of each cache, before and after. */
export function simulationText(simulation: Simulation, width: number): string[] {
  return simulation.groups.flatMap((group) => [
    ...fold(
      `group ${group.group}, pool ${group.pool}, fallback ${group.fallback}: ${simulation.down.join(', ')} down, ${usersWords(simulation, group)}`,
      width,
    ),
    ...textTable(
      [
        { title: 'CACHE' },
        { title: 'WEIGHT', align: 'right' },
        { title: 'USERS', align: 'right' },
        { title: 'AFTER', align: 'right' },
        { title: 'REQ/S', align: 'right' },
        { title: 'AFTER', align: 'right' },
        { title: 'GROWTH', align: 'right' },
        { title: 'OF LOST', align: 'right' },
      ],
      group.caches.map((cache) => [
        cache.name,
        String(cache.weight),
        String(cache.usersBefore),
        cache.down ? 'down' : String(cache.usersAfter),
        rate(simulation, cache.requestsPerSecondBefore),
        rate(simulation, cache.requestsPerSecondAfter),
        cache.down ? '' : `${figure(cache.growthPct)} %`,
        cache.down ? '' : `${figure(cache.shareOfLostPct)} %`,
      ]),
      width,
    ),
    ...fold(summaryOf(group), width),
    '',
  ])
}

function usersWords({ userCount }: Simulation, { table }: Simulation['groups'][number]): string {
  if (table === undefined) return `${userCount} users`
  const { idCount, namedCount, hashedCount } = table
  return `${namedCount + hashedCount} users: ${namedCount} whom the table names (of its ${idCount} ids), ${hashedCount} beyond it by hash`
}

const rate = ({ rate: kind }: Simulation, value: number): string =>
  kind === 'none' ? '-' : figure(value)

function summaryOf(group: Simulation['groups'][number]): string {
  const worst = group.caches.find(({ name }) => name === group.worstSurvivor)
  const survivor =
    worst === undefined
      ? 'nobody takes over'
      : `worst survivor ${worst.name} with ${worst.shareOfLostPct.toFixed(2)} % of the lost users`
  const lost = group.usersLost > 0 ? `, ${group.usersLost} left without a cache` : ''
  return `${group.usersMoved} users move (${group.othersMoved} of them from caches that are up)${lost}; ${survivor}; max/mean ${group.maxToMean.toFixed(3)}`
}

/** What a command changed: a line for each cache. */
export function changedText({ caches, notKept, unserved }: Changed): string[] {
  const lines = caches.map((cache) => {
    const { configuredWeight: configured, weight } = cache
    const was = weight === configured ? '' : ` (configured: ${configured})`
    return `${cache.pool}/${cache.name}: ${stateWords(cache)}, weight ${weight}${was}`
  })
  for (const pool of unserved)
    lines.push(
      `Nothing serves the pool ${pool} now: its requests get 503 unless a backup takes them`,
    )
  if (notKept !== undefined) lines.push(`In force, but a restart of the router ends it: ${notKept}`)
  return lines
}

/** How wide lines may be: a terminal's width, 80 where it does not say, no limit for a file. */
export function outputWidth(stream: { isTTY?: boolean; columns?: number }): number {
  return stream.isTTY === true ? (stream.columns ?? 80) : Infinity
}
