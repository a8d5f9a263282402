import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  renameSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { MountConfig, MountcheckConfig } from '../../../common/config/config.ts'
import type { EdgeEvent } from '../../../common/model/edge-event.ts'
import { PROBE_FILE } from '../../../common/model/health.ts'
import { monotonicMs } from '../../../common/net/units.ts'
import { systemClock } from '../../../common/runtime/clock.ts'
import type { MountAnswerBody } from '../../../healthcheck/core/mount-answer.ts'
import { parseMountInfo } from '../../../healthcheck/core/mount-info.ts'
import { createMountChecker } from '../../../healthcheck/io/mount-checker.ts'
import type { MountChecker, MountNotes } from '../../../healthcheck/io/mount-checker.ts'
import { TOKEN_FILE, lookAtMount } from '../../../healthcheck/io/mount-look.ts'
import { createMountProber } from '../../../healthcheck/io/mount-prober.ts'
import { withoutRights } from '../../kit/without-rights.ts'
import { openMountServer } from '../../../healthcheck/io/mount-server.ts'
import { lookerOf, noLooker } from './lookers.ts'

/** A mount that any user may write to: every Linux has one of these. */
const writable = ((): string => {
  const entries = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
  const found = ['/dev/shm', '/tmp', '/'].find((path) => {
    try {
      accessSync(path, constants.W_OK)
      return entries.some(({ mountPoint }) => mountPoint === path)
    } catch {
      return false
    }
  })
  if (found === undefined) throw new Error('there is no writable mount')
  return found
})()

const tokenFile = join(writable, TOKEN_FILE)
// What looks at a mount keeps no process alive by itself.
const alive = setInterval(() => undefined, 1000)
t.teardown(() => {
  clearInterval(alive)
  rmSync(tokenFile, { force: true })
})

// A process that the test before has let go would be taken for one that hangs.
t.beforeEach(() => noLooker(writable))

const mount = (path: string, changes: Partial<MountConfig> = {}): MountConfig => ({
  path,
  source: undefined,
  type: undefined,
  options: [],
  minFree: { type: 'amount', amount: 1 },
  minInodes: { type: 'amount', amount: 0 },
  intervalMs: 20,
  deadlineMs: 10_000,
  canary: undefined,
  ...changes,
})

void t.test('a look writes, reads and deletes, and says what is mounted', (t) => {
  const report = lookAtMount(mount(writable))
  t.equal(report.failure, undefined)
  t.equal(report.entry?.mountPoint, writable)
  t.ok((report.latencyMs ?? 0) > 0)
  t.ok((report.space?.sizeBytes ?? 0) > 0)
  t.notOk(existsSync(join(writable, PROBE_FILE)))
  t.match(report.token, /^[0-9a-f]{16}$/)
  t.equal(lookAtMount(mount(writable)).token, report.token, 'the same cache')
  rmSync(tokenFile)
  t.not(lookAtMount(mount(writable)).token, report.token, 'an emptied one')
  t.end()
})

