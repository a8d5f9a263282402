import type { Socket } from 'node:net'
import type { ListenerConfig } from '../../common/config/config.ts'
import { parseIp, parsePrefix, prefixContains } from '../../common/net/address.ts'
import { parseProxyHeader } from '../core/proxy-protocol.ts'
import type { Peer } from './photo-serving.ts'

/** What the bytes before a TLS handshake said. */
export type Preamble =
  | { readonly ok: true; readonly peer: Peer | undefined }
  | { readonly ok: false; readonly reason: string }

/**
 * Reads the PROXY header that a trusted load balancer sends before TLS begins, within the
 * listener's head timeout. What follows it is put back: TLS starts there. Anybody else is refused.
 */
export function readPreamble(
  socket: Socket,
  { proxyProtocol, trust, timeouts }: ListenerConfig,
  onDone: (preamble: Preamble) => void,
): void {
  if (proxyProtocol === 'off') {
    onDone({ ok: true, peer: undefined })
    return
  }
  if (!isTrusted(socket.remoteAddress, trust)) {
    onDone({ ok: false, reason: 'the peer is not trusted' })
    return
  }
  // Whoever resets it closes it too.
  socket.on('error', () => undefined)
  let bytes = Buffer.alloc(0)
  const done = (preamble: Preamble): void => {
    clearTimeout(timer)
    socket.off('readable', read)
    socket.off('close', closed)
    onDone(preamble)
  }
  const closed = (): void => {
    done({ ok: false, reason: 'the connection ended' })
  }
  const read = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    bytes = Buffer.concat([bytes, chunk])
    const header = parseProxyHeader(proxyProtocol, bytes, bytes.length)
    switch (header.kind) {
      case 'incomplete':
        return
      case 'refused':
        done({ ok: false, reason: header.reason })
        return
      case 'complete': {
        const rest = bytes.subarray(header.length)
        if (rest.length > 0) socket.unshift(rest)
        done({ ok: true, peer: header.source })
      }
    }
  }
  const timer = setTimeout(() => {
    done({ ok: false, reason: 'no PROXY header in time' })
  }, timeouts.headMs)
  socket.on('readable', read)
  socket.on('close', closed)
}

function isTrusted(address: string | undefined, trust: readonly string[]): boolean {
  const ip = address === undefined ? undefined : parseIp(address)
  if (ip === undefined) return false
  return trust.some((text) => {
    const prefix = parsePrefix(text)
    return prefix !== undefined && prefixContains(prefix, ip)
  })
}
