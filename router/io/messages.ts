import type { Config } from '../../common/config/config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { Verdict } from '../../common/model/health.ts'
import type { CountersSnapshot } from '../core/counters.ts'
import type { Overrides } from '../core/overrides.ts'
import type { Returning } from '../core/returns.ts'

export { NO_OVERRIDES } from '../core/overrides.ts'
export type { Overrides } from '../core/overrides.ts'

/**
 * What the router's primary and its workers say to each other over their IPC channel. Everything
 * is plain data (structured clone: `serialization: 'advanced'`); only `listen` carries a handle.
 * Messages to a worker take effect one after the other, in the order sent, also where one of them
 * has to wait for a file: what a `configure` needs is sent before it.
 *
 * A new worker gets, in this order: certificates, ticketKeys, overrides, verdicts, configure,
 * then one listen per listener, synchronize; then it says `ready`.
 */
export type PrimaryMessage =
  | ConfigureMessage
  | ListenMessage
  | { readonly type: 'unlisten'; readonly socket: string }
  /** Verdicts that are new, and all returns under way: both are taken in one step. */
  | {
      readonly type: 'verdicts'
      readonly verdicts: readonly Verdict[]
      readonly returning: Returning
    }
  | {
      readonly type: 'overrides'
      readonly overrides: Overrides
      readonly tables: readonly TableNote[]
    }
  | CertificatesMessage
  | TicketKeysMessage
  | { readonly type: 'reopenLog' }
  /** Answered by `ready` when all before it has taken effect. */
  | { readonly type: 'synchronize' }
  | StopMessage

/** The whole effective configuration (`forBox` done), and the slot tables that belong to it. */
export interface ConfigureMessage {
  readonly type: 'configure'
  /** Grows by one with each configuration; `ready` and `stats` repeat it. */
  readonly generation: number
  readonly config: Config
  readonly box: string
  /** Every table of this configuration; those already loaded (same digest) are not read again. */
  readonly tables: readonly TableNote[]
}

/** Comes with the listening socket's handle. The listener is one of the configuration's. */
export interface ListenMessage {
  readonly type: 'listen'
  /** Names the socket itself: `[::]:80 v6only`. A listener may change its socket in a reload. */
  readonly socket: string
  /** `ListenerConfig.name`. */
  readonly listener: string
}

/** A listener's certificates, the default one first; replaces all that were there. */
export interface CertificatesMessage {
  readonly type: 'certificates'
  readonly listener: string
  readonly pairs: readonly CertificatePair[]
}

/** A certificate that was found to fit its key. */
export interface CertificatePair {
  /** Lower case; `*.example.com` stands for one label. */
  readonly names: readonly string[]
  /** PEM, with its chain. */
  readonly certificate: string
  /** PEM. */
  readonly key: string
}

/** 48 bytes: the newest key encrypts and decrypts, as Node holds one at a time. */
export interface TicketKeysMessage {
  readonly type: 'ticketKeys'
  readonly listener: string
  readonly keys: Uint8Array
}

/**
 * Ends the worker: no new connections (those that wait in the sockets' queues are still taken),
 * what is in flight may finish until the deadline, then the rest is cut and the worker exits.
 */
export interface StopMessage {
  readonly type: 'stop'
  readonly deadlineMs: number
  /** How long the sockets' queues are still emptied; 0: close them at once. */
  readonly tailMs: number
}

/** A table as a file, written whole by the primary. */
export interface TableNote {
  readonly kind: 'slots' | 'shards'
  /** Slots: `tableKey` of the servers and weights; shards: the group's name. */
  readonly key: string
  readonly file: string
  /** SHA-256 of the file, hex. */
  readonly digest: string
}

export type WorkerMessage =
  /** The process runs and listens for messages. */
  | { readonly type: 'hello' }
  /** The configuration of this generation is in use, all sockets that came with it too. */
  | { readonly type: 'ready'; readonly generation: number }
  /** Once a second, and once more before a graceful exit. */
  | {
      readonly type: 'stats'
      readonly generation: number
      readonly snapshot: CountersSnapshot
      /** The longest that the event loop was late since the last one. */
      readonly lateMs: number
    }
  /** It was told to end by a signal of its own: it takes no more connections, a successor may. */
  | { readonly type: 'leaving'; readonly signal: string }
  /** Traffic found the server wanting: check it at once. */
  | { readonly type: 'suspect'; readonly pool: string; readonly server: string }
  | { readonly type: 'event'; readonly event: EdgeEvent }
