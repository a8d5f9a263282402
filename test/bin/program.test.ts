import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { commandNames } from '../../bin/program.ts'
import { startProgramRuns } from './program-runs.ts'
import type { Ended } from './program-runs.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/photoedge.ts', import.meta.url))
const PAIR = new URL('../healthcheck/io/fixtures/', import.meta.url)
const EXAMPLES = new URL('../config/examples/', import.meta.url)

const runs = startProgramRuns()
t.teardown(runs.end)

const photoedge = (...args: readonly string[]): Promise<Ended> => runs.run(args)

const runAll = (...lines: readonly string[][]): Promise<Ended[]> =>
  Promise.all(lines.map((args) => runs.run(args)))

t.setTimeout(120_000)

void t.test('the entry file runs the program and gives its exit code', (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, 'chekc'], {
    encoding: 'utf8',
  })
  t.same(
    { status, stdout, stderr },
    {
      status: 2,
      stdout: '',
      stderr: 'photoedge: there is no command "chekc", did you mean check?\n',
    },
  )
  t.end()
})

void t.test('without a command: the list of commands, exit 2; with --help exit 0', async (t) => {
  const [none, help, version] = await runAll([], ['--help'], ['--version'])
  t.match(none, { code: 2, stdout: '', stderr: /check +test a configuration/ })
  t.match(help, { code: 0, stdout: none?.stderr })
  t.match(version, { code: 0, stdout: /^photoedge \d+\.\d+\.\d+\n$/ })
})

void t.test('every help fits into 80 columns', async (t) => {
  const helps = await runAll(['--help'], ...commandNames().map((name) => [name, '--help']))
  for (const { code, stdout } of helps) {
    t.equal(code, 0)
    t.strictSame(
      stdout.split('\n').filter((line) => line.length > 80),
      [],
    )
  }
})

void t.test('an argument that is empty, or a number below 0, is told as what it is', async (t) => {
  const [empty, negative, box] = await runAll(
    ['drain', ''],
    ['weight', 'c1', '-1'],
    ['router', '-c', '/none.yaml', '--box', '-1'],
  )
  t.match(empty, { code: 2, stderr: /: The argument CACHE is empty\n/ })
  t.match(negative, { code: 2, stderr: /: The weight "-1" is not a number from 0 to 1000000\n/ })
  t.match(box, { code: 1, stderr: /^\/none\.yaml:1:1: / })
})

void t.test('a wrong command line is one sentence and exit 2', async (t) => {
  const lines = [
    ['check', '--bxo', 'a'],
    ['check'],
    ['check', '-c'],
    ['check', '-c', 'a', '-c', 'b'],
    ['check', '-c', 'a', 'b'],
    ['check', '--json=1', '-c', 'a'],
    ['schema', '-x'],
  ]
  for (const [index, ended] of (await runAll(...lines)).entries()) {
    t.equal(ended.code, 2, String(lines[index]))
    t.match(ended.stderr, /^photoedge [a-z]+: [^\n]+\nTry: photoedge [a-z]+ --help\n$/)
  }
  t.match((await photoedge('check', '--bxo', 'a')).stderr, /no option --bxo, did you mean --box\?/)
  t.match(await photoedge('zzzzzzzzzz'), {
    code: 2,
    stderr: /no command "zzzzzzzzzz": see photoedge --help/,
  })
})

void t.test('--help of a command has an example', async (t) => {
  for (const name of ['check', 'show', 'schema']) {
    const [long, help] = await runAll([name, '--help'], ['help', name])
    t.equal(long?.code, 0)
    t.match(long?.stdout, new RegExp(`^Usage: photoedge ${name}`))
    t.match(long?.stdout, /\nExample:\n/)
    t.equal(help?.stdout, long?.stdout)
  }
})

void t.test('check: exit 0 and one line, or exit 1 and a line for each problem', async (t) => {
  const folder = t.testdir({ 'bad.yaml': 'edge: lab\nboxs: {}\n' })
  cpSync(EXAMPLES, folder, { recursive: true })
  const good = await photoedge('check', '-c', `${folder}/edge.yaml`)
  t.equal(good.code, 0)
  t.match(
    good.stdout,
    /the configuration is right \(9 boxes, 2 pools, director, router, mountcheck\)/,
  )
  const bad = await photoedge('check', '-c', `${folder}/bad.yaml`)
  t.equal(bad.code, 1)
  t.equal(bad.stdout, '')
  t.match(
    bad.stderr,
    /bad\.yaml:2:1: The configuration has no key "boxs": did you mean "boxes"\?\n/,
  )
  const json = await photoedge('check', '-c', `${folder}/bad.yaml`, '--json')
  t.match(JSON.parse(json.stdout), { ok: false, problems: [{ line: 1 }, { line: 2, column: 1 }] })
  for (const [file, reason] of [
    ['none.yaml', 'there is no such file'],
    ['', 'it is a folder'],
  ]) {
    const { code, stderr } = await photoedge('check', '-c', `${folder}/${file ?? ''}`)
    t.equal(code, 1)
    t.match(stderr, new RegExp(`cannot be read: ${reason ?? ''}`))
  }
})

