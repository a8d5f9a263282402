/**
 * What goes over the admin API, once for all: the routes check and serialise by these schemas, the
 * server's and the client's types are their `Static`. Numbers carry their unit in their name;
 * rates are over the last ten seconds.
 */
import { Type } from 'typebox'
import type { Static } from 'typebox'

const closed = { additionalProperties: false }

export const EventSchema = Type.Object(
  {
    /** Wall clock, milliseconds since 1970. */
    atMs: Type.Number(),
    event: Type.String(),
    subject: Type.String(),
    from: Type.Optional(Type.String()),
    to: Type.Optional(Type.String()),
    reason: Type.String(),
  },
  closed,
)
export type Event = Static<typeof EventSchema>

export const CacheStatusSchema = Type.Object(
  {
    pool: Type.String(),
    name: Type.String(),
    /** `10.0.0.21:80`, `[2001:db8::21]:80`. */
    address: Type.String(),
    /** The checks' verdict. */
    state: Type.Union([Type.Literal('up'), Type.Literal('down'), Type.Literal('unknown')]),
    /** The verdict's reason, in words. */
    reason: Type.String(),
    /** Wall clock of the verdict's last change. */
    sinceMs: Type.Number(),
    /** Drained by an operator. */
    drained: Type.Boolean(),
    /** Workers (their numbers) in which traffic's own failures have made it suspect. */
    suspectIn: Type.Array(Type.Integer()),
    /** As configured. */
    configuredWeight: Type.Number(),
    /** In use: `photoedge weight`'s, else the configured one. */
    weight: Type.Number(),
    /** Share of its weight that it carries now, 0 to 1 (checks, ramp). */
    factor: Type.Number(),
    /** It takes its users back in steps, as `rampUp` says. */
    returning: Type.Optional(
      Type.Object(
        {
          /** Of its users that are back, percent; of several groups, the least. */
          sharePct: Type.Number(),
          /** When all of them will be, wall clock. */
          untilMs: Type.Number(),
          /** Why they are not at once. */
          reason: Type.String(),
        },
        closed,
      ),
    ),
    requestsPerSecond: Type.Number(),
    /** Of its pool's requests in that time, percent. */
    sharePct: Type.Number(),
    errorsPerSecond: Type.Number(),
    /** Failed attempts and cut bodies since the router's start. */
    errorCount: Type.Number(),
    activeRequests: Type.Number(),
    connections: Type.Number(),
    /** Kept up while the checks suspect themselves, or down while it flaps. */
    held: Type.Union([Type.Literal('no'), Type.Literal('panic'), Type.Literal('flapping')]),
    /** Times it went down since the router knows it. */
    outageCount: Type.Integer(),
    /** Last ten checks, oldest first: `+` passed, `s` slow, `-` failed, `?` not counted. */
    results: Type.String(),
  },
  closed,
)
export type CacheStatus = Static<typeof CacheStatusSchema>

export const WorkerStatusSchema = Type.Object(
  {
    worker: Type.Integer(),
    pid: Type.Integer(),
    state: Type.Union([
      Type.Literal('starting'),
      Type.Literal('ready'),
      Type.Literal('draining'),
      Type.Literal('dead'),
    ]),
    /** Wall clock of its start. */
    sinceMs: Type.Number(),
    generation: Type.Integer(),
    requestsPerSecond: Type.Number(),
    connections: Type.Number(),
    /** Longest time that its event loop was late in the last second. */
    lateMs: Type.Number(),
  },
  closed,
)
export type WorkerStatus = Static<typeof WorkerStatusSchema>

export const ListenerStatusSchema = Type.Object(
  {
    name: Type.String(),
    tls: Type.Boolean(),
    proxyProtocol: Type.Union([Type.Literal('off'), Type.Literal('v1'), Type.Literal('v2')]),
  },
  closed,
)
export type ListenerStatus = Static<typeof ListenerStatusSchema>

