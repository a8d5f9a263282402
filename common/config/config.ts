/**
 * The effective configuration: every default filled in, every range expanded, every unit turned
 * into a number whose name ends in it, every path absolute, every name checked. `parseConfig`
 * makes it; the parts only read it. It is plain data: it crosses a process boundary as it is.
 */

export interface Config {
  readonly edge: string
  readonly boxes: Readonly<Record<string, Box>>
  readonly pools: Readonly<Record<string, Pool>>
  readonly checks: Readonly<Record<string, CheckConfig>>
  readonly router: RouterConfig | undefined
  readonly mountcheck: MountcheckConfig | undefined
  readonly director: DirectorConfig | undefined
  readonly alerts: Readonly<Record<string, AlertSinkConfig>>
  readonly admin: AdminConfig
}

export interface Box {
  readonly name: string
  readonly address: string
  readonly address6: string | undefined
  readonly interface: string | undefined
  readonly site: string | undefined
  readonly weight: number
}

/** Servers that do the same work, in the order listed: a server's place is its index everywhere. */
export interface Pool {
  readonly name: string
  /** Whether its servers are boxes of the inventory or servers of their own. */
  readonly origin: 'boxes' | 'servers'
  readonly servers: readonly PoolServer[]
  /** Names of checks; all must pass. None: the servers count as up. */
  readonly checks: readonly string[]
  readonly onFail: 'remove' | 'quiesce'
  /** Per server and box, shared among the workers; undefined: no limit. */
  readonly maxConnections: number | undefined
  readonly framing: 'any' | 'required'
  readonly keepAlive: { readonly idleMs: number; readonly connections: number }
  /** 0 to 100. */
  readonly panicThresholdPct: number
  readonly panicForMs: number
}

export interface PoolServer {
  readonly name: string
  readonly address: string
  /** undefined only in a pool of boxes that names no port (routers behind a director). */
  readonly port: number | undefined
  /** 0 or more; 0 is quiesced. */
  readonly weight: number
}

export interface RouterConfig {
  readonly boxes: readonly string[]
  readonly workers: number
  readonly healthPath: string
  readonly drainDeadlineMs: number
  /** 0 to 100; undefined: no bound. */
  readonly maxMovedPct: number | undefined
  readonly accessLog: AccessLogConfig
  readonly listeners: readonly ListenerConfig[]
  readonly groups: Readonly<Record<string, GroupConfig>>
  readonly routes: readonly RouteConfig[]
}

export interface AccessLogConfig {
  readonly format: 'json' | 'combined' | 'off'
  /** Holds `{box}` and `{part}` until `forBox` names them; undefined with format off. */
  readonly file: string | undefined
  /** 0 to 100. */
  readonly samplePct: number
}

export interface ListenerConfig {
  /** As written: `0.0.0.0:80`, `[::]:443`. Names the listener in logs and metrics. */
  readonly name: string
  readonly address: string
  readonly port: number
  /** Prefixes (`10.0.0.0/8`) whose forwarded fields and PROXY headers are believed. */
  readonly trust: readonly string[]
  readonly proxyProtocol: 'off' | 'v1' | 'v2'
  readonly maxConnections: number | undefined
  readonly keepAlive: { readonly requests: number; readonly ageMs: number }
  readonly timeouts: { readonly headMs: number; readonly idleMs: number; readonly sendMs: number }
  readonly limits: {
    readonly targetBytes: number
    readonly headBytes: number
    readonly fields: number
  }
  /** Empty: plain HTTP. The first pair also serves clients that name no host, or an unknown one. */
  readonly tls: readonly { readonly certificate: string; readonly key: string }[]
  readonly minTls: '1.2' | '1.3'
  readonly ticketKeys: string | undefined
}

export interface GroupConfig {
  readonly name: string
  readonly user: UserPatternConfig
  readonly noUser: '404' | 'spread'
  readonly pool: string
  readonly shards: ShardsConfig
  readonly fallback: 'spread' | 'scatter' | 'backup'
  /** The server's name, with `fallback: backup`. */
  readonly backup: string | undefined
  readonly rampUpMs: number
  readonly warm: boolean
  readonly retryOn: readonly number[]
  readonly methods: readonly string[]
  readonly bodies: 'refuse' | 'allow'
  readonly maxBodyBytes: number
  readonly timeouts: {
    readonly connectMs: number
    readonly firstByteMs: number
    readonly betweenBytesMs: number
    /** undefined: off. */
    readonly photoMs: number | undefined
  }
  readonly requestHeaders: HeaderRules
  readonly responseHeaders: HeaderRules
}

