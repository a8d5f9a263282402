import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openAdmin } from '../../admin/open.ts'
import { sampleControl, sampleStatus } from '../admin/sample.ts'
import { startProgramRuns } from './program-runs.ts'

const { run, end } = startProgramRuns()
t.teardown(end)

const CONFIG = `edge: lab
boxes:
  router-1: { address: 10.0.0.1 }
  router-2: { address: 10.0.0.2 }
pools:
  caches: { servers: { c1: "127.0.0.1:9101", c2: "127.0.0.1:9102", c3: "127.0.0.1:9103" } }
router:
  boxes: [router-1, router-2]
  accessLog: { format: off }
  listen: [{ address: 0.0.0.0:9300 }]
  groups:
    photos: { user: "/u/{user}/{photo}", pool: caches }
  routes: [{ path: /u/*, group: photos }]
admin: { socket: "./{box}.sock" }
`

function folder(t: { teardown: (act: () => void) => void }): string {
  const path = mkdtempSync(join(tmpdir(), 'cmd-'))
  t.teardown(() => {
    rmSync(path, { recursive: true })
  })
  writeFileSync(join(path, 'edge.yaml'), CONFIG)
  return path
}

void t.test('each command asks the running router and shows its answer', async (t) => {
  const dir = folder(t)
  const socket = join(dir, 'router-2.sock')
  const control = sampleControl()
  const admin = await openAdmin(control, { socket, http: undefined, token: undefined })
  const at = ['--socket', socket]

  const status = await run(['status', ...at])
  t.match(status, { code: 0, stdout: /^router-1 of lab: running .*\n/, stderr: '' })
  const json = await run(['status', '--json'], { PHOTOEDGE_SOCKET: socket })
  t.strictSame(JSON.parse(json.stdout), sampleStatus)
  const byConfig = await run([
    'drain',
    'cache-1',
    '-c',
    join(dir, 'edge.yaml'),
    '--box',
    'router-2',
  ])
  t.strictSame(byConfig, { code: 0, stdout: 'caches/cache-1: up, weight 1\n', stderr: '' })
  t.match(await run(['undrain', 'cache-1', ...at]), { code: 0 })
  t.match(await run(['weight', 'cache-1', '2.5', ...at]), { code: 0 })
  t.match(await run(['weight', 'cache-1', 'configured', ...at]), { code: 0 })
  t.match(await run(['reload', '--force', ...at]), {
    code: 0,
    stdout: '/etc/photoedge/edge.yaml is in use as generation 4\n',
  })
  t.match(await run(['explain', '/nowhere', ...at]), { code: 0, stdout: /No route matches/ })
  t.match(
    await run(['simulate', '--down', 'a, b', '--users', '5', '--hashed', '0', ...at, '--json']),
    {
      code: 0,
      stdout: /"down": \[/,
    },
  )
  t.strictSame(control.calls, [
    ['drain', { cache: 'cache-1' }],
    ['undrain', { cache: 'cache-1' }],
    ['weight', { cache: 'cache-1', weight: 2.5 }],
    ['weight', { cache: 'cache-1', weight: null }],
    ['reload', { force: true }],
    ['simulate', { down: ['a', 'b'], userCount: 5, hashedCount: 0 }],
  ])
  await admin.close()
})

void t.test('what the router refuses is exit code 1 and its reasons', async (t) => {
  const dir = folder(t)
  const socket = join(dir, 'admin.sock')
  const problems = ['edge.yaml:1:1: one', 'edge.yaml:2:1: two']
  const admin = await openAdmin(
    sampleControl({ reload: () => Promise.resolve({ ok: false, status: 422, problems }) }),
    { socket, http: undefined, token: undefined },
  )
  t.strictSame(await run(['reload', '--socket', socket]), {
    code: 1,
    stdout: '',
    stderr: `${problems.join('\n')}\n`,
  })
  const json = await run(['reload', '--json', '--socket', socket])
  t.equal(json.code, 1)
  t.strictSame(JSON.parse(json.stdout), { problems })
  await admin.close()
})

void t.test('no router there is one sentence and exit code 1', async (t) => {
  const dir = folder(t)
  const file = join(dir, 'edge.yaml')
  for (const [args, stderr] of [
    [['--socket', join(dir, 'x.sock')], /^photoedge status: Cannot ask the router on .*x\.sock: /],
    [['-c', file, '--box', 'router-1'], /router-1\.sock: there is no such socket/],
    [['-c', file, '--box', 'cache-9'], /has no router "cache-9": it has router-1, router-2\n$/],
    [['-c', file], /is no router of .*: --box takes one of router-1, router-2\n$/],
    [['-c', join(dir, 'none.yaml')], /there is no such file/],
  ] as const) {
    const ended = await run(['status', ...args])
    t.match(ended, { code: 1, stdout: '', stderr })
    t.equal(ended.stderr.split('\n').length, 2, 'one line')
  }
})

void t.test('a wrong command line is exit code 2', async (t) => {
  for (const args of [
    ['drain'],
    ['drain', 'a', 'b'],
    ['weight', 'a'],
    ['weight', 'a', '-1'],
    ['weight', 'a', 'much'],
    ['weight', 'a', '1000001'],
    ['simulate'],
    ['simulate', '--down', ','],
    ['simulate', '--down', 'a', '--users', '0'],
    ['simulate', '--down', 'a', '--hashed', 'x'],
    ['simulate', '--down', 'a', '--offline'],
    ['status', '--watch', '--json'],
    ['explain'],
    ['reload', '--forse'],
  ]) {
    t.match(await run(args), { code: 2, stdout: '', stderr: /^photoedge / }, args.join(' '))
  }
})

void t.test('simulate and explain need no router with --offline', async (t) => {
  const dir = folder(t)
  const at = ['--offline', '-c', join(dir, 'edge.yaml'), '--box', 'router-1', '--json']
  const simulated = await run(['simulate', '--down', 'c2', '--users', '5', '--rate', '300', ...at])
  t.equal(simulated.code, 0, simulated.stderr)
  const { groups, rate } = JSON.parse(simulated.stdout) as {
    rate: string
    groups: {
      othersMoved: number
      caches: { usersBefore: number; usersAfter: number; requestsPerSecondAfter: number }[]
    }[]
  }
  t.equal(rate, 'given')
  const [group] = groups
  if (group === undefined) throw new Error('no group was simulated')
  t.equal(group.othersMoved, 0)
  t.equal(group.caches[1]?.usersAfter, 0)
  const users = group.caches.reduce((sum, { usersAfter }) => sum + usersAfter, 0)
  t.equal(users, 5, 'nobody is lost')
  const usersBefore = group.caches.reduce((sum, cache) => sum + cache.usersBefore, 0)
  t.equal(usersBefore, 5, 'nor counted twice')
  const load = group.caches.reduce((sum, cache) => sum + cache.requestsPerSecondAfter, 0)
  t.ok(Math.abs(load - 300) < 0.01, 'and no request')

  t.match(await run(['simulate', '--down', 'c9', ...at.slice(0, -1)]), {
    code: 1,
    stderr: 'There is no cache "c9", did you mean c1?\n',
  })
  const explained = await run(['explain', 'http://cdn/u/42/a.jpg', ...at])
  t.match(JSON.parse(explained.stdout), { user: '42', group: 'photos', cacheCount: 3 })
})

void t.test(
  'a simulation tells whom a shard table names and takes the others to be hashed',
  async (t) => {
    const dir = folder(t)
    const file = join(dir, 'edge.yaml')
    writeFileSync(file, CONFIG.replace('pool: caches }', 'pool: caches, shards: { table: ids } }'))
    writeFileSync(join(dir, 'ids'), '1-10 c1\n')
    const simulate = (...more: string[]) =>
      run(['simulate', '--down', 'c1', '--offline', '-c', file, '--box', 'router-1', ...more])
    const text = await simulate()
    t.match(
      text.stdout,
      /^group photos, .*: caches\/c1 down, 1000000 users: 10 whom the table names \(of its 10 ids\), 999990 beyond it by hash$/m,
    )
    t.match(text.stdout, /^33\d{4} users move /m)
    const asked = [
      [['--users', '12'], { namedCount: 10, hashedCount: 2 }],
      [['--users', '4'], { namedCount: 4, hashedCount: 0 }],
      [['--users', '4', '--hashed', '1'], { namedCount: 3, hashedCount: 1 }],
      [['--users', '4', '--hashed', '9'], { namedCount: 0, hashedCount: 4 }],
      [['--hashed', '0'], { namedCount: 10, hashedCount: 0 }],
    ] as const
    for (const [more, table] of asked) {
      const { stdout } = await simulate(...more, '--json')
      const { groups } = JSON.parse(stdout) as { groups: { caches: { usersBefore: number }[] }[] }
      t.match(groups[0], { table: { idCount: 10, ...table } })
      t.match(groups[0]?.caches[0], { usersBefore: Number }, more.join(' '))
    }
  },
)
