import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { cpSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const PROGRAM = fileURLToPath(new URL('../../bin/photoedge.ts', import.meta.url))
const RUN_MANY = fileURLToPath(new URL('./run-many.ts', import.meta.url))
const PAIR = new URL('../healthcheck/io/fixtures/', import.meta.url)
const EXAMPLES = new URL('../config/examples/', import.meta.url)

interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Every command line's end, all from one process. */
function runAll(...lines: readonly string[][]): readonly Ended[] {
  const { stdout, stderr } = spawnSync(process.execPath, [RUN_MANY], {
    encoding: 'utf8',
    input: JSON.stringify(lines),
  })
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout) as Ended[]
}

function photoedge(...args: string[]): Ended {
  const [ended] = runAll(args)
  return ended ?? { status: -1, stdout: '', stderr: '' }
}

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

void t.test('without a command: the list of commands, exit 2; with --help exit 0', (t) => {
  const [none, help, version] = runAll([], ['--help'], ['--version'])
  t.match(none, { status: 2, stdout: '', stderr: /check +test a configuration/ })
  t.match(help, { status: 0, stdout: none?.stderr })
  t.match(version, { status: 0, stdout: /^photoedge \d+\.\d+\.\d+\n$/ })
  t.end()
})

void t.test('a wrong command line is one sentence and exit 2', (t) => {
  const lines = [
    ['check', '--bxo', 'a'],
    ['check'],
    ['check', '-c'],
    ['check', '-c', 'a', '-c', 'b'],
    ['check', '-c', 'a', 'b'],
    ['check', '--json=1', '-c', 'a'],
    ['schema', '-x'],
  ]
  for (const [index, ended] of runAll(...lines).entries()) {
    t.equal(ended.status, 2, String(lines[index]))
    t.match(ended.stderr, /^photoedge [a-z]+: [^\n]+\nTry: photoedge [a-z]+ --help\n$/)
  }
  t.match(photoedge('check', '--bxo', 'a').stderr, /no option --bxo, did you mean --box\?/)
  t.match(photoedge('zzzzzzzzzz'), {
    status: 2,
    stderr: /no command "zzzzzzzzzz": see photoedge --help/,
  })
  t.end()
})

void t.test('--help of a command has an example', (t) => {
  for (const name of ['check', 'show', 'schema']) {
    const [long, help] = runAll([name, '--help'], ['help', name])
    t.equal(long?.status, 0)
    t.match(long?.stdout, new RegExp(`^Usage: photoedge ${name}`))
    t.match(long?.stdout, /\nExample:\n/)
    t.equal(help?.stdout, long?.stdout)
  }
  t.end()
})

void t.test('check: exit 0 and one line, or exit 1 and a line for each problem', (t) => {
  const folder = t.testdir({ 'bad.yaml': 'edge: lab\nboxs: {}\n' })
  cpSync(EXAMPLES, folder, { recursive: true })
  const good = photoedge('check', '-c', `${folder}/edge.yaml`)
  t.equal(good.status, 0)
  t.match(
    good.stdout,
    /the configuration is right \(9 boxes, 2 pools, director, router, mountcheck\)/,
  )
  const bad = photoedge('check', '-c', `${folder}/bad.yaml`)
  t.equal(bad.status, 1)
  t.equal(bad.stdout, '')
  t.match(
    bad.stderr,
    /bad\.yaml:2:1: The configuration has no key "boxs": did you mean "boxes"\?\n/,
  )
  const json = photoedge('check', '-c', `${folder}/bad.yaml`, '--json')
  t.match(JSON.parse(json.stdout), { ok: false, problems: [{ line: 1 }, { line: 2, column: 1 }] })
  for (const [file, reason] of [
    ['none.yaml', 'there is no such file'],
    ['', 'it is a folder'],
  ]) {
    const { status, stderr } = photoedge('check', '-c', `${folder}/${file ?? ''}`)
    t.equal(status, 1)
    t.match(stderr, new RegExp(`cannot be read: ${reason ?? ''}`))
  }
  t.end()
})

void t.test('missing files', (t) => {
  const folder = t.testdir({})
  cpSync(EXAMPLES, folder, { recursive: true })
  const file = `${folder}/router.yaml`
  const without = photoedge('check', '-c', file)
  t.equal(without.status, 0)
  t.match(
    without.stderr,
    /router\.yaml:17:\d+: warning: The file "[^"]*cdn\.pem" cannot be used: there is no such file/,
  )
  const withBox = photoedge('check', '-c', file, '--box', 'router-1')
  t.equal(withBox.status, 1)
  t.notMatch(withBox.stderr, /warning/)
  t.match(
    photoedge('check', '-c', file, '--box', 'routr-1').stderr,
    /no box "routr-1": did you mean "router-1"\?/,
  )
  copyPair(folder)
  t.equal(photoedge('check', '-c', file, '--box', 'router-1').status, 0)
  writeFileSync(`${folder}/cdn.key`, otherKey())
  const unlike = photoedge('check', '-c', file)
  t.equal(unlike.status, 1)
  t.match(unlike.stderr, /its certificate and the key "[^"]*cdn\.key" are not a pair/)
  writeFileSync(`${folder}/cdn.pem`, 'x')
  t.match(photoedge('check', '-c', file).stderr, /it holds no certificate/)
  t.end()
})

void t.test('ticket keys and shard tables are read', (t) => {
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
  const { status, stderr } = photoedge('check', '-c', `${folder}/edge.yaml`)
  t.equal(status, 1)
  t.match(
    stderr,
    /edge\.yaml:6:\d+: The file "[^"]*tickets\.key" is no use: line 1 is not 48 bytes in base64/,
  )
  t.match(stderr, /edge\.yaml:7:\d+: The file "[^"]*shards\.txt" is no use: line /)
  writeFileSync(`${folder}/shards.txt`, '1-5 c0\n6 c1\n')
  writeFileSync(`${folder}/tickets.key`, `${'A'.repeat(64)}\n`)
  t.equal(photoedge('check', '-c', `${folder}/edge.yaml`, '--box', 'r').status, 0)
  t.end()
})

void t.test('what show prints is a configuration, and shows itself again', (t) => {
  const folder = t.testdir({})
  cpSync(EXAMPLES, folder, { recursive: true })
  const shown = photoedge('show', '-c', `${folder}/site.yaml`).stdout
  writeFileSync(`${folder}/shown.yaml`, shown)
  t.equal(photoedge('show', '-c', `${folder}/shown.yaml`).stdout, shown)
  const box = photoedge('show', '-c', `${folder}/reference.yaml`, '--box', 'router-1', '--json')
  t.match(JSON.parse(box.stdout), { admin: { socket: '/run/photoedge/router-1-router.sock' } })
  t.equal(photoedge('show', '-c', `${folder}/site.yaml`, '--box', 'x').status, 1)
  t.match(JSON.parse(photoedge('schema').stdout), { type: 'object', required: ['edge', 'boxes'] })
  t.end()
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
