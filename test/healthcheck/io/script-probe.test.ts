import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lchownSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ScriptCheckConfig } from '../../../common/config/config.ts'
import { createScriptProber } from '../../../healthcheck/io/script-probe.ts'
import { killProcess } from '../../../healthcheck/io/script-killer.ts'
import { ScriptFiles, scriptRefusal } from '../../../healthcheck/io/script-file.ts'
import { tcpCheck } from '../world.ts'
import { components, outcomeOf, targetOf } from './rig.ts'

const prober = createScriptProber(components)
const isRoot = process.geteuid?.() === 0

const script = (command: readonly string[], changes: Partial<ScriptCheckConfig> = {}) =>
  targetOf<ScriptCheckConfig>(
    {
      ...tcpCheck({ timeoutMs: 5000 }),
      name: 'script',
      type: 'script',
      user: undefined,
      dynamic: false,
      command,
      ...changes,
    },
    80,
  )

const shell = (line: string, changes: Partial<ScriptCheckConfig> = {}) =>
  outcomeOf((done) => prober.run(script(['/bin/sh', '-c', line], changes), done))

void t.test("the exit status means what Keepalived's MISC_CHECK means", async (t) => {
  t.match(await shell('exit 0'), { result: 'passed', reason: 'exit 0', weight: undefined })
  t.match(await shell('exit 1', { dynamic: true }), { result: 'failed', reason: 'exit 1' })
  t.match(await shell('exit 7', { dynamic: true }), {
    result: 'passed',
    weight: 5,
    reason: 'exit 7, weight 5',
  })
  t.match(await shell('exit 2', { dynamic: true }), { result: 'passed', weight: 0 })
  t.match(await shell('exit 255', { dynamic: true }), { result: 'passed', weight: 253 })
  t.match(await shell('exit 7'), { result: 'failed', reason: 'exit 7' })
})

void t.test('the last line that a script writes is its reason', async (t) => {
  t.match(await shell('echo one; echo "queue is full"; exit 1'), {
    reason: 'exit 1: queue is full',
  })
  t.match(await shell('head -c 1000000 /dev/zero; echo; echo end; exit 1'), {
    reason: 'exit 1: end',
  })
  t.match(await shell('kill -TERM $$'), { reason: 'killed by SIGTERM' })
})

void t.test('a script that is just being written is run when it is whole', async (t) => {
  const file = join(t.testdir({}), 'check.sh')
  writeFileSync(file, '#!/bin/sh\nexit 0\n', { mode: 0o700 })
  const descriptor = openSync(file, 'a')
  t.match(await outcomeOf((done) => prober.run(script([file], { timeoutMs: 150 }), done)), {
    result: 'failed',
    blame: 'doubtful',
    reason: "the script cannot be started: its file is being written (the prober's own)",
  })
  const outcome = outcomeOf((done) => prober.run(script([file]), done))
  setTimeout(() => {
    closeSync(descriptor)
  }, 60)
  t.match(await outcome, { result: 'passed', reason: 'exit 0' })
})

void t.test('what this box cannot start is no fault of the server', async (t) => {
  const file = join(t.testdir({}), 'check.sh')
  writeFileSync(file, '#!/nowhere/sh\n', { mode: 0o700 })
  t.match(await outcomeOf((done) => prober.run(script([file]), done)), {
    result: 'failed',
    blame: 'prober',
    reason: /^the script cannot be started: the program that its first line names is not there /,
  })
})

void t.test(
  'what the script itself ends with is told from what the shell before it does',
  async (t) => {
    const folder = t.testdir({ plain: '', own: 'echo mine; exit 127\n' })
    const file = join(folder, 'check.sh')
    writeFileSync(file, `#!${folder}/plain\n`, { mode: 0o700 })
    t.match(await outcomeOf((done) => prober.run(script([file]), done)), {
      result: 'failed',
      blame: 'prober',
      reason: "the script cannot be started: permission denied (the prober's own)",
    })
    for (const code of [126, 127]) {
      const outcome = await shell(`exit ${code}`)
      t.match(outcome, { result: 'failed', blame: 'server', reason: `exit ${code}` })
    }
    t.match(await shell('exit 127', { dynamic: true }), { result: 'passed', weight: 125 })
    // It names no program that runs it: a shell does.
    chmodSync(join(folder, 'own'), 0o700)
    const own = await outcomeOf((done) => prober.run(script([join(folder, 'own')]), done))
    t.match(own, { blame: 'server', reason: 'exit 127: mine' })
  },
)

