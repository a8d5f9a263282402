import { END } from '../core/access-record.ts'
import { GLOBAL } from '../core/counters.ts'
import { METHODS } from '../core/methods.ts'
import { ANSWER, refusalAnswer } from '../core/own-answer.ts'
import type { RequestHead } from '../core/request-head.ts'
import { hasVia } from '../core/rewrite.ts'
import { spellingFault } from '../core/target.ts'
import type { CompiledRedirect } from '../core/own-answer.ts'
import type { Exchange, ExchangeClient } from './exchange.ts'
import type { Lane } from './lane.ts'
import type { GroupPlan, Plan } from './plan.ts'

/** A lane that knows what is in force. */
export interface DispatchLane extends Lane {
  /** The newest: whatever a connection was accepted under, its next request goes by this. */
  readonly plan: Plan
}

/** A client's connection that knows every way to be answered. */
export interface DispatchClient extends ExchangeClient {
  readonly lane: DispatchLane
  redirect(exchange: Exchange, redirect: CompiledRedirect): void
  /** Gives the request to the general lane. */
  serveElsewhere(exchange: Exchange, group: GroupPlan): void
}

/** Decides what becomes of a request whose head is whole: an answer of our own, or a lane. */
export function dispatch(client: DispatchClient, exchange: Exchange): void {
  const { head, bytes } = exchange
  const { counters, plan } = client.lane
  if (isPath(bytes, head, plan.healthPath)) {
    counters.add(GLOBAL.healthAnswers, 1)
    client.answer(
      exchange,
      client.lane.isDraining ? ANSWER.draining : ANSWER.healthy,
      END.ownAnswer,
    )
    return
  }
  if (head.isAsterisk) {
    client.answer(exchange, plan.options, END.ownAnswer)
    return
  }
  const { hostKeyStart, hostKeyEnd, targetStart, pathEnd } = head
  const route = plan.routes.match(bytes, hostKeyStart, hostKeyEnd, targetStart, pathEnd)
  const action = plan.actions[route]
  if (action === undefined) {
    counters.add(GLOBAL.noRoute, 1)
    client.answer(exchange, ANSWER.notFound, END.refused)
  } else if (action.type === 'respond') client.answer(exchange, action.answer, END.ownAnswer)
  else if (action.type === 'redirect') client.redirect(exchange, action.redirect)
  else toGroup(client, exchange, action.group)
}

function toGroup(client: DispatchClient, exchange: Exchange, group: GroupPlan): void {
  const { head, bytes } = exchange
  const { counters } = client.lane
  exchange.record.group = group.logName
  if (!group.allows(head.method)) {
    counters.countRefusal('method_not_allowed')
    client.answer(exchange, group.notAllowed, END.refused)
    return
  }
  const isPlain = head.method === METHODS.GET || head.method === METHODS.HEAD
  if (isPlain && head.hasBody && group.config.bodies === 'refuse') {
    counters.countRefusal('body_not_allowed')
    client.answer(exchange, ANSWER.bodyNotAllowed, END.refused)
    return
  }
  if (group.pattern.isFromPath) {
    const fault = spellingFault(bytes, head.targetStart, head.pathEnd)
    if (fault !== undefined) {
      counters.countRefusal(fault.reason)
      client.answer(exchange, refusalAnswer(fault), END.refused)
      return
    }
  }
  if (hasVia(head, bytes, client.lane.plan.via)) {
    counters.add(GLOBAL.loops, 1)
    client.answer(exchange, ANSWER.loop, END.refused)
    return
  }
  if (isPlain && !head.hasBody) exchange.serve(group)
  else client.serveElsewhere(exchange, group)
}

function isPath(bytes: Uint8Array, head: RequestHead, path: Uint8Array): boolean {
  const { length } = path
  const { targetStart } = head
  if (head.pathEnd - targetStart !== length) return false
  for (let i = 0; i < length; i++) if (bytes[targetStart + i] !== path[i]) return false
  return true
}
