import t from 'tap'
import type { Explanation, Simulation } from '../../admin/schemas.ts'
import {
  changedText,
  explanationText,
  outputWidth,
  simulationText,
  statusText,
} from '../../bin/router-text.ts'
import { cut, figure, fold, span } from '../../bin/text-table.ts'
import { sampleCache, sampleStatus } from '../admin/sample.ts'

void t.test('status fits eighty columns and says the most important first', (t) => {
  const lines = statusText(sampleStatus, 3_601_000, 80)
  t.strictSame(lines, [
    'router-1 of lab: running for 1h0m, generation 3, 1 of 1 workers ready, 0 restar…',
    '25 requests/s, 0.1 % errors, 9 connections, on 0.0.0.0:80',
    '',
    'CACHE    STATE          SINCE  WEIGHT  REQ/S  SHARE  ERRORS  FLAPS  LAST 10',
    'cache-1  up              1h0m       1     13   50 %       3      0  ++++++++++',
    'cache-2  down, suspect   1h0m   4 (2)     13   50 %       3      2  ++++-s+---',
    '  connect refused, and a long story about why that may have been so at that tim…',
    '',
    '1970-01-01T00:00:05Z cache down caches/cache-2: connect refused',
  ])
  t.end()
})

void t.test('a wide terminal has the reasons beside the figures', (t) => {
  const lines = statusText(sampleStatus, 3_601_000, 110)
  t.strictSame(lines.slice(3, 6), [
    'CACHE    STATE          SINCE  WEIGHT  REQ/S  SHARE  ERRORS  FLAPS  LAST 10     REASON',
    'cache-1  up              1h0m       1     13   50 %       3      0  ++++++++++  status 200',
    'cache-2  down, suspect   1h0m   4 (2)     13   50 %       3      2  ++++-s+---  connect refused, and a long s…',
  ])
  t.end()
})

void t.test('in a file nothing is cut, and several pools are told apart', (t) => {
  const status = {
    ...sampleStatus,
    caches: [sampleCache, { ...sampleStatus.caches[1]!, pool: 'avatars' }],
  }
  const text = statusText(status, 0, Infinity).join('\n')
  t.match(text, /^avatars\/cache-2 .* at that time; kept down: it flaps; suspect in worker 1$/m)
  t.match(text, /^caches\/cache-1 /m)
  t.end()
})

void t.test('workers that are dead are missed in the count', (t) => {
  const [line] = statusText({ ...sampleStatus, workerCount: 2, workers: [] }, 0, Infinity)
  t.match(line, / 0 of 2 workers ready, 0 restarts$/)
  const [one] = statusText({ ...sampleStatus, workerRestarts: 1 }, 0, Infinity)
  t.match(one, / ready, 1 restart$/)
  t.end()
})

void t.test('a cache that takes its users back in steps says how far it is, and why', (t) => {
  const returning = { sharePct: 40, untilMs: 36_000, reason: 'no check tells' }
  const cache = { ...sampleCache, factor: 0.4, returning }
  const lines = statusText({ ...sampleStatus, caches: [cache], events: [] }, 0, Infinity)
  t.match(lines.at(-1), /^cache-1 {2}returning, 40 % {5}0s +1 x0\.4 /)
  t.match(lines.at(-1), /status 200; all users back in 36s: no check tells$/)
  t.end()
})

void t.test('seven of eight mounts are told as they are', (t) => {
  const lines = statusText({ ...sampleStatus, caches: [{ ...sampleCache, factor: 0.875 }] }, 0, 80)
  t.match(lines.join('\n'), / 1 x0\.875 /)
  t.end()
})

void t.test('a drained cache, and one with another weight, say so', (t) => {
  t.strictSame(
    changedText({
      caches: [
        { ...sampleCache, drained: true },
        { ...sampleCache, factor: 0.5, weight: 3 },
      ],
      unserved: [],
    }),
    ['caches/cache-1: up, drained, weight 1', 'caches/cache-1: up, weight 3 (configured: 1)'],
  )
  t.strictSame(changedText({ caches: [], notKept: 'ENOSPC', unserved: ['caches'] }), [
    'Nothing serves the pool caches now: its requests get 503 unless a backup takes them',
    'In force, but a restart of the router ends it: ENOSPC',
  ])
  t.end()
})