void t.test('a script has no environment but what is promised', async (t) => {
  const file = join(t.testdir({}), 'environment')
  const command = ['/usr/bin/cp', '/proc/self/environ', file]
  t.match(await outcomeOf((done) => prober.run(script(command), done)), { reason: 'exit 0' })
  const names = readFileSync(file, 'utf8')
    .split('\0')
    .map((entry) => entry.replace(/=.*$/s, ''))
    // What tap's own hooks and bash add.
    .filter((name) => !/^(?:|NODE_OPTIONS|_TAPJS_.*|SHLVL)$/.test(name))
  t.strictSame(names.sort(), ['LANG', 'PATH', 'PHOTOEDGE_SCRIPT'])
})

void t.test('a file whose disk hangs fails its own script alone, in its time', async (t) => {
  let looks = 0
  let answer: () => void = () => undefined
  const hung = new Promise<void>((resolve) => {
    answer = resolve
  })
  const look = async (program: string): Promise<string | undefined> => {
    looks += 1
    if (program === '/srv/hung/check') await hung
    return program.startsWith('/srv/hung/') ? 'it was looked at' : undefined
  }
  const own = createScriptProber(components, new ScriptFiles(look))
  const run = (program: string, timeoutMs: number) =>
    outcomeOf((done) => own.run(script([program], { timeoutMs }), done))
  const silent = {
    result: 'failed',
    blame: 'doubtful',
    reason:
      'the script was not started within 300 ms: no answer from the disk with /srv/hung/check',
  }
  const first = run('/srv/hung/check', 300)
  const other = run('/bin/true', 5000)
  t.match(await first, silent)
  t.match(await other, { result: 'passed' }, 'another one waits half a second')
  t.equal(looks, 2)
  t.match(await run('/bin/true', 300), { result: 'passed' }, 'and then not at all')
  for (const file of ['/srv/hung/check', '/srv/hung/other']) t.match(await run(file, 300), silent)
  t.equal(looks, 3, 'nothing on that disk was looked at beside it')
  answer()
  t.match(await run('/srv/hung/check', 300), { blame: 'server', reason: 'it was looked at' })
})

void t.test('scripts on disks that hang hold two threads at most', async (t) => {
  const asked: string[] = []
  const answers = new Map<string, () => void>()
  const look = (program: string) => {
    asked.push(program)
    return new Promise<undefined>((resolve) => {
      answers.set(program, () => {
        resolve(undefined)
      })
    })
  }
  const files = new ScriptFiles(look)
  const [a, b, c] = ['/a/check', '/b/check', '/c/check']
  for (const program of [a, b, c]) await t.rejects(files.refusal(program), { name: 'NoAnswer' })
  t.same(asked, [a, b])
  answers.get(a)?.()
  await new Promise(setImmediate)
  await t.rejects(files.refusal(b), { message: /\/b\/check/ })
  t.same(asked, [a, b], 'what hangs is looked at nowhere else')
  const late = files.refusal(c)
  await new Promise(setImmediate)
  for (const program of [c, b]) answers.get(program)?.()
  t.equal(await late, undefined)
})

void t.test('address and port are filled in', async (t) => {
  const target = script(['/bin/echo', '{address}', 'port={port}'])
  t.match(await outcomeOf((done) => prober.run(target, done)), {
    reason: 'exit 0: 127.0.0.1 port=80',
  })
})

void t.test(
  'a script that forks and ignores signals is killed with all its children',
  async (t) => {
    const file = join(t.testdir({}), 'pids')
    const line = `trap "" TERM INT HUP; (trap "" TERM; echo $$ >> ${file}; sleep 100) & echo $! >> ${file}; sleep 100`
    const outcome = await shell(line, { timeoutMs: 300 })
    t.match(outcome, {
      result: 'failed',
      blame: 'doubtful',
      reason: 'the script did not end within 300 ms and was killed',
    })
    t.ok(outcome.latencyMs < 3000)
    const pids = readFileSync(file, 'utf8').trim().split('\n').map(Number)
    t.equal(pids.length, 2)
    for (const pid of pids) t.ok(await isGone(pid), `process ${pid} is gone`)
  },
)

