import type { FastifyInstance, preHandlerHookHandler } from 'fastify'
import type { RouterControl } from '../router-control.ts'
import {
  CacheRequestSchema,
  ChangedSchema,
  ReloadedSchema,
  ReloadRequestSchema,
  WeightRequestSchema,
} from '../schemas.ts'
import type { CacheRequest, ReloadRequest, WeightRequest } from '../schemas.ts'
import { answer, REFUSALS } from './outcome.ts'

/** What changes a running router; `mayChange` refuses those who may not. */
export function changingRoutes(
  app: FastifyInstance,
  control: RouterControl,
  mayChange: preHandlerHookHandler,
): void {
  const onRequest = mayChange
  const changed = { 200: ChangedSchema, ...REFUSALS }

  app.post<{ Body: CacheRequest }>(
    '/drain',
    { onRequest, schema: { body: CacheRequestSchema, response: changed } },
    async (request, reply) => answer(reply, await control.drain(request.body)),
  )

  app.post<{ Body: CacheRequest }>(
    '/undrain',
    { onRequest, schema: { body: CacheRequestSchema, response: changed } },
    async (request, reply) => answer(reply, await control.undrain(request.body)),
  )

  app.post<{ Body: WeightRequest }>(
    '/weight',
    { onRequest, schema: { body: WeightRequestSchema, response: changed } },
    async (request, reply) => answer(reply, await control.weight(request.body)),
  )

  app.post<{ Body: ReloadRequest }>(
    '/reload',
    {
      onRequest,
      schema: { body: ReloadRequestSchema, response: { 200: ReloadedSchema, ...REFUSALS } },
    },
    async (request, reply) => answer(reply, await control.reload(request.body)),
  )
}
