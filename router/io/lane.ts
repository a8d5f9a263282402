import type { Buffer } from 'node:buffer'
import type { ShortageCode } from '../../common/model/shortage.ts'
import type { AccessRecord } from '../core/access-record.ts'
import type { Counters } from '../core/counters.ts'
import type { Deadlines } from '../core/deadlines.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { Landing } from './landing.ts'
import type { OpenTransport } from './transport.ts'

/** What every connection of one worker shares, to caches and to clients. */
export interface Lane {
  readonly counters: Counters
  readonly deadlines: Deadlines
  /** Where every cache's answer lands and is passed on from, or taken out, before the next read. */
  readonly landing: Landing
  readonly buffers: BufferPool
  readonly openTransport: OpenTransport
  /** No new request may follow on a connection: the worker stops, or its box drains. */
  readonly isDraining: boolean
  /** For what is made here and goes out at once. */
  readonly scratch: Buffer
  /** `Sun, 06 Nov 1994 08:49:37 GMT`, of this second. */
  readonly date: Uint8Array
  /**
   * Monotonic, milliseconds with fractions: when the event loop came to what it does now. Reading
   * the clock is dear beside what a request costs, so only the callbacks of sockets and timers do,
   * by `tick`, and everything that follows from them has the same time.
   */
  readonly nowMs: number
  tick(): void
  wallMs(): number
  /** Writes 32 random hexadecimal digits to `out`. */
  putRequestId(out: Uint8Array): void
  log(record: AccessRecord): void
  countStrayBytes(): void
  /** A connection to this cache could not be made, and the cause is here. */
  onShortage(code: ShortageCode, pool: string, server: string): void
  onSuspect(pool: string, server: string): void
  onCleared(pool: string, server: string, reason: string): void
}
