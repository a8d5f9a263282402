import t from 'tap'
import { namedFiles } from '../../common/config/named-files.ts'
import type { Part } from '../../common/config/for-box.ts'
import { parseConfig } from '../../common/config/parse-config.ts'

const EDGE = `edge: lab
boxes: { r: { address: 10.0.0.1 }, d: { address: 10.0.0.2 }, c: { address: 10.0.0.3 } }
pools:
  caches: { servers: { c0: "10.0.1.1:80" }, check: [probe, again] }
router:
  boxes: r
  listen: [{ address: "0.0.0.0:443", tls: [{ certificate: cdn.pem, key: cdn.key }], ticketKeys: tickets }]
  groups: { photos: { user: "/u/{user}", pool: caches, shards: { table: shards.txt } } }
director:
  boxes: d
  peers: { key: peers.key }
  vrrp:
    ip: { virtualRouterId: 1, priority: { d: 1 }, addresses: [10.0.0.9], notify: [./notify.sh, now] }
    udp: { virtualRouterId: 2, priority: { d: 1 }, addresses: [10.0.0.8], transport: udp, udp: { key: udp.key }, track: [{ script: /usr/bin/true }] }
mountcheck:
  boxes: c
  listen: 0.0.0.0:8081
  mounts: [{ path: /srv }]
  scripts: [{ command: ./mounts.sh }]
checks:
  probe: { type: script, command: [./probe.sh, "{address}"], user: nobody }
  again: { type: script, command: ./probe.sh, user: daemon }
  unused: { type: script, command: ./unused.sh, user: games }
alerts: { exec: { command: ./alert.sh }, zabbix: { server: "10.0.0.7:10051", psk: { identity: i, key: "{box}.psk" } } }
admin: { token: "{box}.token" }
`

const PROBE = ['probe.sh', 'nobody', 'daemon']
const ROUTER = ['cdn.pem', 'cdn.key', 'shards.txt', 'tickets', ...PROBE, 'alert.sh']
const DIRECTOR = ['peers.key', 'notify.sh', 'udp.key', '/usr/bin/true', ...PROBE, 'alert.sh']

void t.test('a box, or a part, is told of the files that it needs', (t) => {
  const parsed = parseConfig(EDGE, { file: 'edge.yaml', folder: '/etc' })
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  const names = (box?: string, part?: Part) =>
    namedFiles(parsed.config, box, part)
      .map(({ file, use }) => (use.type === 'users' ? use.user : file.replace(/^\/etc\//, '')))
      .sort()
  t.strictSame(names('r'), [...ROUTER, 'r.psk', 'r.token'].sort())
  t.strictSame(names('r', 'router'), names('r'))
  t.strictSame(names('r', 'director'), [])
  t.strictSame(names('d'), [...DIRECTOR, 'd.psk', 'd.token'].sort())
  t.strictSame(names('c'), ['c.token', 'mounts.sh'])
  t.strictSame(
    names(),
    [...new Set([...ROUTER, ...DIRECTOR, 'mounts.sh', '{box}.psk', '{box}.token'])].sort(),
    'of every box, as they are written',
  )
  t.end()
})
