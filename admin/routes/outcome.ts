import type { FastifyReply } from 'fastify'
import { RefusalSchema } from '../schemas.ts'
import type { Refusal } from '../schemas.ts'
import type { Outcome } from '../router-control.ts'

/** The answers that a refusal may come with, for a route's response schemas. */
export const REFUSALS = {
  400: RefusalSchema,
  401: RefusalSchema,
  403: RefusalSchema,
  404: RefusalSchema,
  409: RefusalSchema,
  422: RefusalSchema,
} as const

/** What a route answers: the value, or a refusal with its own status. */
export function answer<T>(reply: FastifyReply, outcome: Outcome<T>): T | Refusal {
  if (outcome.ok) return outcome.value
  void reply.code(outcome.status)
  return { problems: [...outcome.problems] }
}
