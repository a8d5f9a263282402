import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import { createSecureContext, createServer } from 'node:tls'
import type { SecureContext, TLSSocket } from 'node:tls'
import { LRUCache } from 'lru-cache'
import type { Peer } from '../photo-serving.ts'
import type { SecureListener, SecureListenerInit } from './listener.ts'
import { createNameTable } from './server-names.ts'
import { openSocket } from '../socket-transport.ts'
import { ALPN_PROTOCOLS, CIPHER_LIST, CIPHER_SUITES, SESSION_CONTEXT } from './choices.ts'
import type { Arrival } from '../transport.ts'

/** TLS by Node's public API alone: the same promises, at the price of its streams. */
export function createNodeTlsListener(init: SecureListenerInit): SecureListener {
  const { listener, pairs, ticketKeys, onSecure, onFailure } = init
  const common = {
    ciphers: `${CIPHER_SUITES}:${CIPHER_LIST}`,
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
  /** Whom a PROXY header named, until the handshake behind it is over. */
  const peers = new LRUCache<string, Peer>({ max: PENDING_PEERS })
  const server = createServer({
    ...common,
    cert: first?.certificate,
    key: first?.key,
    ...(ticketKeys !== undefined && { ticketKeys: Buffer.from(ticketKeys) }),
    ALPNProtocols: ALPN_PROTOCOLS,
    handshakeTimeout: listener.timeouts.headMs,
    // One certificate needs no look-up, and its handshakes no detour through it.
    ...(pairs.length > 1 && {
      SNICallback: (name: string, done: (error: null, context?: SecureContext) => void) => {
        done(null, names.find(name))
      },
    }),
  })
  server.on('secureConnection', (socket) => {
    onSecure(arrivalOf(socket), peers.get(connectionKey(socket)))
  })
  server.on('tlsClientError', (error: Error & { code?: string }, socket) => {
    socket.destroy()
    onFailure(error.code ?? error.message)
  })
  return {
    accept: (socket, peer) => {
      if (peer !== undefined) peers.set(connectionKey(socket), peer)
      server.emit('connection', socket)
    },
  }
}

const arrivalOf = (socket: TLSSocket): Arrival => ({
  socket,
  tls: {
    protocol: socket.getProtocol() ?? '',
    cipher: socket.getCipher().standardName,
    isResumed: socket.isSessionReused(),
  },
  open: (owner, landing) => openSocket(socket, owner, landing),
})

/** TLS keeps the connection's addresses. */
const connectionKey = ({ remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress ?? ''} ${remotePort ?? 0}`

/** Handshakes under way behind PROXY headers; of more, the oldest are taken for the proxy's own. */
const PENDING_PEERS = 16_384
