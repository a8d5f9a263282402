import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'

/** What `Transport.write` did with the bytes. The buffer is free again, whatever it was. */
export const WRITE = {
  /** All bytes are with the kernel. */
  done: 0,
  /** Some bytes wait, in a place of the transport's own, until `onDrained`. */
  waits: 1,
  /** The connection is gone; `onGone` follows, or came already. */
  failed: 2,
} as const

export type WriteOutcome = (typeof WRITE)[keyof typeof WRITE]

/** Who is told what happens on a connection. Called synchronously, one at a time. */
export interface TransportOwner {
  /**
   * `length` bytes stand at the start of the buffer that reads land in. What is returned takes the
   * next read; undefined leaves the buffer as it is, so whoever keeps the bytes returns another.
   */
  onBytes(length: number): Buffer | undefined
  /** The peer sent FIN. Nothing more is read. */
  onEnd(): void
  /** Nothing written is waiting any more. */
  onDrained(): void
  /** The connection is gone: an errno name (`ECONNRESET`), or empty where we closed it. Comes once. */
  onGone(code: string): void
}

/**
 * One connection as the fast lane sees it: bytes in one buffer of the owner's choice, writes that
 * say at once whether they are done. No stream stands between.
 */
export interface Transport {
  readonly socket: Socket
  /** Bytes written that the kernel has not taken yet. */
  readonly pendingBytes: number
  /** As `pendingBytes`, or finer: it changes whenever the peer takes anything. */
  readonly queuedBytes: number
  /** Where `takeFrom` follows at once, `isMoreToCome` lets both go out together. */
  write(buffer: Buffer, start: number, end: number, isMoreToCome?: boolean): WriteOutcome
  /** Nothing came of it: what was written goes out alone. */
  push(): void
  /** Whether `takeFrom` can take anything. */
  readonly canTake: boolean
  /**
   * Writes up to `length` bytes that have come to another connection and were not read, unseen and
   * uncopied: how many; `length + 1` where more of them were there, of which one is lost; 0 where
   * they must be read instead; -1 where this connection is gone. Some may wait, as with `write`.
   */
  takeFrom(source: Transport, length: number): number
  /** Whether more has come than was read. */
  hasUnread(): boolean
  /** Stops reading; a FIN is then not seen either. */
  pause(): void
  resume(): void
  /** Sends FIN behind what waits; reading goes on. */
  end(): void
  /** Closes at once; over TLS without close_notify. What waits is lost. */
  destroy(): void
  /** Closes with RST where the protocol below can; else as `destroy`. */
  reset(): void
}

/** Makes the transport of a connected socket. `landing` takes the first read. */
export type OpenTransport = (socket: Socket, owner: TransportOwner, landing: Buffer) => Transport

/** What the access log tells of a connection's TLS. */
export interface TlsFacts {
  /** As OpenSSL names it: `TLSv1.3`. */
  readonly protocol: string
  /** The cipher suite as IANA names it. */
  readonly cipher: string
  readonly isResumed: boolean
}

/** A client's connection that nobody reads from yet. */
export interface Arrival {
  /** For its addresses, and to end it; its bytes may be TLS's. */
  readonly socket: Socket
  /** Undefined: none. */
  readonly tls: TlsFacts | undefined
  /** Called once, at once. */
  open(owner: TransportOwner, landing: Buffer): Transport
}
