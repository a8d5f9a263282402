import type { CheckConfig, Pool, PoolServer } from '../../common/config/config.ts'

/** What one probe asks: one check of one address, however many pools share it. */
export interface ProbeTarget {
  /** Names the probe: equal keys are one probe. */
  readonly key: string
  readonly check: CheckConfig
  readonly address: string
  /** undefined: neither the check nor the server names one (a script may need none). */
  readonly port: number | undefined
  /** Name of the first server that wants it, for messages. */
  readonly server: string
}

export type Checks = Readonly<Record<string, CheckConfig>>
export type Pools = Readonly<Record<string, Pool>>

/** The probes of a pool's server, in the order of its checks. Unknown check names are left out. */
export function targetsOf(pool: Pool, server: PoolServer, checks: Checks): ProbeTarget[] {
  return pool.checks.flatMap((name) => {
    const check = checks[name]
    if (check === undefined) return []
    const port = check.port ?? server.port
    const key = `${name} ${server.address} ${port ?? '-'}`
    return [{ key, check, address: server.address, port, server: server.name }]
  })
}

/** Only an HTTP request to the very port that serves the photos can clear a worker's suspicion. */
export function isOnPhotoPort(target: ProbeTarget, server: PoolServer): boolean {
  const { type } = target.check
  if (type !== 'http' && type !== 'https' && type !== 'photo') return false
  return target.port !== undefined && target.port === server.port
}

/** The same question to the same server: a running probe's answer still counts. */
export function isSameQuestion(a: ProbeTarget, b: ProbeTarget): boolean {
  return a.key === b.key && JSON.stringify(a.check) === JSON.stringify(b.check)
}