export const RouterStatusSchema = Type.Object(
  {
    edge: Type.String(),
    box: Type.String(),
    part: Type.Literal('router'),
    version: Type.String(),
    state: Type.Union([
      Type.Literal('starting'),
      Type.Literal('running'),
      Type.Literal('draining'),
    ]),
    pid: Type.Integer(),
    sinceMs: Type.Number(),
    configFile: Type.String(),
    /** 1 at start, one more at each reload that was taken. */
    generation: Type.Integer(),
    reloadedAtMs: Type.Optional(Type.Number()),
    requestsPerSecond: Type.Number(),
    requestCount: Type.Number(),
    /** Share of answers in the last ten seconds with a status of 500 or more, percent. */
    errorPct: Type.Number(),
    connections: Type.Number(),
    workerRestarts: Type.Integer(),
    caches: Type.Array(CacheStatusSchema),
    /** As configured; `workers` has those that live, also one that drains beside its successor. */
    workerCount: Type.Integer(),
    workers: Type.Array(WorkerStatusSchema),
    listeners: Type.Array(ListenerStatusSchema),
    /** The latest, newest first; at most 20 (all that are kept: `/events`). */
    events: Type.Array(EventSchema),
  },
  closed,
)
export type RouterStatus = Static<typeof RouterStatusSchema>

export const ExplainQuerySchema = Type.Object(
  {
    /** A whole URL, or a target (`/u/1/2.jpg`). */
    url: Type.String({ minLength: 1, maxLength: 16_384 }),
    /** A user pattern that reads a header needs its value. */
    header: Type.Optional(Type.String({ maxLength: 16_384 })),
  },
  closed,
)
export type ExplainQuery = Static<typeof ExplainQuerySchema>

export const ExplainedCacheSchema = Type.Object(
  {
    rank: Type.Integer(),
    name: Type.String(),
    weight: Type.Number(),
    factor: Type.Number(),
    usable: Type.Boolean(),
    /** Why it can't be used now, or where it stands: `up`, `drained`, `down: connect refused`. */
    reason: Type.String(),
  },
  closed,
)
export type ExplainedCache = Static<typeof ExplainedCacheSchema>

export const ExplanationSchema = Type.Object(
  {
    url: Type.String(),
    /** As the routes see it. */
    host: Type.String(),
    path: Type.String(),
    /** Index of the route that matches, from 0; none: 404. */
    route: Type.Optional(Type.Integer()),
    /** What the route does when it answers by itself. */
    answer: Type.Optional(Type.String()),
    group: Type.Optional(Type.String()),
    pool: Type.Optional(Type.String()),
    /** Percent-decoded; bytes that are no UTF-8 as U+FFFD. */
    user: Type.Optional(Type.String()),
    slot: Type.Optional(Type.Integer()),
    /** Whence the home: `hash`, `modulo`, `table`. */
    homeBy: Type.Optional(Type.String()),
    fallback: Type.Optional(Type.String()),
    /** In the user's order; long lists are cut after 16. */
    caches: Type.Array(ExplainedCacheSchema),
    /** How many there are in all. */
    cacheCount: Type.Integer(),
    choice: Type.Optional(Type.String()),
    /** One sentence: why that one. */
    why: Type.String(),
  },
  closed,
)
export type Explanation = Static<typeof ExplanationSchema>

export const SimulateRequestSchema = Type.Object(
  {
    /** Names of caches, or `pool/name`. */
    down: Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 4096 }),
    /** Users to spread; only their number matters. */
    userCount: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000 })),
    /** Of them, users whom a shard table does not name; left out: those beyond its count of ids. */
    hashedCount: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
    /** Requests per second to spread; left out: what is measured now. */
    requestsPerSecond: Type.Optional(Type.Number({ minimum: 0 })),
  },
  closed,
)
export type SimulateRequest = Static<typeof SimulateRequestSchema>

export const SimulatedCacheSchema = Type.Object(
  {
    name: Type.String(),
    weight: Type.Number(),
    down: Type.Boolean(),
    usersBefore: Type.Number(),
    usersAfter: Type.Number(),
    requestsPerSecondBefore: Type.Number(),
    requestsPerSecondAfter: Type.Number(),
    /** Of the users that lost their cache, percent. */
    shareOfLostPct: Type.Number(),
    /** Growth of its load, percent. */
    growthPct: Type.Number(),
  },
  closed,
)
export type SimulatedCache = Static<typeof SimulatedCacheSchema>