for (const [name, line] of [
  ['has made a session of its own', 'setsid'],
  ['has cleared its environment, too', 'setsid env -i'],
] as const) {
  void t.test(`a killed script's descendant that ${name} is killed with it`, async (t) => {
    const file = join(t.testdir({}), 'pid')
    // It is a grandchild, and its parent stays.
    const descendant = `(${line} /bin/sh -c 'echo $$ > ${file}; exec sleep 100'; :) & sleep 100`
    t.match(await shell(descendant, { timeoutMs: 500 }), { result: 'failed' })
    t.ok(await isGone(Number(readFileSync(file, 'utf8'))))
  })
}

void t.test('what a killed script has orphaned in another session is killed, too', async (t) => {
  const file = join(t.testdir({}), 'pids')
  const orphan = `(setsid /bin/sh -c 'echo $$ >> ${file}; exec sleep 100' &)`
  const own = createScriptProber(components)
  const runs = ['a', 'b', 'c'].map((name) => {
    const command = ['/bin/sh', '-c', `${orphan}; sleep 100`, name]
    const target = script(command, { timeoutMs: 500 })
    return outcomeOf((done) => own.run({ ...target, key: name }, done))
  })
  for (const { result } of await Promise.all(runs)) t.equal(result, 'failed')
  const pids = readFileSync(file, 'utf8').trim().split('\n').map(Number)
  t.equal(pids.length, 3)
  for (const pid of pids) t.ok(await isGone(pid), `process ${pid} is gone`)
})

void t.test('a daemon that a script has started is left alone when the script ends', async (t) => {
  const file = join(t.testdir({}), 'pid')
  const daemon = `setsid /bin/sh -c 'echo $$ > ${file}; exec sleep 100' &`
  const line = `${daemon} while ! test -s ${file}; do sleep 0.01; done`
  t.match(await shell(line), { result: 'passed' })
  // A killed one's orphans are looked for, and this is none of them.
  t.match(await shell('sleep 100', { timeoutMs: 100 }), { result: 'failed' })
  const pid = Number(readFileSync(file, 'utf8'))
  t.notOk(await isGone(pid, 20), 'it lives')
  process.kill(pid, 'SIGKILL')
})

void t.test(
  'a script that never stops writing is killed, and its words are not kept',
  async (t) => {
    const line = 'while :; do echo yes; done'
    const before = process.memoryUsage().rss
    const target = script(['/bin/sh', '-c', line], { timeoutMs: 500 })
    const outcome = await outcomeOf((done) => createScriptProber(components).run(target, done))
    t.equal(outcome.reason, 'the script did not end within 500 ms and was killed')
    const grownMb = (process.memoryUsage().rss - before) / 1024 / 1024
    // It writes gigabytes: what is kept of them would be far more than what a busy collector leaves.
    t.ok(grownMb < 250, `${grownMb} MB more`)
  },
)

void t.test('a run waits for the end of one that was killed before it', async (t) => {
  const file = join(t.testdir({}), 'pids')
  const line = `echo $$ >> ${file}; exec sleep 100`
  const target = script(['/bin/sh', '-c', line], { timeoutMs: 300 })
  const own = createScriptProber(components)
  const run = () => outcomeOf((done) => own.run(target, done))
  // At once: the kernel has not told the first one's end yet.
  for (const reason of Array<string>(2).fill('the script did not end within 300 ms and was killed'))
    t.match(await run(), { reason })
  const pids = readFileSync(file, 'utf8').trim().split('\n').map(Number)
  t.equal(pids.length, 2, 'both were started')
  for (const pid of pids) t.ok(await isGone(pid))
})

