import { createHash, timingSafeEqual } from 'node:crypto'
import Fastify from 'fastify'
import type { FastifyError, FastifyInstance, onRequestHookHandler } from 'fastify'
import type { RouterControl } from './router-control.ts'
import { changingRoutes } from './routes/changing.ts'
import { readingRoutes } from './routes/reading.ts'

/** Who may change things through this server. */
export type ChangeRight =
  /** Whoever reaches it: the unix socket, whose file mode says who that is. */
  | { readonly type: 'everybody' }
  /** Nobody: over http without a token. */
  | { readonly type: 'nobody' }
  /** Who shows `Authorization: Bearer TOKEN`. */
  | { readonly type: 'token'; readonly token: string }

/** The admin API before it listens anywhere: `openAdmin` gives it its addresses. */
export function createAdminServer(control: RouterControl, right: ChangeRight): FastifyInstance {
  const app = Fastify({
    logger: false,
    // A body says what it means: no string becomes a number, no unknown key is dropped silently.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: true } },
    bodyLimit: 1024 * 1024,
    requestTimeout: 10_000,
    connectionTimeout: 60_000,
    keepAliveTimeout: 5_000,
    forceCloseConnections: true,
    // Who sends more without reading is answered 503: the answers would all be held at once.
    maxRequestsPerSocket: 16,
  })
  app.server.maxConnections = 64
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500
    const problem =
      status >= 500 ? `The router could not answer ${request.url}: ${error.message}` : error.message
    return reply.code(status).send({ problems: [problem] })
  })
  refuseUnknown(app)
  readingRoutes(app, control)
  changingRoutes(app, control, guard(right))
  return app
}

/** 404 for a path that nobody has, 405 for a method that its path has not; before the routes. */
function refuseUnknown(app: FastifyInstance): void {
  const methodsOf = new Map<string, string[]>()
  app.addHook('onRoute', ({ url, method }) => {
    methodsOf.set(url, (methodsOf.get(url) ?? []).concat(method))
  })
  app.setNotFoundHandler(({ method, url }, reply) => {
    const [path = ''] = url.split(/[?#]/, 1)
    const allowed = methodsOf.get(path)?.join(', ')
    if (allowed === undefined)
      return reply.code(404).send({ problems: [`There is no ${method} ${url.slice(0, 200)}`] })
    // RFC 9110 section 15.5.6: with the methods that there are.
    const problems = [`There is no ${method} ${path}: it takes ${allowed}`]
    return reply.code(405).header('allow', allowed).send({ problems })
  })
}

function guard(right: ChangeRight): onRequestHookHandler {
  switch (right.type) {
    case 'everybody':
      return (_request, _reply, done) => {
        done()
      }
    case 'nobody':
      return (_request, reply) => {
        void reply.code(403).send({
          problems: ['Nothing can be changed over http as admin.token is not set: use the socket'],
        })
      }
    case 'token': {
      const expected = digest(right.token)
      return (request, reply, done) => {
        // The scheme's case is free (RFC 9110 section 11.1), the token's is not.
        const [, shown = ''] = /^Bearer +(.*)$/i.exec(request.headers.authorization ?? '') ?? []
        if (timingSafeEqual(digest(shown), expected)) done()
        else {
          void reply
            .code(401)
            .header('www-authenticate', 'Bearer')
            .send({ problems: ['The request does not show the token of admin.token'] })
        }
      }
    }
  }
}

/** Of equal length whatever the text: comparing tells nothing of the token's. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
