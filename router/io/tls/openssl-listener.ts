import type { OpenSsl } from './openssl.ts'
import { SecureContexts } from './contexts.ts'
import type { SecureListener, SecureListenerInit } from './listener.ts'
import { SecureSession } from './session.ts'

/** TLS by OpenSSL itself; `ssl` is what `openssl.ts` found in this process. */
export function createOpenSslListener(ssl: OpenSsl, init: SecureListenerInit): SecureListener {
  const { listener, pairs, ticketKeys, openTransport } = init
  const contexts = new SecureContexts(ssl, listener, pairs, ticketKeys)
  return {
    accept: (socket, peer) => {
      const session = new SecureSession({
        ssl,
        contexts,
        socket,
        openTransport,
        onSecure: (arrival) => {
          clearTimeout(timer)
          init.onSecure(arrival, peer)
        },
        onFailure: (code) => {
          clearTimeout(timer)
          init.onFailure(code)
        },
      })
      const timer = setTimeout(() => {
        session.expire()
      }, listener.timeouts.headMs)
    },
  }
}