void t.test('an explanation ends with the choice and why', (t) => {
  const explained: Explanation = {
    url: '/u/7/a.jpg',
    host: 'x',
    path: '/u/7/a.jpg',
    route: 0,
    group: 'photos',
    pool: 'caches',
    user: '7',
    slot: 12,
    homeBy: 'hash',
    fallback: 'spread',
    caches: [
      { rank: 0, name: 'c1', weight: 1, factor: 0, usable: false, reason: 'down: refused' },
      { rank: 1, name: 'c2', weight: 1, factor: 1, usable: true, reason: 'up' },
    ],
    cacheCount: 40,
    choice: 'c2',
    why: 'c1 is down',
  }
  t.strictSame(explanationText(explained, 80).slice(-6), [
    'RANK  CACHE  WEIGHT  USABLE  STATE',
    '   0  c1          1  no      down: refused',
    '   1  c2          1  yes     up',
    'and 38 more',
    '',
    'c2: c1 is down',
  ])
  const lost = { url: '/', host: 'x', path: '/', caches: [], cacheCount: 0, answer: '404' }
  t.equal(explanationText({ ...lost, why: 'No route matches' }, 80).at(-1), '404: No route matches')
  t.end()
})

void t.test('a simulation shows users and load, and the worst survivor in words', (t) => {
  const simulation: Simulation = {
    down: ['caches/c1'],
    rate: 'none',
    userCount: 100,
    groups: [
      {
        group: 'photos',
        pool: 'caches',
        fallback: 'spread',
        caches: [
          {
            name: 'c1',
            weight: 1,
            down: true,
            usersBefore: 50,
            usersAfter: 0,
            requestsPerSecondBefore: 0,
            requestsPerSecondAfter: 0,
            shareOfLostPct: 0,
            growthPct: -100,
          },
          {
            name: 'c2',
            weight: 1,
            down: false,
            usersBefore: 50,
            usersAfter: 100,
            requestsPerSecondBefore: 0,
            requestsPerSecondAfter: 0,
            shareOfLostPct: 100,
            growthPct: 100,
          },
        ],
        usersMoved: 50,
        othersMoved: 0,
        usersLost: 0,
        worstSurvivor: 'c2',
        maxToMean: 1,
      },
    ],
  }
  t.strictSame(simulationText(simulation, 80), [
    'group photos, pool caches, fallback spread: caches/c1 down, 100 users',
    'CACHE  WEIGHT  USERS  AFTER  REQ/S  AFTER  GROWTH  OF LOST',
    'c1          1     50   down      -      -',
    'c2          1     50    100      -      -   100 %    100 %',
    '50 users move (0 of them from caches that are up); worst survivor c2 with 100.00',
    '  % of the lost users; max/mean 1.000',
    '',
  ])
  const many = { ...simulation, down: ['caches/c1', 'caches/cache-of-a-long-name', 'caches/c3'] }
  t.strictSame(simulationText(many, 80).slice(0, 2), [
    'group photos, pool caches, fallback spread: caches/c1,',
    '  caches/cache-of-a-long-name, caches/c3 down, 100 users',
  ])
  const piped = simulationText(many, Infinity)
  t.equal(
    piped[0],
    'group photos, pool caches, fallback spread: caches/c1, caches/cache-of-a-long-name, caches/c3 down, 100 users',
  )
  t.match(piped.at(-2), /^50 users move .* max\/mean 1\.000$/)
  t.end()
})

void t.test('numbers and spans are short', (t) => {
  t.strictSame([0, 0.04, 0.44, 9.96, 12.4, 1234.5].map(figure), [
    '0',
    '0',
    '0.4',
    '10',
    '12',
    '1235',
  ])
  t.strictSame([-1, 999, 59_000, 60_000, 3_599_000, 3_600_000, 90_000_000].map(span), [
    '0s',
    '0s',
    '59s',
    '1m0s',
    '59m59s',
    '1h0m',
    '1d1h',
  ])
  t.equal(cut('abcdef', 4), 'abc…')
  t.equal(cut('abcd', 4), 'abcd')
  t.strictSame(fold('ab cd efghijk l', 5), ['ab cd', '  efghijk', '  l'])
  t.equal(outputWidth({ isTTY: true, columns: 120 }), 120)
  t.equal(outputWidth({ isTTY: true }), 80)
  t.equal(outputWidth({}), Infinity)
  t.end()
})
