import type { ListenerConfig } from '../../common/config/config.ts'
import { workerShare } from './worker-share.ts'

/**
 * A sentence for the operator where the listeners' `maxConnections` let in more clients than a
 * worker can have files open for: each may need a connection to a cache beside its own. Undefined:
 * `limit` is enough, or a listener has no such number, so that nothing can be said beforehand.
 */
export function tooFewOpenFiles(
  {
    listeners,
    workers,
  }: {
    readonly listeners: readonly Pick<ListenerConfig, 'maxConnections'>[]
    readonly workers: number
  },
  limit: number,
): string | undefined {
  // The first worker's shares: none has larger ones.
  const most = listeners.reduce((sum, one) => sum + workerShare(one.maxConnections, workers, 1), 0)
  const needed = 2 * most + OWN_FILES
  if (most === Infinity || needed <= limit) return undefined
  return `${most} clients in a worker (its share of all listeners' maxConnections) can need ${needed} open files, and it may have ${limit}; raise LimitNOFILE (ulimit -n) or lower maxConnections`
}

/** What a worker has open without any client, with room. */
const OWN_FILES = 100
