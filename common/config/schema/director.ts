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
  record,
  toggle,
} from '../schema-kit.ts'
import { boxes } from './inventory.ts'

const command = () => oneOrMany(other('someText'))

const trackSchema = either(
  choice(['table']),
  map({
    interface: optional(name()),
    script: optional(command()),
    interval: duration({ default: '1s', min: 10, max: DAY_MS }),
    timeout: duration({ default: '1s', min: 10, max: DAY_MS }),
    rise: integer(1, 1_000, { default: 1 }),
    fall: integer(1, 1_000, { default: 1 }),
    weight: optional(integer(-253, 253)),
  }),
)

const vrrpSchema = map({
  virtualRouterId: integer(1, 255),
  version: choice(['2', '3'], { default: '3' }),
  family: choice(['ipv4', 'ipv6'], { default: 'ipv4' }),
  transport: choice(['ip', 'udp'], { default: 'ip' }),
  udp: optional(map({ port: integer(1, 65_535, { default: 5112 }), key: file() })),
  interface: optional(name()),
  advertiseInterval: duration({ default: '1s', min: 10, max: 255_000 }),
  downAdverts: integer(1, 100, { default: 3 }),
  priority: record('name', integer(1, 255), { minProperties: 1 }),
  preempt: toggle({ default: true }),
  preemptDelay: duration({ default: '0s', max: DAY_MS }),
  peers: list(other('address'), { default: [] }),
  checksum: choice(['pseudo-header', 'message'], { default: 'pseudo-header' }),
  addresses: list(other('address'), { minItems: 1 }),
  routes: list(other('someText'), { default: [] }),
  rules: list(other('someText'), { default: [] }),
  track: list(trackSchema, { default: [] }),
  group: optional(name()),
  notify: optional(command()),
  notifyFifo: optional(file()),
  authentication: optional(map({ type: choice(['pass']), password: other('someText') })),
})

const serviceSchema = map({
  vip: oneOrMany(name()),
  ports: oneOrMany(integer(1, 65_535)),
  protocol: choice(['tcp', 'udp'], { default: 'tcp' }),
  scheduler: choice(['mh', 'rr', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'sed', 'nq'], { default: 'mh' }),
  flags: optional(list(choice(['mh-port', 'mh-fallback', 'sh-port', 'sh-fallback']))),
  forward: choice(['route', 'masq', 'tunnel'], { default: 'route' }),
  pool: name(),
  quorum: integer(1, 65_535, { default: 1 }),
  hysteresis: integer(0, 65_535, { default: 0 }),
  sorryServer: orOff(endpoint(), { default: 'off' }),
  persistence: orOff(duration({ min: 1_000, max: 30 * DAY_MS }), { default: 'off' }),
  sync: choice(['off', 'connections'], { default: 'off' }),
})

export const directorSchema = map({
  boxes: boxes(),
  dataPlane: map(
    {
      type: choice(['xdp', 'ipvs', 'userspace'], { default: 'xdp' }),
      mode: choice(['auto', 'native', 'generic'], { default: 'auto' }),
      interfaces: optional(list(name(), { minItems: 1 })),
      connections: integer(1, 100_000_000, { default: 1_000_000 }),
      onNoServer: choice(['drop', 'reset'], { default: 'drop' }),
    },
    { default: {} },
  ),
  peers: optional(map({ port: integer(1, 65_535, { default: 5113 }), key: file() })),
  vrrp: record('name', vrrpSchema, { default: {} }),
  services: list(serviceSchema, { default: [] }),
})

/** The sinks; a sink's name is its key. */
export const alertsSchema = map(
  {
    zabbix: optional(
      map({
        server: oneOrMany(endpoint()),
        host: other('someText', { default: '{box}' }),
        psk: optional(map({ identity: other('someText'), key: file() })),
      }),
    ),
    smtp: optional(map({ server: endpoint(), from: other('mail'), to: oneOrMany(other('mail')) })),
    exec: optional(
      map({ command: command(), timeout: duration({ default: '10s', min: 10, max: DAY_MS }) }),
    ),
    webhook: optional(map({ url: other('url') })),
  },
  { default: {} },
)
