import type { ListenerConfig } from '../../common/config/config.ts'

/**
 * A sentence for the operator where the listeners' `maxConnections` let in more clients than a
 * worker can have files open for: each may need a connection to a cache beside its own. Undefined:
 * `limit` is enough, or a listener has no such number, so that nothing can be said beforehand.
 */
export function tooFewOpenFiles(
  listeners: readonly Pick<ListenerConfig, 'maxConnections'>[],
  limit: number,
): string | undefined {
  const most = listeners.reduce((sum, one) => sum + (one.maxConnections ?? Infinity), 0)
  const needed = 2 * most + OWN_FILES
  if (most === Infinity || needed <= limit) return undefined
  return `${most} clients (maxConnections of all listeners) can need ${needed} open files in each worker, which may have ${limit}; raise LimitNOFILE (ulimit -n) or lower maxConnections`
}

/** What a worker has open without any client, with room. */
const OWN_FILES = 100
