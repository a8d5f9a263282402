import type { Config } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { Verdict } from '../../common/model/health.ts'
import type { Counters, CountersSnapshot } from '../core/counters.ts'
import type { ShardTable } from '../core/shard-table.ts'
import type { Returning } from '../core/returns.ts'
import type { Overrides } from './messages.ts'
import type { Arrival, OpenTransport } from './transport.ts'

/** The tables of a configuration: slots by `tableKey`, shards by the group's name. */
export interface Tables {
  readonly slots: ReadonlyMap<string, Uint16Array>
  readonly shards: ReadonlyMap<string, ShardTable>
}

/** What serves the connections that a worker accepts. All calls but `close` return at once. */
export interface PhotoServer {
  /** What a connection's bytes are read and written with, TLS records too. */
  readonly openTransport: OpenTransport
  /** Node's public API alone is used. */
  readonly isPlain: boolean
  /** TLS is established; `peer` is the client where a PROXY header before TLS named it. */
  accept(arrival: Arrival, listener: string, peer?: Peer): void
  /**
   * Switches to a configuration in one step; exchanges under way end under the old one. Of the
   * listeners that it leaves out idle connections go, and all others are served once, by the new.
   */
  configure(config: Config, box: string, generation: number, tables: Tables): void
  /** No connection of this listener will come any more, unless a configuration names it again. */
  forgetListener(name: string): void
  /** Takes new verdicts, and all returns under way, in one step. */
  setVerdicts(verdicts: readonly Verdict[], returning: Returning): void
  setOverrides(overrides: Overrides, tables: Tables): void
  /** From now on the health path says 503, answers say `Connection: close`, idle clients go. */
  drain(): void
  /** As `drain`; resolves when the last exchange is over, or was cut at the deadline. */
  close(deadlineMs: number): Promise<void>
  snapshot(): CountersSnapshot
  reopenLog(): void
}

export interface Peer {
  readonly address: string
  readonly port: number
}

/** What a photo server tells its primary. */
export interface PhotoServerHooks {
  readonly counters: Counters
  readonly onSuspect: (pool: string, server: string) => void
  readonly onEvent: (event: EdgeEvent) => void
}
