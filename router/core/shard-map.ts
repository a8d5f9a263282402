import type { NamedIds } from './named-ids.ts'

/**
 * Explicit homes: which server a user's photos live on when that is written down, not hashed. It is
 * rank 0 of the user's list; the ranks after it are the slot's, as for everyone.
 */
export interface ShardMap {
  /** Index of the home of user[0, length), or -1: the user takes the hash. */
  homeOf(user: Uint8Array, length: number): number
  /** Per server, its share of the users that the map names; the sum is 1, or 0 for an empty map. */
  homeShares(serverCount: number): Float64Array
  /** The ids that it names; undefined: every decimal id. */
  named(): NamedIds | undefined
}

const ZERO = 0x30

/** The user's decimal id modulo the count of servers, as numbered caches have it, from 0. */
export function moduloShardMap(modulo: number): ShardMap {
  return {
    homeOf(user, length) {
      if (length === 0) return -1
      let remainder = 0
      for (let i = 0; i < length; i++) {
        const digit = user[i]! - ZERO
        if (digit < 0 || digit > 9) return -1
        remainder = (remainder * 10 + digit) % modulo
      }
      return remainder
    },
    homeShares: (serverCount) => new Float64Array(serverCount).fill(1 / serverCount),
    named: () => undefined,
  }
}
