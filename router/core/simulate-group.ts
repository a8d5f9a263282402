import type { GroupConfig, Pool } from '../../common/config/config.ts'
import { returnShare } from './returns.ts'
import type { ShardMap } from './shard-map.ts'
import { simulate } from './simulate.ts'
import type { StandingOf } from './standing.ts'

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
  /** Requests per second: of each cache as measured, or of all, spread by users. */
  readonly rate: ((server: string) => number) | number
}

export interface SimulatedGroup {
  readonly group: string
  readonly pool: string
  readonly fallback: string
  readonly caches: SimulatedCache[]
  readonly usersMoved: number
  readonly othersMoved: number
  readonly usersLost: number
  readonly worstSurvivor?: string
  readonly maxToMean: number
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
  const { group, pool, userCount, rate } = outage
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
  const users = (share: number): number => Math.round(share * userCount)
  const caches = pool.servers.map(({ name }, server): SimulatedCache => {
    const before = found.usersBefore[server]!
    const after = found.usersAfter[server]!
    return {
      name,
      weight: weights[server]!,
      down: down.has(server),
      usersBefore: users(before),
      usersAfter: users(after),
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
    caches,
    usersMoved: users(found.moved),
    othersMoved: users(found.othersMoved),
    usersLost: users(found.unserved),
    ...(worst !== undefined && { worstSurvivor: worst.name }),
    maxToMean: found.maxToMean,
  }
}