export type UserPatternConfig =
  | { readonly type: 'path'; readonly pattern: string }
  | { readonly type: 'regex'; readonly regex: string }
  | { readonly type: 'query'; readonly parameter: string }
  | { readonly type: 'header'; readonly header: string }

export type ShardsConfig =
  | { readonly type: 'hash' }
  | { readonly type: 'modulo'; readonly modulo: number }
  | { readonly type: 'table'; readonly file: string }

export interface HeaderRules {
  readonly set: Readonly<Record<string, string>>
  readonly remove: readonly string[]
}

export interface RouteConfig {
  /** Lower case, no port, no last dot; undefined: any host. */
  readonly host: string | undefined
  /** Ends in `*`: any rest; undefined: any path. */
  readonly path: string | undefined
  readonly action: RouteAction
}

export type RouteAction =
  | { readonly type: 'group'; readonly group: string }
  /** `{target}` in `to` stands for the request's target. */
  | { readonly type: 'redirect'; readonly status: number; readonly to: string }
  | {
      readonly type: 'respond'
      readonly status: number
      readonly contentType: string
      readonly body: string
    }

interface CheckTiming {
  readonly name: string
  readonly intervalMs: number
  readonly fastIntervalMs: number
  readonly downIntervalMs: number
  readonly timeoutMs: number
  readonly fall: number
  readonly rise: number
  /** 0 to 100; shortens only. */
  readonly jitterPct: number
  /** undefined: the server's own. */
  readonly port: number | undefined
}

export interface TcpCheckConfig extends CheckTiming {
  readonly type: 'tcp'
}

export interface HttpCheckConfig extends CheckTiming {
  readonly type: 'http' | 'https'
  readonly method: string
  readonly path: string
  readonly host: string | undefined
  readonly sni: string | undefined
  readonly verify: boolean
  readonly status: readonly number[]
  readonly trustStatus: readonly number[]
  readonly reuse: boolean
  readonly timeouts: {
    readonly connectMs: number
    readonly firstByteMs: number
    readonly lastByteMs: number
  }
  readonly header: Readonly<Record<string, string>>
  readonly body:
    | undefined
    | { readonly type: 'contains'; readonly text: string }
    | { readonly type: 'regex'; readonly regex: string }
    | { readonly type: 'sha256'; readonly digest: string }
}

export interface ScriptCheckConfig extends CheckTiming {
  readonly type: 'script'
  readonly command: readonly string[]
  readonly user: string | undefined
  readonly dynamic: boolean
}

export interface PhotoCheckConfig extends CheckTiming {
  readonly type: 'photo'
  readonly path: string
  readonly host: string | undefined
  readonly length: number | undefined
  readonly sha256: string | undefined
  readonly maxLatencyMs: number | undefined
}

export type CheckConfig = TcpCheckConfig | HttpCheckConfig | ScriptCheckConfig | PhotoCheckConfig

export interface MountcheckConfig {
  readonly boxes: readonly string[]
  readonly address: string
  readonly port: number
  readonly partial: 'weight' | 'down'
  readonly mounts: readonly MountConfig[]
  readonly scripts: readonly {
    readonly command: readonly string[]
    readonly intervalMs: number
    readonly timeoutMs: number
  }[]
}

export interface MountConfig {
  readonly path: string
  readonly source: string | undefined
  readonly type: string | undefined
  readonly options: readonly string[]
  readonly minFree: FreeBound
  readonly minInodes: FreeBound
  readonly intervalMs: number
  readonly deadlineMs: number
  readonly canary: { readonly file: string; readonly sha256: string } | undefined
}

/** A share of the whole, or an amount (bytes, or inodes). */
export type FreeBound =
  | { readonly type: 'share'; readonly pct: number }
  | { readonly type: 'amount'; readonly amount: number }

export interface AdminConfig {
  /** `{box}` and `{part}` stand until `forBox` names them. */
  readonly socket: string
  readonly http: { readonly address: string; readonly port: number } | undefined
  readonly token: string | undefined
  readonly edge:
    { readonly address: string; readonly port: number; readonly key: string } | undefined
  /** undefined: beside the socket. */
  readonly state: string | undefined
}

/** Read and checked, and used by no service yet: kept as the checked source's own shape. */
export type DirectorConfig = Readonly<Record<string, unknown>> & {
  readonly boxes: readonly string[]
}

/** As `DirectorConfig`. */
export type AlertSinkConfig = Readonly<Record<string, unknown>>