void t.test('check: the user of a script, as a file that may be missing', async (t) => {
  const user = 'no-such-user'
  const folder = t.testdir({
    'edge.yaml': `edge: lab
boxes: { r: { address: 10.0.0.1 }, c: { address: 10.0.0.2 } }
pools: { caches: { servers: { c0: "10.0.1.1:80" }, check: [known, numbered, unknown] } }
router:
  boxes: r
  listen: [{ address: "10.0.0.1:80" }]
  groups: { photos: { user: { query: u }, pool: caches } }
mountcheck: { boxes: c, mounts: [{ path: /srv }] }
checks:
  known: { type: script, command: /bin/sh, user: root }
  numbered: { type: script, command: /bin/sh, user: 0 }
  unknown: { type: script, command: /bin/sh, user: ${user} }
  unused: { type: script, command: /bin/sh, user: ${user}-either }
`,
  })
  const file = `${folder}/edge.yaml`
  const told = `There is no user "${user}" in /etc/passwd to run the script as\n`
  const [any, router, cache] = await runAll(
    ['check', '-c', file],
    ['check', '-c', file, '--box', 'r'],
    ['check', '-c', file, '--box', 'c'],
  )
  t.match(any, { code: 0, stderr: `${file}:12:52: warning: ${told}` })
  t.match(router, { code: 1, stderr: `${file}:12:52: ${told}` })
  t.match(cache, { code: 0, stderr: '' })
})

void t.test('missing files', async (t) => {
  const folder = t.testdir({})
  cpSync(EXAMPLES, folder, { recursive: true })
  const file = `${folder}/router.yaml`
  const without = await photoedge('check', '-c', file)
  t.equal(without.code, 0)
  t.match(
    without.stderr,
    /router\.yaml:17:\d+: warning: The file "[^"]*cdn\.pem" cannot be used: there is no such file/,
  )
  const withBox = await photoedge('check', '-c', file, '--box', 'router-1')
  t.equal(withBox.code, 1)
  t.notMatch(withBox.stderr, /warning/)
  t.match(
    (await photoedge('check', '-c', file, '--box', 'routr-1')).stderr,
    /no box "routr-1": did you mean "router-1"\?/,
  )
  copyPair(folder)
  t.equal((await photoedge('check', '-c', file, '--box', 'router-1')).code, 0)
  writeFileSync(`${folder}/cdn.key`, otherKey())
  const unlike = await photoedge('check', '-c', file)
  t.equal(unlike.code, 1)
  t.match(unlike.stderr, /its certificate and the key "[^"]*cdn\.key" are not a pair/)
  writeFileSync(`${folder}/cdn.pem`, 'x')
  t.match((await photoedge('check', '-c', file)).stderr, /it holds no certificate/)
  copyPair(folder)
  rmSync(`${folder}/cdn.key`)
  execFileSync('mkfifo', [`${folder}/cdn.key`])
  const pipe = await photoedge('check', '-c', file, '--box', 'router-1')
  t.match(pipe, {
    code: 1,
    stderr: /The file "[^"]*cdn\.key" cannot be used: it is no regular file/,
  })
})

void t.test('ticket keys and shard tables are read', async (t) => {
  const folder = t.testdir({ 'shards.txt': '1-5 c0\n4 c1\n', 'tickets.key': 'AAAA\n' })
  copyPair(folder)
  writeFileSync(
    `${folder}/edge.yaml`,
    `edge: lab
boxes: { r: { address: 10.0.0.1 } }
pools: { caches: { servers: { c0: "10.0.1.1:80", c1: "10.0.1.2:80" } } }
router:
  boxes: r
  listen: [{ address: "0.0.0.0:443", tls: [{ certificate: cdn.pem, key: cdn.key }], ticketKeys: tickets.key }]
  groups: { photos: { user: "/u/{user}", pool: caches, shards: { table: shards.txt } } }
`,
  )
  const { code, stderr } = await photoedge('check', '-c', `${folder}/edge.yaml`)
  t.equal(code, 1)
  t.match(
    stderr,
    /edge\.yaml:6:\d+: The file "[^"]*tickets\.key" is no use: line 1 is not 48 bytes in base64/,
  )
  t.match(stderr, /edge\.yaml:7:\d+: The file "[^"]*shards\.txt" is no use: line /)
  writeFileSync(`${folder}/shards.txt`, '')
  t.match(
    (await photoedge('check', '-c', `${folder}/edge.yaml`)).stderr,
    /edge\.yaml:7:\d+: The file "[^"]*shards\.txt" is no use: it names no user$/m,
  )
  writeFileSync(`${folder}/shards.txt`, '1-5 c0\n6 c1\n')
  writeFileSync(`${folder}/tickets.key`, `${'A'.repeat(64)}\n`)
  t.equal((await photoedge('check', '-c', `${folder}/edge.yaml`, '--box', 'r')).code, 0)
})