void t.test('no run is started beside one that was killed and does not go', async (t) => {
  const file = join(t.testdir({}), 'pids')
  const target = script(['/bin/sh', '-c', `echo $$ >> ${file}; exec sleep 100`], { timeoutMs: 300 })
  const own = createScriptProber(components)
  const run = () => outcomeOf((done) => own.run(target, done))
  // As if it hung in the kernel: signals do not end it.
  const kill = t.intercept(process, 'kill', { value: () => true })
  t.match(await run(), { reason: 'the script did not end within 300 ms and was killed' })
  for (const outcome of [await run(), await run()]) {
    t.match(outcome.reason, /^its last run \(process \d+\) was killed and still has not ended$/)
    t.ok(outcome.latencyMs >= 299, 'it was given its time')
  }
  kill.restore()
  const pids = readFileSync(file, 'utf8').trim().split('\n').map(Number)
  t.equal(pids.length, 1)
  process.kill(pids[0] ?? 0, 'SIGKILL')
  t.match(await run(), { reason: 'the script did not end within 300 ms and was killed' })
})

void t.test('what a script leaves behind when it ends is killed too', async (t) => {
  const file = join(t.testdir({}), 'pid')
  t.match(await shell(`sleep 100 & echo $! > ${file}; exit 0`), { result: 'passed' })
  t.ok(await isGone(Number(readFileSync(file, 'utf8'))))
})

void t.test('the last line is told as it was written, in UTF-8, however it comes', async (t) => {
  const line = "printf 'Platte f\\303'; sleep 0.05; printf '\\274r Fotos läuft über: 写真\\n'"
  t.equal((await shell(`${line}; exit 1`)).reason, 'exit 1: Platte für Fotos läuft über: 写真')
  const long = await shell(`head -c 9000 /dev/zero | tr '\\0' x; printf '\\nin short\\n'`)
  t.equal(long.reason, 'exit 0: in short')
})

/** A service of its own that runs this script again and again, run by way of `others`. */
function startService(line: string, others: readonly string[] = []) {
  const file = join(import.meta.dirname, 'script-service.ts')
  const words: string[] = [...others, process.execPath, file, '/bin/sh', '-c', line]
  const [program = '', ...args] = words
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
}

