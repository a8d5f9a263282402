import t from 'tap'
import { CacheChooser } from '../../../router/core/cache-chooser.ts'
import type { CacheChooserOptions } from '../../../router/core/cache-chooser.ts'
import { explainChoice } from '../../../router/core/explain.ts'
import type { ServerStanding } from '../../../router/core/explain.ts'
import { moduloShardMap } from '../../../router/core/shard-map.ts'

const user = { bytes: new TextEncoder().encode('12345 and more'), length: 5 }
const up = (name: string): ServerStanding => ({
  name,
  weight: 1,
  factor: 1,
  share: 1,
  isDrained: false,
  suspectIn: [],
  verdict: 'up',
})
const fleet = ['cache-0', 'cache-1', 'cache-2', 'cache-3'].map(up)

/** The explanation of user 12345's choice, where the servers stand so. */
function explain(
  standings: readonly ServerStanding[],
  options: Partial<CacheChooserOptions> = {},
  workers = { ready: [1], count: 1 },
): ReturnType<typeof explainChoice> {
  const servers = standings.map(({ name }) => ({ name, weight: 1 }))
  const chooser = new CacheChooser({ servers, fallback: 'spread', ...options })
  chooser.setWeights(
    standings.map(({ weight }) => weight),
    undefined,
  )
  standings.forEach(({ factor, share, isDrained }, i) => {
    chooser.setFactor(i, factor)
    chooser.setShare(i, share)
    chooser.setDrained(i, isDrained)
  })
  return explainChoice(chooser, standings, user, workers)
}

const order = explain(fleet).servers.map(({ name }) => name)
const home = order[0]!
const change = (name: string, standing: Partial<ServerStanding>): ServerStanding[] =>
  fleet.map((server) => (server.name === name ? { ...server, ...standing } : server))

void t.test('a user whose home is up', (t) => {
  const { choice, why, servers, slot, isExplicitHome } = explain(fleet)
  t.equal(choice, home)
  t.equal(why, `The user's home ${home} is usable: up`)
  t.strictSame(
    servers.map(({ rank }) => rank),
    [0, 1, 2, 3],
  )
  t.ok(servers.every(({ usable, reason }) => usable && reason === 'up'))
  t.equal(slot, 20_116)
  t.equal(isExplicitHome, false)
  t.end()
})

const absent: [string, Partial<ServerStanding>, string][] = [
  ['down', { factor: 0, verdict: 'down: connect refused' }, 'down: connect refused'],
  ['drained', { isDrained: true }, 'drained'],
  ['up at a told weight of 0', { factor: 0 }, 'up, but its checks tell a weight of 0'],
  [
    'at a share that leaves the slot out',
    { factor: 1e-9, verdict: 'up: 1 of 8 mounts' },
    'up: 1 of 8 mounts, but not for this slot: it takes 0 % of its slots',
  ],
]
for (const [name, standing, reason] of absent) {
  void t.test(`a user whose home is ${name}`, (t) => {
    const { choice, why, servers } = explain(change(home, standing))
    t.equal(choice, order[1])
    t.equal(
      why,
      `The user's home ${home} is not usable (${reason}); ${order[1]!} is the first usable one in the user's list, at rank 1`,
    )
    t.match(servers[0], { name: home, usable: false, reason })
    t.end()
  })
}

void t.test('a user whose home takes its users back in steps', (t) => {
  const away = explain(change(home, { share: 1e-9 }))
  t.equal(away.choice, order[1])
  t.match(away.servers[0], {
    usable: false,
    reason: "up, returning: 0 % of its users are back, this one's slot is not back yet",
  })
  const back = explain(change(home, { share: 1 - 1e-9, factor: 0.9999 }))
  t.equal(back.choice, home)
  t.equal(
    back.why,
    `The user's home ${home} is usable: up, returning: 100 % of its users are back, this one too`,
  )
  const alone = fleet.map((server) =>
    server.name === home ? { ...server, share: 1e-9 } : { ...server, factor: 0, verdict: 'down' },
  )
  t.match(explain(alone), { choice: home, why: /; it serves all the same, as no other is$/ })
  const tight = fleet.map((server) =>
    server.name === home ? { ...server, factor: 0, verdict: 'down' } : { ...server, factor: 1e-9 },
  )
  const why = new RegExp(
    `, and neither is any other; ${order[1]!} serves all the same, as it is up$`,
  )
  t.match(explain(tight), { choice: order[1], why })
  t.end()
})

const four = { ready: [1, 2, 3, 4], count: 4 }
/** The fleet where these caches are suspect in these workers. */
const suspect = (places: Record<number, readonly number[]>): ServerStanding[] =>
  fleet.map((server) => ({
    ...server,
    suspectIn: places[order.indexOf(server.name)] ?? [],
    verdict: order.indexOf(server.name) in places ? 'up, suspect' : 'up',
  }))

