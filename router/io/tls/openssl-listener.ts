import type { OpenSsl } from './openssl.ts'
import { nextError, SecureContexts } from './contexts.ts'
import type { SecureListener, SecureListenerInit } from './listener.ts'
import { SecureSession } from './session.ts'

/** TLS by OpenSSL itself; `ssl` is what `openssl.ts` found in this process. */
export function createOpenSslListener(ssl: OpenSsl, init: SecureListenerInit): SecureListener {
  const { listener, pairs, ticketKeys, openTransport } = init
  const contexts = new SecureContexts(ssl, listener, pairs, ticketKeys)
  return {
    accept: (socket, peer) => {
      const opened = contexts.newSession()
      if (opened === 0) {
        socket.destroy()
        init.onFailure(nextError(ssl))
        return
      }
      const session = new SecureSession({
        ssl,
        contexts,
        session: opened,
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
