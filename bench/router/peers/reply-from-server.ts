/**
 * The peer that a Node developer would take: fastify and @fastify/reply-from in one process.
 * Run as `node reply-from-server.ts OPTIONS`, the options as JSON (see reply-from.ts).
 */
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import replyFrom from '@fastify/reply-from'
import Fastify, { type FastifyInstance } from 'fastify'
import pino from 'pino'

export interface ReplyFromOptions {
  readonly httpPort: number
  readonly httpsPort: number
  readonly cachePorts: readonly number[]
  readonly certificate: string
  readonly key: string
  readonly logFile: string
}

const options = JSON.parse(process.argv[2] ?? '{}') as ReplyFromOptions
const log = pino(
  { base: null },
  pino.destination({
    dest: options.logFile,
    sync: false,
    minLength: 65_536,
    maxWrite: 131_072,
    periodicFlush: 1000,
  }),
)

/** Each user's cache: a hash modulo the caches, remembered. */
const cacheOfUser = new Map<string, number>()
function cachePortOf(user: string): number {
  let port = cacheOfUser.get(user)
  if (port === undefined) {
    const { cachePorts } = options
    const hash = createHash('md5').update(user).digest().readUInt32BE()
    port = cachePorts[hash % cachePorts.length] ?? 0
    cacheOfUser.set(user, port)
  }
  return port
}

function serve(app: FastifyInstance): FastifyInstance {
  void app.register(replyFrom, {
    undici: { connections: 128, pipelining: 1, keepAliveTimeout: 60_000 },
    disableRequestLogging: true,
  })
  app.get<{ Params: { user: string } }>('/u/:user/:photo', (request, reply) => {
    const port = cachePortOf(request.params.user)
    const { ip, protocol, host } = request
    return reply.from(`http://127.0.0.1:${port}${request.url}`, {
      rewriteRequestHeaders: (_, headers) => ({
        ...headers,
        host,
        'x-real-ip': ip,
        'x-forwarded-for': ip,
        'x-forwarded-proto': protocol,
        'x-forwarded-host': host,
        'x-request-id': request.id,
        via: '1.1 reply-from',
      }),
    })
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { user } = request.params as { user?: string }
    log.info({
      id: request.id,
      client: request.ip,
      clientPort: request.socket.remotePort,
      listener: request.protocol,
      method: request.method,
      host: request.host,
      target: request.url,
      status: reply.statusCode,
      bytes: Number(reply.getHeader('content-length')),
      referer: request.headers.referer,
      userAgent: request.headers['user-agent'],
      group: 'photos',
      user,
      cache: user === undefined ? undefined : cachePortOf(user),
      totalMs: reply.elapsedTime,
    })
    done()
  })
  return app
}

const common = { logger: false, genReqId: () => randomUUID(), keepAliveTimeout: 60_000 } as const
const plain = serve(Fastify(common))
const secure = serve(
  Fastify({
    ...common,
    https: { cert: readFileSync(options.certificate), key: readFileSync(options.key) },
  }),
)
await plain.listen({ host: '127.0.0.1', port: options.httpPort, backlog: 4096 })
await secure.listen({ host: '127.0.0.1', port: options.httpsPort, backlog: 4096 })
process.once('SIGTERM', () => {
  log.flush(() => process.exit())
})
