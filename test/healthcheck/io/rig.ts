import net from 'node:net'
import type { AddressInfo } from 'node:net'
import type { CheckConfig } from '../../../common/config/config.ts'
import { systemClock } from '../../../common/runtime/clock.ts'
import type { Outcome } from '../../../healthcheck/core/outcome.ts'
import type { ProbeTarget } from '../../../healthcheck/core/probe-plan.ts'
import type { ProbeComponents } from '../../../healthcheck/io/probe-run.ts'

/** A prober's surroundings that are never late, with a link that is up. */
export const components: ProbeComponents = {
  clock: systemClock,
  lateMs: () => 0,
  isLinkUp: () => true,
  localAddress: undefined,
}

/** A server on loopback that treats every connection so; closed with the test. */
export async function listen(
  t: { teardown(fn: () => void): void },
  onConnection: (socket: net.Socket) => void,
): Promise<number> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Answers each request (known by its empty line) with these bytes, and keeps the connection. */
export const answering =
  (answer: string | Buffer) =>
  (socket: net.Socket): void => {
    socket.on('data', (data) => {
      if (data.includes('\r\n\r\n')) socket.write(answer)
    })
  }

/** A whole answer with its length. */
export function httpAnswer(status: string, body = '', fields = ''): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`
}

/** A target on loopback. */
export function targetOf<C extends CheckConfig>(
  check: C,
  port: number,
): ProbeTarget & { readonly check: C } {
  return { key: `${check.name} ${port}`, check, address: '127.0.0.1', port, server: 'c1' }
}

/** The outcome of one run. */
export function outcomeOf(run: (done: (outcome: Outcome) => void) => unknown): Promise<Outcome> {
  return new Promise((resolve) => run(resolve))
}
