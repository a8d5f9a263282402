import type { FastifyInstance } from 'fastify'
import type { RouterControl } from '../router-control.ts'
import {
  EventsSchema,
  ExplainQuerySchema,
  ExplanationSchema,
  RouterStatusSchema,
  SimulateRequestSchema,
  SimulationSchema,
} from '../schemas.ts'
import type { ExplainQuery, SimulateRequest } from '../schemas.ts'
import { answer, REFUSALS } from './outcome.ts'

/** What looks and changes nothing: for everybody who reaches the API. */
export function readingRoutes(app: FastifyInstance, control: RouterControl): void {
  app.get('/status', { schema: { response: { 200: RouterStatusSchema } } }, () => control.status())

  app.get('/events', { schema: { response: { 200: EventsSchema } } }, () => ({
    events: control.events(),
  }))

  app.get<{ Querystring: ExplainQuery }>(
    '/explain',
    {
      schema: {
        querystring: ExplainQuerySchema,
        response: { 200: ExplanationSchema, ...REFUSALS },
      },
    },
    (request, reply) => answer(reply, control.explain(request.query)),
  )

  app.post<{ Body: SimulateRequest }>(
    '/simulate',
    { schema: { body: SimulateRequestSchema, response: { 200: SimulationSchema, ...REFUSALS } } },
    async (request, reply) => answer(reply, await control.simulate(request.body)),
  )

  let metrics: Promise<string> | undefined
  app.get('/metrics', async (_, reply) => {
    void reply.type('text/plain; version=0.0.4; charset=utf-8')
    // Whoever asks while they are being written gets the same.
    metrics ??= control.metrics().finally(() => (metrics = undefined))
    return metrics
  })

  // The process answers: that is all it says.
  app.get('/healthz', (_, reply) => reply.type('text/plain').send('ok\n'))

  app.get('/readyz', (_, reply) => {
    const isReady = control.isReady()
    return reply
      .code(isReady ? 200 : 503)
      .type('text/plain')
      .send(isReady ? 'ready\n' : 'not ready\n')
  })
}
