import type {
  Config,
  GroupConfig,
  ListenerConfig,
  RouteAction,
} from '../../common/config/config.ts'
import { parseIp, parsePrefix, prefixContains } from '../../common/net/address.ts'
import type { Prefix } from '../../common/net/address.ts'
import { logText } from '../core/access-record.ts'
import { encodeText } from '../core/ascii.ts'
import type { CacheChooser } from '../core/cache-chooser.ts'
import { compileHeaderRules } from '../core/header-rules.ts'
import type { CompiledHeaderRules } from '../core/header-rules.ts'
import { METHOD_NAMES } from '../core/methods.ts'
import {
  compileNotAllowed,
  compileOptions,
  compileRedirect,
  compileRespond,
} from '../core/own-answer.ts'
import type { CompiledRedirect, OwnAnswer } from '../core/own-answer.ts'
import { compileVia } from '../core/peer.ts'
import type { Peer, Via } from '../core/peer.ts'
import type { RequestHead } from '../core/request-head.ts'
import { CONNECTION } from '../core/rewrite.ts'
import { FRAMING } from '../core/response-head.ts'
import { compileRoutes } from '../core/routes.ts'
import type { CompiledRoutes } from '../core/routes.ts'
import { compileUserPattern, copySpan } from '../core/user-pattern.ts'
import type { UserBytes, UserPattern } from '../core/user-pattern.ts'
import { workerShare } from '../core/worker-share.ts'
import type { CachePool } from './cache.ts'
import { workerPlace } from './worker-place.ts'

/** One configuration, compiled for one worker. A reload makes another; exchanges keep theirs. */
export interface Plan {
  readonly generation: number
  readonly healthPath: Uint8Array
  readonly via: Via
  readonly routes: CompiledRoutes
  /** By the index that `routes.match` gives. */
  readonly actions: readonly ActionPlan[]
  readonly groups: ReadonlyMap<string, GroupPlan>
  readonly options: OwnAnswer
}

export type ActionPlan =
  | { readonly type: 'group'; readonly group: GroupPlan }
  | { readonly type: 'redirect'; readonly redirect: CompiledRedirect }
  | { readonly type: 'respond'; readonly answer: OwnAnswer }

/** The same object serves every request: the mutable fields are set before each. */
export interface MutableRequestContext {
  readonly rules: CompiledHeaderRules
  peer: Peer
  readonly via: Via
  requestId: Uint8Array
  serverHost: Uint8Array
}

/** As `MutableRequestContext`, for answers. */
export interface MutableResponseContext {
  readonly rules: CompiledHeaderRules
  framing: number
  connection: number
}

/** A group made ready: how its users are found, which caches they have, how long things may take. */
export class GroupPlan {
  readonly config: GroupConfig
  readonly logName: Uint8Array
  readonly pool: CachePool
  readonly chooser: CacheChooser
  readonly pattern: UserPattern
  readonly requestContext: MutableRequestContext
  readonly responseContext: MutableResponseContext
  readonly timeouts: GroupConfig['timeouts']
  readonly notAllowed: OwnAnswer
  readonly #allowed: Uint8Array
  readonly #retryOn: ReadonlySet<number> | undefined

  constructor(config: GroupConfig, pool: CachePool, chooser: CacheChooser, via: Via) {
    this.config = config
    this.logName = logText(config.name)
    this.pool = pool
    this.chooser = chooser
    this.pattern = compileUserPattern(config.user)
    this.requestContext = {
      rules: compileHeaderRules(config.requestHeaders, 'request'),
      peer: NOBODY,
      via,
      requestId: NO_BYTES,
      serverHost: NO_BYTES,
    }
    this.responseContext = {
      rules: compileHeaderRules(config.responseHeaders, 'response'),
      framing: FRAMING.none,
      connection: CONNECTION.silent,
    }
    this.timeouts = config.timeouts
    this.notAllowed = compileNotAllowed(config.methods)
    this.#allowed = Uint8Array.from(METHOD_NAMES, (name) => (config.methods.includes(name) ? 1 : 0))
    this.#retryOn = config.retryOn.length === 0 ? undefined : new Set(config.retryOn)
  }

