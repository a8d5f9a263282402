import type { Choose, Scheme } from './schemes.ts'

/** What an outage does under one scheme and one set of names. */
export interface Outage {
  /** Users of one cache, at most, to the mean, while all are up. */
  readonly maxToMeanAllUp: number
  /** One down: caches that got some of its users, and the largest share that one of them got. */
  readonly receivers: number
  readonly worstShareOfLost: number
  /** One down: users of other caches that moved all the same. */
  readonly othersMoved: number
  /** One down: users that two requests in a row take to two caches. */
  readonly scattered: number
  /** Five down: users of one survivor, at most, to the survivors' mean. */
  readonly maxToMeanFiveDown: number
  readonly othersMovedFiveDown: number
}

/** Measures a scheme on one set of names; the caches that go are the first one, or the first five. */
export function measure(scheme: Scheme, names: readonly string[], userCount: number): Outage {
  const one = new Set([0])
  const five = new Set([0, 1, 2, 3, 4])
  const up = assign(scheme.choose(names, new Set()), userCount)
  const choose = scheme.choose(names, one)
  const oneDown = new Uint16Array(userCount)
  let scattered = 0
  for (let user = 0; user < userCount; user++) {
    oneDown[user] = choose(user)
    if (choose(user) !== oneDown[user]) scattered++
  }
  const fiveDown = assign(scheme.choose(names, five), userCount)
  const gained = new Uint32Array(names.length)
  let lost = 0
  up.forEach((server, user) => {
    if (server !== 0) return
    lost++
    gained[oneDown[user]!]! += 1
  })
  return {
    maxToMeanAllUp: maxToMean(up, names.length, new Set()),
    receivers: gained.filter((count) => count > 0).length,
    worstShareOfLost: Math.max(...gained) / lost,
    othersMoved: othersMoved(up, oneDown, one),
    scattered,
    maxToMeanFiveDown: maxToMean(fiveDown, names.length, five),
    othersMovedFiveDown: othersMoved(up, fiveDown, five),
  }
}

function assign(choose: Choose, userCount: number): Uint16Array {
  const assigned = new Uint16Array(userCount)
  for (let user = 0; user < userCount; user++) assigned[user] = choose(user)
  return assigned
}

function othersMoved(before: Uint16Array, after: Uint16Array, down: ReadonlySet<number>): number {
  let count = 0
  before.forEach((server, user) => {
    if (server !== after[user] && !down.has(server)) count++
  })
  return count
}

function maxToMean(assigned: Uint16Array, caches: number, down: ReadonlySet<number>): number {
  const counts = new Uint32Array(caches)
  for (const server of assigned) counts[server]! += 1
  return (Math.max(...counts) * (caches - down.size)) / assigned.length
}