void t.test('who else writes and deletes the same file is no fault of the disk', async (t) => {
  const file = join(writable, PROBE_FILE)
  const script = `const { writeFileSync, unlinkSync } = require('node:fs')
    const tryTo = (act) => { try { act() } catch {} }
    process.stdout.write('!')
    for (;;) {
      for (let round = 0; round < 5; round += 1) tryTo(() => writeFileSync(process.argv[1], 'others'))
      tryTo(() => unlinkSync(process.argv[1]))
    }`
  const other = spawn(process.execPath, ['-e', script, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(other.stdout, 'data')
  const names = () => readdirSync(writable).filter((name) => name.startsWith(`${PROBE_FILE}-`))
  const before = names()
  const failures = Array.from({ length: 500 }, () => lookAtMount(mount(writable)).failure)
  other.kill('SIGKILL')
  await once(other, 'exit')
  t.same(failures.filter(Boolean), [])
  rmSync(file, { force: true })
  // Those of other tests, which run beside this one, go by themselves.
  while (names().some((name) => !before.includes(name))) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
})

void t.test("the cache's identity may be read by every user, whoever made it", (t) => {
  rmSync(tokenFile, { force: true })
  const umask = process.umask(0o077)
  t.teardown(() => process.umask(umask))
  t.equal(lookAtMount(mount(writable)).failure, undefined)
  t.equal(statSync(tokenFile).mode & 0o777, 0o644)
  t.end()
})

void t.test('a directory where nothing is mounted is not written to', (t) => {
  const folder = t.testdir({})
  const report = lookAtMount(mount(folder))
  t.match(report, { entry: undefined, failure: undefined, latencyMs: undefined })
  t.notOk(existsSync(join(folder, TOKEN_FILE)))
  t.match(lookAtMount(mount(join(folder, 'none'))), { entry: undefined, failure: undefined })
  t.end()
})

void t.test('a source mounted elsewhere, and another source mounted here, are told', (t) => {
  const entry = lookAtMount(mount(writable)).entry
  const folder = t.testdir({})
  const source = entry?.source ?? ''
  t.equal(typeof lookAtMount(mount(folder, { source })).elsewhere, 'string')
  t.equal(lookAtMount(mount(writable, { source })).isSource, true)
  t.equal(lookAtMount(mount(writable, { source: '/dev/other' })).isSource, false)
  t.end()
})

void t.test('a path that leads to a mount by a link is told, wherever the link lies', (t) => {
  const folder = realpathSync(t.testdir({}))
  symlinkSync('/', join(folder, 'link'))
  t.match(lookAtMount(mount(join(folder, 'link'))), { entry: undefined, linkTarget: '/' })
  t.match(lookAtMount(mount(join(folder, 'link', 'proc'))), { linkTarget: '/proc' })
  symlinkSync('none', join(folder, 'dangling'))
  for (const path of [folder, join(folder, 'dangling'), writable])
    t.equal(lookAtMount(mount(path)).linkTarget, undefined, path)
  t.end()
})

void t.test('a canary file is digested, and a missing one is a failure', (t) => {
  const file = `photoedge-test-${process.pid}`
  writeFileSync(join(writable, file), 'x')
  t.teardown(() => {
    rmSync(join(writable, file), { force: true })
  })
  const look = (name: string) =>
    lookAtMount(mount(writable, { canary: { file: name, sha256: '' } }))
  t.equal(
    look(file).canarySha256,
    '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881',
  )
  t.match(look('no-such-file'), { failure: { step: 'canary', code: 'ENOENT' } })
  t.end()
})

const config = (changes: Partial<MountcheckConfig> = {}): MountcheckConfig => ({
  boxes: ['cache-1'],
  address: '127.0.0.1',
  port: 0,
  partial: 'weight',
  mounts: [mount(writable)],
  scripts: [],
  ...changes,
})

const noNotes: MountNotes = { writeJson: () => Promise.resolve() }

function open(
  t: Tap,
  changes: Partial<MountcheckConfig> = {},
  { notes = noNotes, kept }: { notes?: MountNotes; kept?: unknown } = {},
): MountChecker {
  const components = { clock: systemClock, onEvent: () => undefined, notes }
  const checker = createMountChecker(components, { config: config(changes), boot: 'boot-1', kept })
  t.teardown(() => {
    checker.stop()
  })
  checker.start()
  return checker
}

interface Tap {
  testdir(content: Record<string, never>): string
  teardown(fn: () => void): void
}

async function until(checker: MountChecker, fits: (body: MountAnswerBody) => boolean) {
  for (;;) {
    const { httpStatus, json } = checker.answer()
    const body = JSON.parse(json.toString()) as MountAnswerBody
    if (fits(body)) return { httpStatus, body }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

void t.test('the answer comes over HTTP, for GET and HEAD, and is never stored', async (t) => {
  const checker = open(t)
  const server = await openMountServer(() => checker.answer(), { address: '127.0.0.1', port: 0 })
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${server.port}/health`
  await until(checker, ({ status }) => status === 'up')
  const response = await fetch(url)
  t.equal(response.status, 200)
  t.equal(response.headers.get('cache-control'), 'no-store')
  t.match(response.headers.get('content-type'), 'application/json')
  t.match(await response.json(), {
    status: 'up',
    weight: 1,
    boot: 'boot-1',
    mounts: [{ up: true }],
  })
  const head = await fetch(url, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(await head.text(), '')
  t.equal((await fetch(`http://127.0.0.1:${server.port}/other`)).status, 404)
  checker.drain()
  t.match(await (await fetch(url)).json(), { status: 'draining' })
  t.equal((await fetch(url)).status, 503)
})

void t.test('the answer is made once, and anew when a look or a silence changes it', async (t) => {
  const wall = 1_700_000_000_000
  let nowMs = 0
  const clock = { now: () => monotonicMs(nowMs), wallMs: () => wall + nowMs }
  const mounts = [mount(writable, { deadlineMs: 10, intervalMs: 20 })]
  const components = { clock, onEvent: () => undefined, notes: noNotes }
  const checker = createMountChecker(components, {
    config: config({ mounts }),
    boot: 'b',
    kept: undefined,
  })
  t.teardown(() => {
    checker.stop()
  })
  checker.start()
  await until(checker, ({ status }) => status === 'up')
  const first = checker.answer()
  nowMs = 5
  t.equal(checker.answer(), first, 'the same bytes as long as nothing happens')
  const pid = lookerOf(writable)
  process.kill(pid, 'SIGSTOP')
  t.teardown(() => process.kill(pid, 'SIGCONT'))
  nowMs = 20
  while (checker.answer() === first) await new Promise((resolve) => setTimeout(resolve, 5))
  nowMs = 30
  await until(checker, ({ reason }) => reason.startsWith('no answer'))
  nowMs = 1020
  const silent = await until(checker, () => true)
  t.equal(silent.body.reason, `no answer from ${writable} for 1 s`)
  const second = checker.answer()
  nowMs = 2019
  t.equal(checker.answer(), second)
  nowMs = 2020
  t.match(checker.answer().json.toString(), 'for 2 s')
})

/** Nothing in this process runs for so long: as in a stall of the whole box. */
const stall = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

void t.test('a stall of the whole box is no silence of its mounts', async (t) => {
  const told: string[] = []
  const onEvent = ({ event, reason }: EdgeEvent) => told.push(`${event}: ${reason}`)
  const mounts = [mount(writable, { deadlineMs: 1000, intervalMs: 100 })]
  const components = { clock: systemClock, onEvent, notes: noNotes }
  const checker = createMountChecker(components, {
    config: config({ mounts }),
    boot: 'b',
    kept: undefined,
  })
  t.teardown(() => {
    checker.stop()
  })
  checker.start()
  await until(checker, ({ status }) => status === 'up')
  const pid = lookerOf(writable)
  process.kill(pid, 'SIGSTOP')
  t.teardown(() => process.kill(pid, 'SIGCONT'))
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  await pause(200)
  stall(1200)
  await pause(100)
  t.same(told, ['mount up: well'], 'the look that was under way has time left')
  process.kill(pid, 'SIGCONT')
  await pause(100)
  t.same(told, ['mount up: well'], 'and its answer is not late')
  process.kill(pid, 'SIGSTOP')
  await until(checker, ({ reason }) => reason.startsWith('no answer'))
})

void t.test('nor is it the time that a script takes', async (t) => {
  const command = ['/bin/sh', '-c', 'sleep 1.2; echo done']
  const checker = open(t, { mounts: [], scripts: [{ command, intervalMs: 5000, timeoutMs: 1000 }] })
  await new Promise((resolve) => setTimeout(resolve, 100))
  stall(600)
  const { body } = await until(checker, ({ scripts }) => scripts[0]?.reason !== 'has not run yet')
  t.equal(body.scripts[0]?.reason, 'exit 0: done')
})

void t.test('an address that is taken is said in a sentence', async (t) => {
  const checker = open(t)
  const first = await openMountServer(() => checker.answer(), { address: '127.0.0.1', port: 0 })
  t.teardown(() => first.close())
  await t.rejects(
    openMountServer(() => checker.answer(), { address: '127.0.0.1', port: first.port }),
    {
      code: 'MNT_LISTEN_FAILED',
      message: `Cannot listen on 127.0.0.1 port ${first.port} (mountcheck.listen): the port is in use by `,
    },
  )
})

void t.test('scripts of one own are part of the answer', async (t) => {
  const script = (line: string) => [
    { command: ['/bin/sh', '-c', line], intervalMs: 50, timeoutMs: 5000 },
  ]
  const failing = open(t, { scripts: script('echo "queue is full"; exit 1') })
  const { httpStatus, body } = await until(failing, ({ mounts, scripts }) => {
    return mounts[0]?.up === true && scripts[0]?.reason !== 'has not run yet'
  })
  t.equal(httpStatus, 503)
  t.equal(body.reason, '/bin/sh: exit 1: queue is full')
  failing.stop()
  await noLooker(writable)
  await until(open(t, { scripts: script('exit 0') }), ({ status }) => status === 'up')
})

void t.test('a script that this box cannot start is no failing script at once', async (t) => {
  const file = join(t.testdir({}), 'check.sh')
  const write = (line: string): void => {
    writeFileSync(`${file}.new`, `${line}\n`, { mode: 0o700 })
    renameSync(`${file}.new`, file)
  }
  write('#!/bin/sh')
  const scripts = [{ command: [file], intervalMs: 20, timeoutMs: 5000 }]
  const checker = open(t, { mounts: [], scripts })
  await until(checker, ({ status }) => status === 'up')
  write('#!/nowhere/sh')
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.match(checker.answer(), { httpStatus: 200 })
  write('#!/bin/sh\nexit 1')
  await until(checker, ({ reason }) => reason === `${file}: exit 1`)
})

void t.test('a script waits for none whose arguments only look the same', async (t) => {
  const base = ['/bin/sh', '-c', 'test "$1" = a || exec sleep 1000', 'check']
  const scripts = [
    [...base, 'a b'],
    [...base, 'a', 'b'],
  ].map((command) => ({ command, intervalMs: 60_000, timeoutMs: 60_000 }))
  const { body } = await until(open(t, { mounts: [], scripts }), (body) =>
    body.scripts.some(({ up }) => up),
  )
  t.match(body.scripts, [{ reason: 'has not run yet' }, { reason: 'exit 0' }])
})

void t.test('who stops leaves no script running', async (t) => {
  const folder = t.testdir({})
  const note = join(folder, 'pid')
  const command = ['/bin/sh', '-c', `echo $$ >${note}.new; mv ${note}.new ${note}; sleep 1000`]
  const scripts = [{ command, intervalMs: 5000, timeoutMs: 60_000 }]
  const checker = open(t, { mounts: [], scripts })
  while (!existsSync(note)) await new Promise((resolve) => setTimeout(resolve, 5))
  const pid = Number(readFileSync(note, 'utf8'))
  t.ok(existsSync(`/proc/${pid}`))
  checker.stop()
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 5))
})

void t.test('a mount that comes later is found', async (t) => {
  const checker = open(t, { mounts: [mount(t.testdir({}))] })
  const { body } = await until(checker, ({ reason }) => reason.endsWith('is not mounted'))
  t.equal(body.status, 'down')
  checker.reconfigure(config())
  await until(checker, ({ status }) => status === 'up')
})

void t.test('a good script that a reload adds takes nothing down while it runs', async (t) => {
  const checker = open(t)
  await until(checker, ({ status }) => status === 'up')
  const command = ['/bin/sh', '-c', 'sleep 0.2; exit 0']
  checker.reconfigure(config({ scripts: [{ command, intervalMs: 5000, timeoutMs: 5000 }] }))
  const statuses = new Set<number>()
  const { body } = await until(checker, ({ scripts }) => {
    statuses.add(checker.answer().httpStatus)
    return scripts[0]?.up === true
  })
  t.equal(body.status, 'up')
  t.same([...statuses], [200])
})

void t.test(
  'what was seen of a mount is known after a restart, and nothing of a damaged note',
  async (t) => {
    let note: { mounts: object[] } | undefined
    const notes = {
      writeJson(_: string, value: unknown) {
        note = value as { mounts: object[] }
        return Promise.resolve()
      },
    }
    const first = open(t, {}, { notes })
    const { body } = await until(first, ({ status }) => status === 'up')
    first.stop()
    t.match(note, { version: 1, mounts: [{ path: writable, token: body.cache }] })
    const path = t.testdir({})
    const gone = { mounts: [mount(path)] }
    const cacheWith = async (kept: unknown) => {
      const checker = open(t, gone, { kept })
      const answered = await until(checker, ({ reason }) => reason.endsWith('is not mounted'))
      checker.stop()
      return answered.body.cache
    }
    const mounts = note?.mounts.map((one) => ({ ...one, path }))
    t.equal(await cacheWith({ ...note, mounts }), body.cache)
    t.equal(await cacheWith({ ...note, mounts, version: 2 }), null)
  },
)

void t.test('a state folder that cannot be written is told, and takes nothing down', async (t) => {
  const told: string[] = []
  let writeCount = 0
  const notes = {
    writeJson(name: string) {
      if (name === 'mounts.json') writeCount++
      return Promise.reject(new Error('read-only'))
    },
  }
  const onEvent = ({ event, reason }: EdgeEvent) => told.push(`${event}: ${reason}`)
  const components = { clock: systemClock, onEvent, notes }
  const checker = createMountChecker(components, {
    config: config(),
    boot: 'boot-1',
    kept: undefined,
  })
  t.teardown(() => {
    checker.stop()
  })
  checker.start()
  await until(checker, ({ status }) => status === 'up')
  t.same(told, ['mount up: well', 'mounts not kept: read-only'])
  writeCount = 0
  checker.reconfigure(config({ mounts: [mount(writable), mount('/proc')] }))
  await until(checker, () => writeCount > 0)
  t.equal(told.filter((each) => each.startsWith('mounts not kept')).length, 1, 'told once')
})

/** A prober whose looks are awaited: `well`, or why there was none. */
function openProber() {
  let answered: (answer: string) => void = () => undefined
  const prober = createMountProber(writable, {
    clock: systemClock,
    onReady: () => {
      answered('ready')
    },
    onReport: (run, { failure }) => {
      answered(failure === undefined ? `${run} well` : failure.message)
    },
    onGone: (how) => {
      answered(how)
    },
    onBlocked: (how) => {
      answered(`blocked: ${how}`)
    },
    onUnblocked: () => {
      answered('unblocked')
    },
  })
  const told = () =>
    new Promise<string>((resolve) => {
      answered = resolve
    })
  return {
    told,
    stop: () => {
      prober.stop()
    },
    start: () => {
      prober.start()
      return told()
    },
    look: (run: number) => {
      prober.look(run, mount(writable))
      return told()
    },
  }
}

void t.test('a process that is killed is told, and can be replaced', async (t) => {
  const prober = openProber()
  t.teardown(prober.stop)
  t.equal(await prober.start(), 'ready')
  t.equal(await prober.look(1), '1 well')
  const pid = lookerOf(writable)
  process.kill(pid, 'SIGSTOP')
  const second = prober.look(2)
  process.kill(pid, 'SIGKILL')
  t.equal(await second, 'the process that looks at it ended with SIGKILL')
  t.equal(await prober.start(), 'ready')
  t.equal(await prober.look(3), '3 well')
})

void t.test('a former process that still hangs gets no second one beside it', async (t) => {
  const earlier = openProber()
  t.equal(await earlier.start(), 'ready')
  const pid = lookerOf(writable)
  process.kill(pid, 'SIGSTOP')
  earlier.stop()
  const prober = openProber()
  t.teardown(prober.stop)
  t.equal(
    await prober.start(),
    `blocked: process ${pid} still waits for its disk, since before the last start or reload`,
  )
  t.equal(lookerOf(writable), pid, 'no new process')
  const unblocked = prober.told()
  process.kill(pid, 'SIGCONT')
  t.equal(await unblocked, 'unblocked', 'gone by itself, as its parent had')
  t.equal(await prober.start(), 'ready')
})

void t.test(
  'a mount whose process hung over a reload is looked at as soon as it ends',
  async (t) => {
    const mounts = [mount(writable, { intervalMs: 3_600_000 })]
    const checker = open(t, { mounts })
    await until(checker, ({ status }) => status === 'up')
    const pid = lookerOf(writable)
    process.kill(pid, 'SIGSTOP')
    checker.reconfigure(config({ mounts: [] }))
    checker.reconfigure(config({ mounts }))
    await until(checker, ({ reason }) => reason.includes(`process ${pid} still waits`))
    process.kill(pid, 'SIGCONT')
    await until(checker, ({ status }) => status === 'up')
  },
)

void t.test('where no process can be had, that is told', async (t) => {
  const file = new URL('../../../healthcheck/io/mount-prober.ts', import.meta.url).href
  const clock = new URL('../../../common/runtime/clock.ts', import.meta.url).href
  const stdout = await withoutRights(`
    const { createMountProber } = await import(${JSON.stringify(file)})
    const { systemClock: clock } = await import(${JSON.stringify(clock)})
    let isWithin = true
    createMountProber('/', { clock, onGone: (how) => console.log(isWithin, how) }).start()
    isWithin = false`)
  t.match(stdout, /^false the process that looks at it cannot be run: Access to this API/)
})