void t.test('what all workers suspect is passed by, as they do', (t) => {
  const one = explain(suspect({ 0: [1] }))
  t.equal(one.choice, order[1])
  t.equal(
    one.why,
    `The user's home ${home} is passed by (up, suspect); ${order[1]!} is the first usable one in the user's list, at rank 1`,
  )
  t.match(one.servers[0], { usable: false, reason: 'up, suspect' })
  const both = explain(suspect({ 0: [1, 2, 3, 4], 1: [1, 2, 3, 4, 5] }), {}, four)
  t.equal(both.choice, order[2])
  const all = explain(suspect({ 0: [1], 1: [1], 2: [1], 3: [1] }))
  t.equal(all.choice, home)
  t.match(all.why, /but it is asked all the same, as nobody better is left$/)
  const tight = suspect({ 0: [1] }).map((server) =>
    server.name === home ? server : { ...server, factor: 1e-9 },
  )
  t.match(explain(tight), {
    choice: order[1],
    why: new RegExp(`; no other is usable, and ${order[1]!} serves all the same, as it is up$`),
  })
  const alone = suspect({ 1: [1], 2: [1], 3: [1] }).map((server) =>
    server.name === home ? { ...server, factor: 0, verdict: 'down' } : server,
  )
  t.match(explain(alone), { choice: order[1], why: /, and neither is any other; .* as it is up$/ })
  t.end()
})

void t.test('where only some workers suspect the home, it is told whither they go', (t) => {
  const usable = `The user's home ${home} is usable: up, suspect; in`
  const where = `as ${home} is suspect there`
  const one = explain(suspect({ 0: [2] }), {}, four)
  t.equal(one.choice, home)
  t.equal(one.why, `${usable} worker 2 of 4 requests go to ${order[1]!}, ${where}`)
  t.match(one.servers[0], { usable: true })
  const more = explain(suspect({ 0: [2, 3, 4], 1: [3] }), {}, four)
  t.equal(
    more.why,
    `${usable} workers 2, 4 of 4 requests go to ${order[1]!}, ${where}; in worker 3 of 4 requests go to ${order[2]!}, ${where}`,
  )
  const none = explain(suspect({ 0: [2] }), {}, { ready: [], count: 4 })
  t.equal(none.why, `The user's home ${home} is usable: up, suspect`)
  const scatter = explain(suspect({ 0: [2] }), { fallback: 'scatter' }, four)
  t.equal(scatter.why, `${usable} worker 2 of 4 requests go to the others in turn, ${where}`)
  const turns = explain(suspect({ 0: [1], 1: [1] }), { fallback: 'scatter' })
  t.not(turns.choice, home)
  t.match(turns.why, /has its turn; the next request may go elsewhere$/)
  t.end()
})

void t.test('an explicit home stays first in the list, whatever its weight', (t) => {
  const shards = moduloShardMap(4)
  t.match(explain(fleet, { shards }), { choice: 'cache-1', isExplicitHome: true })
  const quiesced = explain(change('cache-1', { weight: 0 }), { shards })
  t.match(quiesced.servers[0], {
    name: 'cache-1',
    usable: false,
    reason: 'its weight is 0: it gets no new requests',
  })
  const lowered = explain(change('cache-1', { weight: 1e-9 }), { shards })
  t.match(lowered.servers[0], { reason: 'up, but its lowered weight leaves this slot out' })
  t.end()
})

void t.test('scatter and backup say how they stand in', (t) => {
  const standings = change(home, { factor: 0, verdict: 'down' })
  const backup = fleet.findIndex(({ name }) => name !== home)
  const lead = `The user's home ${home} is not usable (down)`
  const one = explain(standings, { fallback: 'backup', backup })
  t.equal(one.why, `${lead}; ${fleet[backup]!.name} is the backup`)
  const turn = explain(standings, { fallback: 'scatter' })
  t.equal(turn.why, `${lead}; ${turn.choice!} has its turn; the next request may go elsewhere`)
  const none = fleet.map((server) => ({ ...server, factor: 0, verdict: 'down' }))
  t.equal(explain(none, { fallback: 'backup', backup }).why, `${lead}, and neither is the backup`)
  t.match(explain(none), { choice: undefined, why: `${lead}, and neither is any other` })
  t.end()
})

void t.test('no weights, no list', (t) => {
  const none = fleet.map((server) => ({ ...server, weight: 0 }))
  t.match(explain(none), { choice: undefined, servers: [], why: 'No server has a weight' })
  t.end()
})