/** The numbers written to a file, as soon as there are so many. */
async function pidsIn(file: string, count: number): Promise<number[]> {
  for (;;) {
    const pids = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []
    if (pids.length >= count) return pids
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

void t.test(
  'what a service that was killed has left running is killed by the next one',
  async (t) => {
    const folder = t.testdir({})
    const file = (name: string): string => join(folder, name)
    const noting = (name: string) => `/bin/sh -c 'echo $$ >>${file(name)}; exec sleep 1000'`
    // The first run leaves a daemon behind; the second hangs, with what it has started.
    const service = startService(
      `if ! test -e ${file('daemon')}; then setsid ${noting('daemon')} >/dev/null 2>&1 &
       while ! test -s ${file('daemon')}; do sleep 0.01; done; exit 0; fi
       ${noting('left')} & setsid ${noting('left')} & echo $$ >>${file('left')}; wait`,
    )
    const container = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']
    const living = [[], ...(isRoot ? [container] : [])].map((others, index) =>
      startService(`exec ${noting(`living-${index}`)}`, others),
    )
    const ended: string[] = []
    for (const one of living) one.stdout.on('data', (reason: Buffer) => ended.push(String(reason)))
    const pids = await pidsIn(file('left'), 3)
    const [daemonPid = 0] = await pidsIn(file('daemon'), 1)
    const [otherPid = 0] = await pidsIn(file('living-0'), 1)
    if (isRoot) await pidsIn(file('living-1'), 1)
    t.teardown(() => {
      for (const one of living) one.kill('SIGKILL')
      for (const pid of [...pids, daemonPid, otherPid]) killProcess(pid)
    })
    service.kill('SIGKILL')
    await once(service, 'exit')
    const own = createScriptProber(components)
    const target = script(['/bin/sh', '-c', 'exit 0'])
    t.match(await outcomeOf((done) => own.run(target, done)), { result: 'passed' })
    for (const pid of pids) t.ok(await isGone(pid), `process ${pid} is gone`)
    t.notOk(await isGone(daemonPid, 20), 'a daemon stays')
    t.same(ended, [], 'and so do the scripts of services that are there, here or in a container')
  },
)

void t.test('files that others could write are refused', async (t) => {
  const folder = t.testdir({ good: '#!/bin/sh\nexit 0\n', loose: '#!/bin/sh\n', plain: '' })
  const file = (name: string): string => join(folder, name)
  chmodSync(file('good'), 0o755)
  chmodSync(file('loose'), 0o757)
  chmodSync(file('plain'), 0o644)
  t.equal(await scriptRefusal(file('good')), undefined)
  t.match(await scriptRefusal(file('loose')), /writable by others$/)
  t.match(await scriptRefusal(file('plain')), /cannot be run: EACCES$/)
  t.match(await scriptRefusal(file('none')), /does not exist$/)
  t.match(await scriptRefusal('check.sh'), /no absolute path$/)
  chmodSync(folder, 0o777)
  t.match(await scriptRefusal(file('good')), /as its directory .* is writable by others$/)
  chmodSync(folder, 0o755)
})

void t.test(
  'a program that others could put another one in the place of is refused',
  { skip: process.geteuid?.() !== 0 && 'giving files away takes root' },
  async (t) => {
    const base = t.testdir({ good: { check: '#!/bin/sh\n' }, folder: { check: '#!/bin/sh\n' } })
    const [good, folder] = [join(base, 'good'), join(base, 'folder')]
    for (const each of [good, folder]) chmodSync(join(each, 'check'), 0o755)
    const nobody = 65_534
    const asGiven = (uid: number, gid: number, mode: number): Promise<string | undefined> => {
      chownSync(folder, uid, gid)
      chmodSync(folder, mode)
      return scriptRefusal(join(folder, 'check'))
    }
    t.equal(await asGiven(0, 0, 0o775), undefined)
    t.equal(await asGiven(0, nobody, 0o755), undefined)
    t.match(await asGiven(0, nobody, 0o775), /as its directory .*folder is writable by others$/)
    t.match(
      await asGiven(nobody, 0, 0o755),
      /as its directory .*folder belongs to another user .uid 65534/,
    )
    // A link of theirs on the way, be it to a program that is well itself.
    symlinkSync('../good/check', join(folder, 'theirs'))
    symlinkSync(join(folder, 'theirs'), join(base, 'link'))
    t.match(
      await scriptRefusal(join(folder, 'theirs')),
      /as its directory .*folder belongs to another/,
    )
    t.match(await scriptRefusal(join(base, 'link')), /as its directory .*folder belongs to another/)
    t.match(await scriptRefusal(`${good}/../folder/theirs`), /as its directory .*folder belongs/)
    // In a sticky folder they can touch what is their own.
    await asGiven(0, 0, 0o1777)
    t.equal(await scriptRefusal(join(base, 'link')), undefined)
    lchownSync(join(folder, 'theirs'), nobody, 0)
    t.match(await scriptRefusal(join(base, 'link')), /as its link .*theirs belongs to another user/)
    chownSync(join(folder, 'check'), nobody, 0)
    t.match(
      await scriptRefusal(join(folder, 'check')),
      /as its file belongs to another user .uid 65534/,
    )
    symlinkSync('circle', join(base, 'circle'))
    t.match(await scriptRefusal(join(base, 'circle')), /cannot be run: ELOOP$/)
  },
)

void t.test('a refused script is a failed check with that reason, and is not run', async (t) => {
  const folder = t.testdir({})
  const file = join(folder, 'check.sh')
  writeFileSync(file, `#!/bin/sh\ntouch ${folder}/ran\n`)
  chmodSync(file, 0o777)
  const outcome = await outcomeOf((done) => prober.run(script([file]), done))
  t.match(outcome, { result: 'failed', blame: 'server' })
  t.match(outcome.reason, /writable by others$/)
  t.notOk(existsSync(join(folder, 'ran')))
})

void t.test('a user that does not exist is said so', async (t) => {
  t.match(await shell('exit 0', { user: 'no-such-user' }), {
    result: 'failed',
    reason: 'there is no user "no-such-user" to run the script as',
  })
})

void t.test('a script runs as the user given, or says that it cannot', async (t) => {
  const outcome = await shell('id -un', { user: 'nobody' })
  const expected =
    process.geteuid?.() === 0
      ? 'exit 0: nobody'
      : 'the script cannot run as "nobody" as the prober itself is not root'
  t.equal(outcome.reason, expected)
})

/** Killed processes take a moment to be reaped by whoever inherits them; a zombie runs no more. */
async function isGone(pid: number, mostTries = 200): Promise<boolean> {
  for (let tries = 0; tries < mostTries; tries += 1) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      if (/\) [ZX]/.test(stat)) return true
    } catch {
      return true
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return false
}
