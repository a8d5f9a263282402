/** Keepalived's `quorum` and `hysteresis`, in the weights' unit. */
export interface QuorumConfig {
  /** So much weight makes a service; 1 by default. */
  readonly quorum: number
  /** The quorum is gained that much above it and lost that much below it; 0 by default. */
  readonly hysteresis: number
  readonly hasSorryServer: boolean
}

/** A server as its service counts it. */
export interface QuorumServer {
  readonly isUp: boolean
  readonly weight: number
  /** 0 to 1, as its verdict says. */
  readonly factor: number
}

export interface QuorumState {
  readonly hasQuorum: boolean
  /** Weight of what is up. */
  readonly weight: number
}

export interface QuorumStep {
  readonly state: QuorumState
  readonly change: 'gained' | 'lost' | undefined
  /** Who serves: with the quorum lost and a sorry server at hand, it replaces all live servers. */
  readonly serves: 'servers' | 'sorryServer'
}

/** A service that nothing is known of yet. */
export const NO_QUORUM: QuorumState = { hasQuorum: false, weight: 0 }

/**
 * The service's servers as they are now. The quorum is gained at a weight of `quorum + hysteresis`,
 * and lost at no weight at all or at less than `quorum - hysteresis`.
 */
export function stepQuorum(
  config: QuorumConfig,
  state: QuorumState,
  servers: readonly QuorumServer[],
): QuorumStep {
  let weight = 0
  for (const server of servers) if (server.isUp) weight += server.weight * server.factor
  const { quorum, hysteresis } = config
  const needed = state.hasQuorum ? quorum - hysteresis : quorum + hysteresis
  const hasQuorum = weight > 0 && weight >= needed - ROUNDING
  const change = hasQuorum === state.hasQuorum ? undefined : hasQuorum ? 'gained' : 'lost'
  const serves = hasQuorum || !config.hasSorryServer ? 'servers' : 'sorryServer'
  return { state: { hasQuorum, weight }, change, serves }
}

/** What a sum of factors can be off by: 0.7 + 0.2 + 0.1 is less than 1. */
const ROUNDING = 1e-6