export const SimulatedGroupSchema = Type.Object(
  {
    group: Type.String(),
    pool: Type.String(),
    fallback: Type.String(),
    /** Where a shard table gives the homes: how many ids it names, and of the users, how many it does. */
    table: Type.Optional(
      Type.Object(
        { idCount: Type.Number(), namedCount: Type.Number(), hashedCount: Type.Number() },
        closed,
      ),
    ),
    caches: Type.Array(SimulatedCacheSchema),
    /** Users whose cache is another one afterwards. */
    usersMoved: Type.Number(),
    /** Of those, users whose cache before was not one of the dead: 0 with `spread`. */
    othersMoved: Type.Number(),
    /** Users for whom no cache is left. */
    usersLost: Type.Number(),
    /** The survivor that gets the largest share of the lost users; none when nobody gets any. */
    worstSurvivor: Type.Optional(Type.String()),
    /** Of the survivors, load by weight, the highest to the mean. */
    maxToMean: Type.Number(),
  },
  closed,
)

export const SimulationSchema = Type.Object(
  {
    down: Type.Array(Type.String()),
    /** Whether the requests per second were measured, given, or neither (then 0). */
    rate: Type.Union([Type.Literal('measured'), Type.Literal('given'), Type.Literal('none')]),
    userCount: Type.Integer(),
    groups: Type.Array(SimulatedGroupSchema),
  },
  closed,
)
export type Simulation = Static<typeof SimulationSchema>

export const CacheRequestSchema = Type.Object(
  {
    /** A cache's name, or `pool/name` where several pools have it; a bare name means all of them. */
    cache: Type.String({ minLength: 1 }),
  },
  closed,
)
export type CacheRequest = Static<typeof CacheRequestSchema>

export const WeightRequestSchema = Type.Object(
  {
    cache: Type.String({ minLength: 1 }),
    /** 0 quiesces; null goes back to the configured one. */
    weight: Type.Union([Type.Number({ minimum: 0, maximum: 1_000_000 }), Type.Null()]),
  },
  closed,
)
export type WeightRequest = Static<typeof WeightRequestSchema>

/** The caches that an operator's command touched, as they are now. */
export const ChangedSchema = Type.Object(
  {
    caches: Type.Array(CacheStatusSchema),
    /** It is in force, but a restart of the router ends it; why, as a sentence. */
    notKept: Type.Optional(Type.String()),
    /** Pools none of whose caches serves now. */
    unserved: Type.Array(Type.String()),
  },
  closed,
)
export type Changed = Static<typeof ChangedSchema>

export const ReloadRequestSchema = Type.Object(
  {
    /** Also when more users would move than `router.maxMoved` lets. */
    force: Type.Optional(Type.Boolean()),
  },
  closed,
)
export type ReloadRequest = Static<typeof ReloadRequestSchema>

export const ReloadedSchema = Type.Object(
  {
    generation: Type.Integer(),
    configFile: Type.String(),
    /** `file:line:column: sentence`. */
    warnings: Type.Array(Type.String()),
    /** Users that have another cache now, percent, when it was computed. */
    movedPct: Type.Optional(Type.Number()),
    /** Of whom, in words: `the users`, or those whom a shard table names, or none does. */
    movedOf: Type.Optional(Type.String()),
  },
  closed,
)
export type Reloaded = Static<typeof ReloadedSchema>

export const EventsSchema = Type.Object({ events: Type.Array(EventSchema) }, closed)

/** What a refused request gets: 400, 401, 403, 404, 405, 409 or 422. */
export const RefusalSchema = Type.Object(
  {
    /** Each a sentence; a configuration's problems as `file:line:column: sentence`. */
    problems: Type.Array(Type.String(), { minItems: 1 }),
  },
  closed,
)
export type Refusal = Static<typeof RefusalSchema>
