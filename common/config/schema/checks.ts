import { LONGEST_BODY_BYTES } from '../../model/health.ts'
import {
  choice,
  duration,
  integer,
  map,
  name,
  oneOrMany,
  optional,
  other,
  percent,
  record,
  toggle,
  variants,
} from '../schema-kit.ts'

const HOUR_MS = 3_600_000
const span = () => duration({ min: 1, max: HOUR_MS })

/** The keys that every check has. */
const timing = () => ({
  interval: duration({ default: '1s', min: 10, max: HOUR_MS }),
  timeout: optional(duration({ min: 1, max: HOUR_MS })),
  fall: integer(1, 1_000, { default: 3 }),
  rise: integer(1, 1_000, { default: 1 }),
  jitter: percent({ default: '10%' }),
  fastInterval: optional(duration({ min: 10, max: HOUR_MS })),
  downInterval: optional(duration({ min: 10, max: HOUR_MS })),
  port: optional(integer(1, 65_535)),
})

/** Those of a final answer: 1xx are not (RFC 9110 section 15.2). */
const statuses = (value: readonly number[], minItems: number) =>
  oneOrMany(integer(200, 599), { default: value, minItems })

const http = <const Type extends 'http' | 'https'>(type: Type) =>
  map({
    type: choice([type]),
    ...timing(),
    method: other('method', { default: 'GET' }),
    path: other('urlPath', { default: '/' }),
    host: optional(other('hostField')),
    sni: optional(other('hostName')),
    verify: toggle({ default: 'off' }),
    status: statuses([200], 1),
    trustStatus: statuses([503], 0),
    reuse: toggle({ default: 'on' }),
    timeouts: map(
      { connect: optional(span()), firstByte: optional(span()), lastByte: optional(span()) },
      { default: {} },
    ),
    header: record('headerName', other('headerValue'), { default: {} }),
    body: optional(
      map({
        contains: optional(other('someText')),
        regex: optional(other('someText')),
        sha256: optional(other('sha256')),
      }),
    ),
  })

export const checkSchema = variants('type', {
  tcp: map({ type: choice(['tcp']), ...timing() }),
  http: http('http'),
  https: http('https'),
  script: map({
    type: choice(['script']),
    ...timing(),
    command: oneOrMany(other('someText')),
    user: optional(name()),
    dynamic: toggle({ default: 'off' }),
  }),
  photo: map({
    type: choice(['photo']),
    ...timing(),
    path: other('urlPath'),
    host: optional(other('hostField')),
    length: optional(integer(0, LONGEST_BODY_BYTES)),
    sha256: optional(other('sha256')),
    maxLatency: optional(span()),
  }),
})
