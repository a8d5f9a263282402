import type { Config, GroupConfig, Pool } from '../../common/config/config.ts'
import { explainChoice } from './explain.ts'
import type { ExplainedServer, ReadyWorkers, ServerStanding } from './explain.ts'
import { PARSE } from './field-section.ts'
import { RequestHead } from './request-head.ts'
import { returnShare } from './returns.ts'
import { compileRoutes } from './routes.ts'
import type { ShardMap } from './shard-map.ts'
import { chooserOf, hasPortCheck, shardMapOf } from './standing.ts'
import type { Standing, StandingOf } from './standing.ts'
import { spellingFault } from './target.ts'
import { compileUserPattern, copySpan, createUserBytes } from './user-pattern.ts'
import type { UserBytes } from './user-pattern.ts'

/** What the router would do with a request, and why. */
export interface ExplainedUrl {
  readonly url: string
  readonly host: string
  readonly path: string
  readonly route?: number
  /** What is answered without a cache: `404`, `301 to https://…`, `refused with 400: …`. */
  readonly answer?: string
  readonly group?: string
  readonly pool?: string
  readonly user?: string
  readonly slot?: number
  readonly homeBy?: string
  readonly fallback?: string
  readonly caches: ExplainedServer[]
  readonly cacheCount: number
  readonly choice?: string
  readonly why: string
}

export interface ExplainState {
  readonly config: Config
  readonly standing: StandingOf
  /** Of the groups whose shards are a table, by group. */
  readonly shardTables: ReadonlyMap<string, ShardMap>
  readonly workers: ReadyWorkers
}

/** More caches than this are not listed. */
const LISTED_CACHES = 16
const LIMITS = { targetBytes: 16_384, headBytes: 65_536, fields: 200 }

/**
 * Follows a URL (or a target: `/u/1/2.jpg`) through routes, user and ranks, by the very code that
 * serves. `header` is the value of the header that names the user, where the group wants one.
 */
export function explainUrl(
  state: ExplainState,
  url: string,
  header: string | undefined,
): ExplainedUrl {
  const { router } = state.config
  const request = requestOf(url, header === undefined ? [] : [...userHeaders(state.config)], header)
  const base = { url, host: '', path: url, caches: [], cacheCount: 0 }
  const { head, bytes } = request
  if (request.isRefused) {
    const { status, message } = head.refusal
    return { ...base, answer: `refused with ${status}`, why: message }
  }
  const text = (start: number, end: number): string => decode(bytes.subarray(start, end))
  const host = text(head.hostKeyStart, head.hostKeyEnd).toLowerCase()
  const path = text(head.targetStart, head.pathEnd)
  const seen = { url, host, path, caches: [], cacheCount: 0 }
  if (path === router?.healthPath)
    return { ...seen, answer: '200', why: "It is the router's own health path" }
  const { hostKeyStart, hostKeyEnd, targetStart, pathEnd } = head
  const routes = router?.routes ?? []
  const route = compileRoutes(routes).match(bytes, hostKeyStart, hostKeyEnd, targetStart, pathEnd)
  const action = routes[route]?.action
  if (action === undefined) return { ...seen, answer: '404', why: 'No route matches' }
  switch (action.type) {
    case 'redirect': {
      const to = action.to.replaceAll('{target}', text(targetStart, head.targetEnd))
      return { ...seen, route, answer: `${action.status} to ${to}`, why: 'The route redirects' }
    }
    case 'respond':
      return { ...seen, route, answer: `${action.status}`, why: 'The route answers by itself' }
    case 'group':
      return { ...seen, route, ...inGroup(state, action.group, request) }
  }
}

interface Request {
  readonly bytes: Uint8Array
  readonly head: RequestHead
  readonly isRefused: boolean
}

