import type { Socket } from 'node:net'
import type { ListenerConfig } from '../../../common/config/config.ts'
import type { CertificatePair } from '../messages.ts'
import type { Peer } from '../photo-serving.ts'
import type { Arrival, OpenTransport } from '../transport.ts'

/** What a TLS listener is made of; one that changes is made anew. */
export interface SecureListenerInit {
  readonly listener: Pick<ListenerConfig, 'minTls'> & {
    readonly timeouts: Pick<ListenerConfig['timeouts'], 'headMs'>
  }
  readonly pairs: readonly CertificatePair[]
  /** 48 bytes, the same in every worker. */
  readonly ticketKeys: Uint8Array | undefined
  /** Opens the connections below TLS. */
  readonly openTransport: OpenTransport
  /** `peer` is what `accept` was told. */
  readonly onSecure: (arrival: Arrival, peer: Peer | undefined) => void
  /** The handshake failed or took too long: the code says how. The socket is closed. */
  readonly onFailure: (code: string) => void
}

/** Turns accepted connections into TLS ones. It owns no listening socket. */
export interface SecureListener {
  accept(socket: Socket, peer: Peer | undefined): void
}
