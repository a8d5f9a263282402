import type { AddressInfo } from 'node:net'
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { listenFailure } from '../../common/runtime/listen-failure.ts'
import type { RenderedAnswer } from './mount-checker.ts'

/** `GET` and `HEAD /health` on one address. */
export interface MountServer {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

/** Opens the server; throws `MNT_LISTEN_FAILED` with a sentence where it can't listen. */
export async function openMountServer(
  answer: () => RenderedAnswer,
  { address, port }: { readonly address: string; readonly port: number },
): Promise<MountServer> {
  const app: FastifyInstance = fastify({
    forceCloseConnections: true,
    connectionTimeout: 10_000,
    keepAliveTimeout: 75_000,
    requestTimeout: 10_000,
    bodyLimit: 1024,
  })
  app.get('/health', (_request, reply) => {
    const { httpStatus, json } = answer()
    return reply
      .code(httpStatus)
      .header('Cache-Control', 'no-store')
      .type('application/json')
      .send(json)
  })
  try {
    await app.listen({ host: address, port })
  } catch (cause) {
    const { code = '', message: said } = cause as NodeJS.ErrnoException
    const reason = listenFailure(code, { address, port }) ?? said
    const message = `Cannot listen on ${address} port ${port} (mountcheck.listen): ${reason}`
    throw new ApplianceError('MNT_LISTEN_FAILED', message, { cause })
  }
  const bound = app.server.address() as AddressInfo
  return {
    address: bound.address,
    port: bound.port,
    close: () => app.close(),
  }
}
