import {
  choice,
  DAY_MS,
  duration,
  either,
  endpoint,
  file,
  integer,
  list,
  map,
  name,
  oneOrMany,
  optional,
  orOff,
  other,
  percent,
  record,
  size,
  toggle,
} from '../schema-kit.ts'
import { boxes } from './inventory.ts'

const timeout = (value: string) => duration({ default: value, min: 1, max: DAY_MS })

const listenerSchema = map({
  address: endpoint(),
  trust: list(other('prefix'), { default: [] }),
  proxyProtocol: choice(['off', 'v1', 'v2'], { default: 'off' }),
  maxConnections: orOff(integer(1, 10_000_000), { default: 'off' }),
  keepAlive: map(
    { requests: integer(1, 1_000_000_000, { default: 100_000 }), age: timeout('1h') },
    { default: {} },
  ),
  timeouts: map(
    { head: timeout('10s'), idle: timeout('60s'), send: timeout('60s') },
    { default: {} },
  ),
  limits: map(
    {
      target: size({ default: '8KB', min: 64, max: 65_536 }),
      head: size({ default: '32KB', min: 256, max: 131_072 }),
      fields: integer(8, 1_000, { default: 200 }),
    },
    { default: {} },
  ),
  tls: list(map({ certificate: file(), key: file() }), { default: [] }),
  minTls: choice(['1.2', '1.3'], { default: '1.2' }),
  ticketKeys: optional(file()),
})

const headerRules = () =>
  map(
    {
      set: record('headerName', other('headerValue'), { default: {} }),
      remove: list(other('headerName'), { default: [] }),
    },
    { default: {} },
  )

const groupSchema = map({
  user: either(
    other('userPath'),
    map({
      regex: optional(other('someText')),
      query: optional(other('parameter')),
      header: optional(other('headerName')),
    }),
  ),
  noUser: choice(['404', 'spread'], { default: '404' }),
  pool: name(),
  shards: optional(map({ modulo: optional(integer(1, 65_535)), table: optional(file()) })),
  fallback: choice(['spread', 'scatter', 'backup'], { default: 'spread' }),
  backup: optional(name()),
  rampUp: duration({ default: '0s', max: 7 * DAY_MS }),
  warm: toggle({ default: false }),
  retryOn: oneOrMany(integer(400, 599), { default: [], minItems: 0 }),
  methods: oneOrMany(other('method'), { default: ['GET', 'HEAD'] }),
  bodies: choice(['refuse', 'allow'], { default: 'refuse' }),
  maxBody: size({ default: '1MB', max: 1024 ** 4 }),
  timeouts: map(
    {
      connect: timeout('250ms'),
      firstByte: timeout('2s'),
      betweenBytes: timeout('5s'),
      photo: orOff(duration({ min: 1, max: DAY_MS }), { default: 'off' }),
    },
    { default: {} },
  ),
  requestHeaders: headerRules(),
  responseHeaders: headerRules(),
})

const routeSchema = map({
  host: optional(other('hostName')),
  path: optional(other('pathPattern')),
  group: optional(name()),
  redirect: optional(map({ status: integer(300, 399, { default: 302 }), to: other('location') })),
  respond: optional(
    map({
      status: integer(200, 599, { default: 200 }),
      type: other('headerValue', { default: 'text/plain' }),
      body: other('text', { default: '' }),
    }),
  ),
})

export const routerSchema = map({
  boxes: boxes(),
  workers: integer(1, 256, { default: 1 }),
  health: other('urlPath', { default: '/.photoedge/health' }),
  drainDeadline: duration({ default: '30s', max: DAY_MS }),
  maxMoved: orOff(percent(), { default: 'off' }),
  accessLog: map(
    {
      file: file({ default: '/var/log/photoedge/{box}-access.log' }),
      format: choice(['json', 'combined', 'off'], { default: 'json' }),
      sample: percent({ default: '100%' }),
    },
    { default: {} },
  ),
  listen: list(listenerSchema, { minItems: 1 }),
  groups: record('name', groupSchema, { default: {} }),
  routes: list(routeSchema, { default: [] }),
})
