import type { GroupConfig, Pool } from '../../common/config/config.ts'
import { returnShare } from './returns.ts'
import type { ShardMap } from './shard-map.ts'
import { simulate } from './simulate.ts'
import type { StandingOf } from './standing.ts'
import { wholeUsers } from './whole-users.ts'

/** One group to be simulated; nothing of the running router is touched. */
export interface GroupOutage {
  readonly group: GroupConfig
  readonly pool: Pool
  /** As it is now, before the caches go down. */
  readonly standing: StandingOf
  readonly shards: ShardMap | undefined
  /** Of the pool's servers with the weights in use. */
  readonly table: Uint16Array
  readonly isGoingDown: (server: string) => boolean
  readonly userCount: number
  /** Of them, users whom a shard table does not name; undefined: those beyond its count of ids. */
  readonly hashedCount: number | undefined
  /** Requests per second: of each cache as measured, or of all, spread by users. */
  readonly rate: ((server: string) => number) | number
}

export interface SimulatedGroup {
  readonly group: string
  readonly pool: string
  readonly fallback: string
  /** Where the homes are a shard table's: whom it names. */
  readonly table?: NamedUsers
  readonly caches: SimulatedCache[]
  readonly usersMoved: number
  readonly othersMoved: number
  readonly usersLost: number
  readonly worstSurvivor?: string
  readonly maxToMean: number
}

export interface NamedUsers {
  /** How many ids the table names. */
  readonly idCount: number
  /** How many of them are taken to be users. */
  readonly namedCount: number
  /** Users beyond the table. */
  readonly hashedCount: number
}

export interface SimulatedCache {
  readonly name: string
  readonly weight: number
  readonly down: boolean
  readonly usersBefore: number
  readonly usersAfter: number
  readonly requestsPerSecondBefore: number
  readonly requestsPerSecondAfter: number
  readonly shareOfLostPct: number
  readonly growthPct: number
}

/** An outage of some of a group's caches in whole users and requests, as operators are shown it. */
export function simulateGroup(outage: GroupOutage): SimulatedGroup {
  const { group, pool, rate } = outage
  const named = namedUsers(outage)
  const userCount = named ? named.namedCount + named.hashedCount : outage.userCount
  const standings = pool.servers.map(({ name }) => outage.standing(pool.name, name))
  const weights = standings.map(({ weight }) => weight)
  const backup = pool.servers.findIndex(({ name }) => name === group.backup)
  const placement = {
    servers: pool.servers,
    shards: outage.shards,
    fallback: group.fallback,
    backup: backup < 0 ? undefined : backup,
    weights,
    table: outage.table,
    namedShare: named && named.namedCount / userCount,
    factors: standings.map(({ state, factor, returningMs, isDrained }) =>
      state === 'up' && !isDrained ? factor * returnShare(group.rampUpMs, returningMs) : 0,
    ),
  }
  const down = new Set(
    pool.servers.flatMap(({ name }, server) => (outage.isGoingDown(name) ? [server] : [])),
  )
  const isMeasured = typeof rate !== 'number'
  const found = simulate(
    placement,
    down,
    pool.servers.map(({ name }) => (isMeasured ? rate(name) : 0)),
  )
  const users = wholeUsers(found, down, userCount)
  const caches = pool.servers.map(({ name }, server): SimulatedCache => {
    const before = found.usersBefore[server]!
    const after = found.usersAfter[server]!
    return {
      name,
      weight: weights[server]!,
      down: down.has(server),
      usersBefore: users.before[server]!,
      usersAfter: users.after[server]!,
      requestsPerSecondBefore: isMeasured ? found.rateBefore[server]! : rate * before,
      requestsPerSecondAfter: isMeasured ? found.rateAfter[server]! : rate * after,
      shareOfLostPct: 100 * found.shareOfLost[server]!,
      growthPct: before > 0 ? 100 * (after / before - 1) : 0,
    }
  })
  const worst = pool.servers[found.worstSurvivor]
  return {
    group: group.name,
    pool: pool.name,
    fallback: group.fallback,
    ...(named && { table: named }),
    caches,
    usersMoved: users.moved,
    othersMoved: users.othersMoved,
    usersLost: users.unserved,
    ...(worst !== undefined && { worstSurvivor: worst.name }),
    maxToMean: found.maxToMean,
  }
}

/** No more users have an explicit home than the table has ids. */
function namedUsers({ shards, userCount, hashedCount }: GroupOutage): NamedUsers | undefined {
  const idCount = shards?.named()?.count
  if (idCount === undefined) return undefined
  const hashed = Math.min(userCount, hashedCount ?? Math.max(0, userCount - idCount))
  return { idCount, namedCount: Math.min(userCount - hashed, idCount), hashedCount: hashed }
}
