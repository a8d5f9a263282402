import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import { createSecureContext, createServer } from 'node:tls'
import type { SecureContext, Server, TLSSocket } from 'node:tls'
import type { ListenerConfig } from '../../common/config/config.ts'
import type { CertificatePair } from './messages.ts'
import { createNameTable } from './server-names.ts'

/** What a TLS listener is made of; one that changes is made anew. */
export interface SecureListenerInit {
  readonly listener: ListenerConfig
  readonly pairs: readonly CertificatePair[]
  /** 48 bytes, the same in every worker. */
  readonly ticketKeys: Uint8Array | undefined
  readonly onSecure: (socket: TLSSocket) => void
  /** The handshake failed or took too long: the code says how. The socket is closed. */
  readonly onFailure: (code: string) => void
}

/** Turns accepted connections into TLS ones. It owns no listening socket. */
export interface SecureListener {
  accept(socket: Socket): void
}

/**
 * AES-128-GCM first, as nginx and its clients agree in TLS 1.2 with a server's preference; in TLS
 * 1.3 it saves a quarter of AES-256's cycles. All are forward secret and authenticated.
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** A ticket made under one certificate of the edge resumes under the others. */
const SESSION_CONTEXT = 'photoedge'

export function createSecureListener(init: SecureListenerInit): SecureListener {
  const { listener, pairs, ticketKeys, onSecure, onFailure } = init
  const common = {
    ciphers: CIPHERS,
    honorCipherOrder: true,
    minVersion: listener.minTls === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    sessionIdContext: SESSION_CONTEXT,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  } as const

  const contexts = pairs.map(({ certificate, key }) =>
    createSecureContext({ ...common, cert: certificate, key }),
  )
  const names = createNameTable<SecureContext>(
    pairs.flatMap((pair, index) => pair.names.map((name) => [name, contexts[index]!] as const)),
  )
  const [first] = pairs
  const server: Server = createServer({
    ...common,
    cert: first?.certificate,
    key: first?.key,
    ...(ticketKeys !== undefined && { ticketKeys: Buffer.from(ticketKeys) }),
    // A client that offers other protocols only is refused: it would not understand the answer.
    ALPNProtocols: ['http/1.1', 'http/1.0'],
    handshakeTimeout: listener.timeouts.headMs,
    // One certificate needs no look-up, and its handshakes no detour through it.
    ...(pairs.length > 1 && {
      SNICallback: (name: string, done: (error: null, context?: SecureContext) => void) => {
        done(null, names.find(name))
      },
    }),
  })
  server.on('secureConnection', onSecure)
  server.on('tlsClientError', (error: Error & { code?: string }, socket) => {
    socket.destroy()
    onFailure(error.code ?? error.message)
  })
  return { accept: (socket) => void server.emit('connection', socket) }
}
