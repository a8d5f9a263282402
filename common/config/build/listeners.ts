import { isAny, parseEndpoint, parseIp } from '../../net/address.ts'
import type { Endpoint } from '../../net/address.ts'
import type { ListenerConfig } from '../config.ts'
import { label } from '../read-source.ts'
import type { SourceListener } from '../schema/config-schema.ts'
import type { BuildContext } from './context.ts'

/** The router's listeners; no two take one connection. */
export function buildListeners(
  source: readonly SourceListener[],
  context: BuildContext,
): readonly ListenerConfig[] {
  const listeners = source.map((entry, index) => buildListener(entry, index, context))
  for (const [index, listener] of listeners.entries()) {
    const taken = listeners.slice(0, index).find((other) => isShared(other, listener))
    if (taken === undefined) continue
    const path = ['router', 'listen', index, 'address']
    const same =
      taken.name === listener.name
        ? 'is listened on twice'
        : `is taken by the listener ${taken.name} already`
    context.problem(
      path,
      `${label(path)} is "${listener.name}", which ${same}: write each address and port once`,
    )
  }
  return listeners
}

/**
 * Whether both would be given the same connections. `[::]` takes IPv4 only while no IPv4 listener
 * has its port, so these two get on.
 */
export function isShared(a: Endpoint, b: Endpoint): boolean {
  const [ipA, ipB] = [parseIp(a.address), parseIp(b.address)]
  if (ipA === undefined || ipB === undefined || a.port !== b.port || ipA.family !== ipB.family)
    return false
  return a.address === b.address || isAny(ipA) || isAny(ipB)
}

function buildListener(
  entry: SourceListener,
  index: number,
  context: BuildContext,
): ListenerConfig {
  const path = ['router', 'listen', index]
  const { address, port } = parseEndpoint(entry.address) ?? { address: '', port: 0 }
  const isTls = entry.tls.length > 0
  if (!isTls && entry.ticketKeys !== undefined) {
    context.keyProblem(
      [...path, 'ticketKeys'],
      `${label(path)} has ticketKeys and no tls: it serves plain HTTP`,
    )
  }
  if (entry.proxyProtocol !== 'off' && entry.trust.length === 0) {
    context.problem(
      [...path, 'proxyProtocol'],
      `${label(path)} wants the PROXY protocol and trusts nobody: name the senders' prefixes in trust`,
    )
  }
  if (entry.limits.target > entry.limits.head) {
    context.problem(
      [...path, 'limits', 'target'],
      `${label(path)} allows a target larger than its whole head: raise limits.head`,
    )
  }
  return {
    name: entry.address,
    address,
    port,
    trust: entry.trust,
    proxyProtocol: entry.proxyProtocol,
    maxConnections: entry.maxConnections,
    keepAlive: { requests: entry.keepAlive.requests, ageMs: entry.keepAlive.age },
    timeouts: {
      headMs: entry.timeouts.head,
      idleMs: entry.timeouts.idle,
      sendMs: entry.timeouts.send,
    },
    limits: {
      targetBytes: entry.limits.target,
      headBytes: entry.limits.head,
      fields: entry.limits.fields,
    },
    tls: entry.tls.map((pair, at) => ({
      certificate: context.file([...path, 'tls', at, 'certificate'], pair.certificate),
      key: context.file([...path, 'tls', at, 'key'], pair.key),
    })),
    minTls: entry.minTls,
    ticketKeys:
      entry.ticketKeys === undefined
        ? undefined
        : context.file([...path, 'ticketKeys'], entry.ticketKeys),
  }
}