void t.test('files are looked at beside whatever else is wrong, in file order', async (t) => {
  const folder = t.testdir({
    'shards.txt': '1-5 c0\n4 c9\n',
    'tickets.key': 'AAAA\n',
    'edge.yaml': `edge: lab
boxes: { r: { address: 10.0.0.1 } }
pools:
  caches: { servers: { c0: "10.0.1.1:80", c1: "10.0.1.2:80" } }
router:
  boxes: r
  listen:
    - address: 0.0.0.0:443
      tls: [{ certificate: cdn.pem, key: cdn.key }, { certificate: "{bx}.pem", key: [] }]
      ticketKeys: tickets.key
  groups:
    photos: { user: "/u/{user}", pool: caches, shards: { table: shards.txt } }
    avatars: { user: "/a/{user}", pool: cachs }
  drainDeadlin: 3s
`,
  })
  const file = `${folder}/edge.yaml`
  const source = readFileSync(file, 'utf8')
  const told = async (box: string, text = source): Promise<string[]> => {
    writeFileSync(file, text)
    const { code, stderr } = await photoedge('check', '-c', file, '--box', box)
    t.equal(code, 1)
    return stderr.replaceAll(`${folder}/`, '').trim().split('\n')
  }
  const schema = [
    'edge.yaml:9:68: router.listen[0].tls[1].certificate is "{bx}.pem": "{bx}" is unknown, it may be {box} or {part}',
    'edge.yaml:9:85: router.listen[0].tls[1].key is a list, not the path of a file',
  ]
  const relations = [
    'edge.yaml:13:41: router.groups.avatars.pool names the pool "cachs", which is not there: did you mean "caches"?',
    'edge.yaml:14:3: router has no key "drainDeadlin": did you mean "drainDeadline"?',
  ]
  const files = [
    'edge.yaml:9:28: The file "cdn.pem" cannot be used: there is no such file',
    'edge.yaml:9:42: The file "cdn.key" cannot be used: there is no such file',
  ]
  const keys = 'edge.yaml:10:19: The file "tickets.key" is no use: line 1 is not 48 bytes in base64'
  const table =
    'edge.yaml:12:65: The file "shards.txt" is no use: line 2: the pool has no server "c9"'
  t.strictSame(await told('r'), [...files, ...schema, keys, table, ...relations])
  t.strictSame(
    await told('q'),
    ['edge.yaml:2:8: There is no box "q": did you mean "r"?', ...schema, ...relations],
    'a box that is not there has no files',
  )
  // Who c9 is can't be told without the pools, and who q-1 is not without the boxes.
  const poolless = await told('r', source.replace('c0: "10.0.1.1:80"', 'c9: "10.0.1.1:0"'))
  t.match(poolless[0], /^edge\.yaml:4:28: pools\.caches\.servers\.c9 is "10\.0\.1\.1:0"/)
  t.strictSame(poolless.slice(1), [...files, ...schema, keys, ...relations])
  const boxless = await told(
    'q-1',
    source.replace('r: {', '"q-[2-1]": { address: 10.0.0.2 }, r: {'),
  )
  t.notMatch(boxless.join('\n'), /There is no box|plays no part/)
  t.strictSame(boxless.slice(-4), [...schema, ...relations])
})

void t.test('what show prints is a configuration, and shows itself again', async (t) => {
  const folder = t.testdir({})
  cpSync(EXAMPLES, folder, { recursive: true })
  const shown = (await photoedge('show', '-c', `${folder}/site.yaml`)).stdout
  writeFileSync(`${folder}/shown.yaml`, shown)
  t.equal((await photoedge('show', '-c', `${folder}/shown.yaml`)).stdout, shown)
  const box = await photoedge(
    'show',
    '-c',
    `${folder}/reference.yaml`,
    '--box',
    'router-1',
    '--json',
  )
  t.match(JSON.parse(box.stdout), { admin: { socket: '/run/photoedge/router-1-router.sock' } })
  t.equal((await photoedge('show', '-c', `${folder}/site.yaml`, '--box', 'x')).code, 1)
  t.match(JSON.parse((await photoedge('schema')).stdout), {
    type: 'object',
    required: ['edge', 'boxes'],
  })
})

/** The fixtures' pair, as cdn.pem and cdn.key. */
function copyPair(folder: string): void {
  for (const file of ['cdn.pem', 'cdn.key']) cpSync(new URL(file, PAIR), `${folder}/${file}`)
}

/** A key of no certificate. */
function otherKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