  /** Whether any of its requests is more than a GET or HEAD without a body. */
  get needsGeneralLane(): boolean {
    const { methods, bodies } = this.config
    return bodies === 'allow' || methods.some((method) => method !== 'GET' && method !== 'HEAD')
  }

  allows(method: number): boolean {
    return this.#allowed[method] === 1
  }

  retriesOn(status: number): boolean {
    return this.#retryOn?.has(status) === true
  }

  /** Finds the request's user in the chooser; false if it names none and the group wants one. */
  locate(bytes: Uint8Array, head: RequestHead, user: UserBytes): boolean {
    if (!this.pattern.extract(bytes, head, user)) {
      if (this.config.noUser === '404') return false
      copySpan(bytes, head.targetStart, head.pathEnd, user)
    }
    this.chooser.locate(user.bytes, user.length)
    return true
  }
}

/** A listener as its connections see it; it outlives reloads that keep its name. */
export class ListenerState {
  config: ListenerConfig
  readonly logName: Uint8Array
  /** A reload left it out: each of its connections is served once more at most. */
  isGivenUp = false
  headLimits: ListenerConfig['limits']
  connectionCount = 0
  /** In this worker. */
  maxConnections = Infinity
  #trust: readonly Prefix[] = []
  readonly #texts = new Map<string, Uint8Array>()

  constructor(config: ListenerConfig, workers: number) {
    this.config = config
    this.logName = logText(config.name)
    this.headLimits = config.limits
    this.configure(config, workers)
  }

  configure(config: ListenerConfig, workers: number): void {
    this.config = config
    this.isGivenUp = false
    this.maxConnections = workerShare(config.maxConnections, workers, workerPlace())
    this.headLimits = config.limits
    this.#trust = prefixesOf(config)
  }

  /** Whether what a peer at this address claims is believed. */
  isTrusted(address: string): boolean {
    if (this.#trust.length === 0) return false
    const ip = parseIp(address)
    return ip !== undefined && this.#trust.some((prefix) => prefixContains(prefix, ip))
  }

  /** A word that few connections differ in, as the log takes it. */
  text(word: string): Uint8Array {
    let bytes = this.#texts.get(word)
    if (bytes === undefined) {
      bytes = logText(word)
      this.#texts.set(word, bytes)
    }
    return bytes
  }
}

/** Compiles everything that does not depend on what is up. */
export function compilePlan(
  config: Config,
  box: string,
  generation: number,
  makeGroup: (config: GroupConfig, via: Via) => GroupPlan,
): Plan {
  const { router } = config
  if (router === undefined) throw new TypeError('a worker was configured without a router section')
  const via = compileVia(box, config.edge)
  const groups = new Map(
    Object.values(router.groups).map((group) => [group.name, makeGroup(group, via)]),
  )
  const methods = new Set(['GET', 'HEAD', 'OPTIONS'])
  for (const group of groups.values())
    for (const method of group.config.methods) methods.add(method)
  return {
    generation,
    healthPath: encodeText(router.healthPath),
    via,
    routes: compileRoutes(router.routes),
    actions: router.routes.map(({ action }) => compileAction(action, groups)),
    groups,
    options: compileOptions([...methods]),
  }
}

function compileAction(action: RouteAction, groups: ReadonlyMap<string, GroupPlan>): ActionPlan {
  switch (action.type) {
    case 'group': {
      const group = groups.get(action.group)
      if (group === undefined) throw new TypeError(`route to the unknown group ${action.group}`)
      return { type: 'group', group }
    }
    case 'redirect':
      return { type: 'redirect', redirect: compileRedirect(action) }
    case 'respond':
      return { type: 'respond', answer: compileRespond(action) }
  }
}

const prefixesOf = ({ trust }: ListenerConfig): readonly Prefix[] =>
  trust.map(parsePrefix).filter((prefix) => prefix !== undefined)

const NO_BYTES = new Uint8Array(0)
const NOBODY: Peer = {
  address: NO_BYTES,
  isTrusted: false,
  lines: NO_BYTES,
  realIpLine: NO_BYTES,
  protoLine: NO_BYTES,
}