function requestOf(url: string, names: readonly string[], header: string | undefined): Request {
  const match = /^(https?):\/\/([^/?#]*)(.*)/is.exec(url)
  const target = match === null ? url : (match[3] ?? '')
  const authority = match?.[2] ?? 'localhost'
  const fields = names.map((name) => `${name}: ${header ?? ''}\r\n`).join('')
  // Another scheme is asked for as it is: the parser says what is wrong with it.
  const isWhole = target.startsWith('/') || /^[a-z][a-z0-9+.-]*:\/\//i.test(target)
  const text = `GET ${isWhole ? target : `/${target}`} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n`
  const bytes = new TextEncoder().encode(text)
  const head = new RequestHead(LIMITS)
  return { bytes, head, isRefused: head.parse(bytes, bytes.length) !== PARSE.complete }
}

function userHeaders({ router }: Config): Set<string> {
  const names = Object.values(router?.groups ?? {}).flatMap(({ user }) =>
    user.type === 'header' ? [user.header] : [],
  )
  return new Set(names)
}

type InGroup = Omit<ExplainedUrl, 'url' | 'host' | 'path' | 'route'>

function inGroup(state: ExplainState, name: string, request: Request): InGroup {
  const group = state.config.router?.groups[name]
  const pool = group && state.config.pools[group.pool]
  const none = { group: name, caches: [], cacheCount: 0 }
  if (group === undefined || pool === undefined) {
    return { ...none, answer: '503', why: 'The group has no pool' }
  }
  const { head, bytes } = request
  const pattern = compileUserPattern(group.user)
  const fault = pattern.isFromPath
    ? spellingFault(bytes, head.targetStart, head.pathEnd)
    : undefined
  if (fault !== undefined)
    return { ...none, answer: `refused with ${fault.status}`, why: fault.message }
  const user: UserBytes = createUserBytes()
  const hasUser = pattern.extract(bytes, head, user)
  if (!hasUser) {
    if (group.noUser === '404') return { ...none, answer: '404', why: noUserWhy(group) }
    copySpan(bytes, head.targetStart, head.pathEnd, user)
  }
  const shards = shardMapOf(group, state.shardTables)
  const chooser = chooserOf(group, pool, state.standing, { shards })
  chooser.locate(user.bytes, user.length)
  const explained = explainChoice(chooser, standings(state, pool, group), user, state.workers)
  return {
    group: name,
    pool: pool.name,
    ...(hasUser && { user: decode(user.bytes.subarray(0, user.length)) }),
    slot: explained.slot,
    homeBy: explained.isExplicitHome ? group.shards.type : 'hash',
    fallback: group.fallback,
    caches: explained.servers.slice(0, LISTED_CACHES),
    cacheCount: explained.servers.length,
    ...(explained.choice === undefined
      ? { answer: '503 with Retry-After' }
      : { choice: explained.choice }),
    why: explained.why,
  }
}

function standings(state: ExplainState, pool: Pool, { rampUpMs }: GroupConfig): ServerStanding[] {
  return pool.servers.map(({ name, port }) => {
    const standing = state.standing(pool.name, name)
    return {
      name,
      weight: standing.weight,
      factor: standing.state === 'up' ? standing.factor : 0,
      share: returnShare(rampUpMs, standing.returningMs),
      isDrained: standing.isDrained,
      suspectIn: standing.suspectIn,
      verdict: verdictWords(standing, hasPortCheck(state.config, pool, port)),
    }
  })
}

function verdictWords({ state, reason, suspectIn, held }: Standing, isCleared: boolean): string {
  if (state === 'unknown') return 'not checked yet'
  const end = isCleared ? 'until a check of it passes' : 'one request at a time tries it'
  const suspects =
    suspectIn.length === 0 ? '' : `, suspect in worker ${suspectIn.join(', ')}: ${end}`
  const kept = held === 'panic' ? ', kept up: the checks suspect themselves' : ''
  return state === 'up' || reason === '' ? `${state}${kept}${suspects}` : `down: ${reason}`
}

function noUserWhy({ user }: GroupConfig): string {
  switch (user.type) {
    case 'path':
      return `The path names no user as ${user.pattern} does`
    case 'regex':
      return `The path names no user as ${user.regex} does`
    case 'query':
      return `The query has no parameter ${user.parameter} with a value`
    case 'header':
      return `The request has no header ${user.header} with a value`
  }
}

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
