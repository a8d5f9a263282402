import type { FreeBound } from '../config.ts'
import {
  boxPattern,
  choice,
  DAY_MS,
  duration,
  endpoint,
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
  scalar,
} from '../schema-kit.ts'

/** `router-*`, `[director-a, director-b]`, `router-[1-3]`. */
export const boxes = () => oneOrMany(boxPattern())

const weight = () => integer(0, 65_535)

export const boxesSchema = record(
  'rangedName',
  map({
    address: other('rangedAddress'),
    address6: optional(other('rangedAddress')),
    interface: optional(other('name')),
    site: optional(name()),
    weight: optional(weight()),
  }),
  { minProperties: 1 },
)

/** Servers that do the same work: boxes, or servers of their own. */
export const poolSchema = map({
  boxes: optional(boxes()),
  servers: optional(record('rangedName', other('rangedEndpoint'), { minProperties: 1 })),
  port: optional(integer(1, 65_535)),
  check: optional(oneOrMany(name(), { minItems: 0 })),
  weights: record('boxPattern', weight(), { default: {} }),
  onFail: choice(['remove', 'quiesce'], { default: 'remove' }),
  maxConnections: orOff(integer(1, 1_000_000), { default: 'off' }),
  framing: choice(['any', 'required'], { default: 'any' }),
  keepAlive: map(
    {
      idle: duration({ default: '60s', min: 1, max: DAY_MS }),
      connections: integer(0, 65_535, { default: 128 }),
    },
    { default: {} },
  ),
  panicThreshold: percent({ default: '50%' }),
  panicFor: duration({ default: '60s', max: DAY_MS }),
})

const mountSchema = map({
  path: other('mountPoint'),
  source: optional(other('someText')),
  type: optional(name()),
  options: list(other('someText'), { default: [] }),
  minFree: scalar<FreeBound>('freeBytes', { type: 'string' }, { default: '5%' }),
  minInodes: scalar<FreeBound>('freeInodes', { type: ['string', 'integer'] }, { default: '5%' }),
  interval: duration({ default: '1s', min: 10, max: 3_600_000 }),
  deadline: duration({ default: '1s', min: 10, max: 3_600_000 }),
  canary: optional(map({ file: other('someText'), sha256: other('sha256') })),
})

export const mountcheckSchema = map({
  boxes: boxes(),
  listen: endpoint({ default: '0.0.0.0:8081' }),
  partial: choice(['weight', 'down'], { default: 'weight' }),
  mounts: list(mountSchema, { default: [] }),
  scripts: list(
    map({
      command: oneOrMany(other('someText')),
      interval: duration({ default: '5s', min: 10, max: DAY_MS }),
      timeout: duration({ default: '2s', min: 10, max: DAY_MS }),
    }),
    { default: [] },
  ),
})

export const adminSchema = map(
  {
    socket: other('file', { default: '/run/photoedge/{box}-{part}.sock' }),
    http: orOff(endpoint(), { default: '127.0.0.1:9080' }),
    token: optional(other('file')),
    edge: optional(map({ address: endpoint(), key: other('file') })),
    state: optional(other('file')),
  },
  { default: {} },
)
