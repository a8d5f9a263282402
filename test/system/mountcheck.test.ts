// Needs: root, mkfs.ext4, losetup, fsfreeze, runuser
// The mount check on real file systems: everything that goes wrong with a disk, what is said of
// it, and how long it took to notice.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { PROBE_FILE } from '../../common/model/health.ts'
import type { MountAnswerBody } from '../../healthcheck/core/mount-answer.ts'
import { TOKEN_FILE, lookAtMount } from '../../healthcheck/io/mount-look.ts'
import { readProcessStat } from '../../healthcheck/io/process-stat.ts'
import { Disk, sh } from './kit/disk.ts'
import { Mountcheck } from './kit/mountcheck.ts'
import { freePorts } from './kit/ports.ts'
import { until } from './kit/wait.ts'

const INTERVAL_MS = 300
const DEADLINE_MS = 500
/** A loaded test machine may be late by so much. */
const SLACK_MS = 3_000

const HAND = {
  source: undefined,
  type: undefined,
  options: [],
  minFree: { type: 'amount', amount: 1 },
  minInodes: { type: 'amount', amount: 0 },
  intervalMs: INTERVAL_MS,
  deadlineMs: DEADLINE_MS,
  canary: undefined,
} as const

/** The first answer with that status and a reason that fits, and how long it took to come. */
async function notices(
  t: Test,
  check: Mountcheck,
  httpStatus: number,
  reason: RegExp,
): Promise<MountAnswerBody> {
  const startedAt = performance.now()
  const withinMs = INTERVAL_MS + 2 * DEADLINE_MS + SLACK_MS
  const body = await until(`${httpStatus} ${String(reason)}`, withinMs, async () => {
    const answer = await check.health()
    if (answer.tookMs > 1000) t.fail(`an answer took ${answer.tookMs} ms`)
    if (answer.httpStatus === httpStatus && reason.test(answer.body.reason)) return answer.body
    throw new Error(`${answer.httpStatus} ${answer.body.reason}`)
  })
  const tookMs = Math.round(performance.now() - startedAt)
  t.comment(`${httpStatus} after ${tookMs} ms: ${body.reason}`)
  t.match(body.reason, reason)
  return body
}

interface SetUp {
  readonly disk: Disk
  readonly check: Mountcheck
}

async function setUp(
  t: Test,
  { mount = '', mkfs = '-N 64', isOrdinaryUser = false, hasState = true } = {},
): Promise<SetUp> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-mountcheck-'))
  const disk = await Disk.make(path.join(folder, 'srv'), { mkfs })
  t.teardown(async () => {
    await disk.remove()
    fs.rmSync(folder, { recursive: true, force: true })
  })
  const [port = 0] = await freePorts(1)
  const { mountPoint } = disk
  const times = { intervalMs: INTERVAL_MS, deadlineMs: DEADLINE_MS }
  const command = isOrdinaryUser ? await commandOfNobody(t) : {}
  // Its socket and its notes are beside its configuration.
  if (isOrdinaryUser) await sh(`chown nobody ${folder}`)
  // Nothing can be made beneath a file.
  const keep = hasState ? {} : { state: `${folder}/mountcheck.yaml/state` }
  const check = new Mountcheck({ folder, port, mountPoint, mount, ...times, ...command, ...keep })
  t.teardown(() => check.kill())
  await until('answer', 20_000, () => check.health())
  return { disk, check }
}

/**
 * How to run the program as an ordinary user, who may not reach the folder where it lies: it and
 * its Node are shown to him read-only elsewhere.
 */
async function commandOfNobody(t: Test): Promise<{ command: string[] }> {
  const views: string[] = []
  for (const source of [process.cwd(), path.dirname(process.execPath)]) {
    const view = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-view-'))
    await sh(`mount -o bind,ro ${source} ${view}`)
    t.teardown(async () => {
      await sh(`umount -l ${view}`)
      fs.rmdirSync(view)
    })
    views.push(view)
  }
  const [tree = '', node = ''] = views
  return { command: ['runuser', '-u', 'nobody', '--', `${node}/node`, `${tree}/bin/photoedge.ts`] }
}

void t.test('not mounted, mounted, mounted elsewhere, unmounted', async (t) => {
  const { disk, check } = await setUp(t)
  await notices(t, check, 503, /^.* is not mounted$/)
  t.same(fs.readdirSync(disk.mountPoint), [], 'nothing is written into an empty directory')
  await disk.mount()
  const first = await notices(t, check, 200, /^all is well$/)
  t.match(first.mounts, [{ up: true, type: 'ext4' }])
  await disk.unmount()
  await notices(t, check, 503, / is not mounted$/)
  const elsewhere = path.join(path.dirname(disk.mountPoint), 'elsewhere')
  fs.mkdirSync(elsewhere)
  await disk.mount(elsewhere)
  await notices(t, check, 503, / is not mounted$/)
  await disk.unmount(elsewhere)
  await disk.mount()
  const back = await notices(t, check, 200, /^all is well$/)
  t.equal(back.cache, first.cache, 'the same disk is the same cache')
})

void t.test('hidden by a mount above: told, and nothing is written into that', async (t) => {
  const { disk, check } = await setUp(t)
  const { mountPoint } = disk
  const above = path.dirname(mountPoint)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-mountcheck-'))
  const other = await Disk.make(folder)
  t.teardown(async () => {
    await sh(`umount -l ${mountPoint} ${above} || true`)
    await other.remove()
    fs.rmSync(folder, { recursive: true, force: true })
  })
  await disk.mount()
  const first = await notices(t, check, 200, /^all is well$/)
  await other.mount(above)
  await notices(t, check, 503, / is mounted, but hidden by \/dev\/loop\d+, mounted at .*\/srv$/)
  fs.mkdirSync(mountPoint)
  for (let look = 0; look < 2; look += 1) {
    // Each look says so anew.
    await new Promise((resolve) => setTimeout(resolve, 2 * INTERVAL_MS))
    const hidden = await notices(t, check, 503, / hidden by \/dev\/loop\d+, mounted at .*\/srv$/)
    t.equal(hidden.cache, first.cache)
  }
  t.same(fs.readdirSync(mountPoint), [], 'nothing is written into the directory that is seen')
  await sh(`mount -t tmpfs none ${mountPoint}`)
  const seen = await notices(t, check, 200, /^all is well$/)
  t.match(seen.mounts, [{ type: 'tmpfs' }], 'of two mounts at the path the one that is seen')
  t.not(seen.cache, first.cache)
  await disk.unmount()
  await notices(t, check, 503, / hidden by /)
  await other.unmount(above)
  const back = await notices(t, check, 200, /^all is well$/)
  t.equal(back.cache, first.cache)
})

void t.test('unmounted amid a look: the rest of it goes nowhere else', async (t) => {
  const { disk, check } = await setUp(t)
  const { mountPoint } = disk
  const beside = path.join(path.dirname(mountPoint), 'beside')
  fs.mkdirSync(beside)
  await disk.mount()
  const first = await notices(t, check, 200, /^all is well$/)
  await sh(`mount --bind ${mountPoint} ${beside}`)
  t.teardown(() => sh(`fsfreeze -u ${beside} 2>/dev/null || true; umount -l ${beside}`))
  await disk.freeze()
  await notices(t, check, 503, /^no answer from /)
  await sh(`umount -l ${mountPoint}; fsfreeze -u ${beside}`)
  const gone = await notices(t, check, 503, / is not mounted$/)
  t.same(fs.readdirSync(mountPoint), [], 'nothing is written into the bare directory')
  t.equal(gone.cache, first.cache, 'no identity is invented')
})

void t.test('tmpfs, overlays, bind mounts and moved ones are mounts as any other', async (t) => {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-mountcheck-')))
  t.teardown(async () => {
    await sh(`umount -R -l ${folder}`)
    fs.rmdirSync(folder)
  })
  const at = (name: string): string => path.join(folder, name)
  // Of its own, as nothing can be moved out of a mount that is shared.
  await sh(`mount -t tmpfs none ${folder}; mount --make-private ${folder}; cd ${folder}
    mkdir lower upper work overlay bound a b
    mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none overlay
    mount --bind upper bound
    mount -t tmpfs early a; mount -t tmpfs late b; mount --move a b`)
  for (const [name, type, source] of [
    ['', 'tmpfs', 'none'],
    ['overlay', 'overlay', 'none'],
    ['bound', 'tmpfs', 'none'],
    ['b', 'tmpfs', 'early'],
  ] as const) {
    const report = lookAtMount({ ...HAND, path: at(name) })
    t.match(report, { entry: { type, source }, failure: undefined, hiddenBy: undefined }, name)
    t.ok(fs.existsSync(path.join(at(name), TOKEN_FILE)), `${name} is written into`)
  }
  t.match(lookAtMount({ ...HAND, path: at('a') }), { entry: undefined, failure: undefined })
})

void t.test('read-only, full, without inodes', async (t) => {
  const { disk, check } = await setUp(t)
  await disk.mount()
  await notices(t, check, 200, /^all is well$/)
  await sh(`mount -o remount,ro ${disk.mountPoint}`)
  await notices(t, check, 503, / is mounted read-only$/)
  await sh(`mount -o remount,rw ${disk.mountPoint}`)
  await notices(t, check, 200, /^all is well$/)
  await sh(`head -c 100m /dev/zero > ${disk.mountPoint}/big 2>/dev/null || true`)
  await notices(t, check, 503, / of its bytes free, less than 5 %$/)
  await sh(`rm ${disk.mountPoint}/big`)
  await notices(t, check, 200, /^all is well$/)
  await sh(`i=0; while touch ${disk.mountPoint}/f$i 2>/dev/null; do i=$((i+1)); done`)
  await notices(t, check, 503, / of its inodes free, less than 5 %$/)
  await sh(`rm -f ${disk.mountPoint}/f*`)
  await notices(t, check, 200, /^all is well$/)
})

void t.test('the wrong type, a missing option', async (t) => {
  const wrongType = await setUp(t, { mount: ', type: xfs' })
  await wrongType.disk.mount()
  await notices(t, wrongType.check, 503, / has type ext4 instead of xfs$/)
  const noOption = await setUp(t, { mount: ', options: [noatime]' })
  await noOption.disk.mount()
  await notices(t, noOption.check, 503, / is mounted without the option noatime$/)
  await sh(`mount -o remount,noatime ${noOption.disk.mountPoint}`)
  await notices(t, noOption.check, 200, /^all is well$/)
})

void t.test(
  'frozen: writers hang, the answer does not, also over restarts that find nothing written; thawed: it recovers',
  async (t) => {
    const { disk, check } = await setUp(t, { hasState: false })
    await disk.mount()
    await notices(t, check, 200, /^all is well$/)
    await disk.freeze()
    await notices(t, check, 503, /^no answer from .* for (500 ms|\d+ s)$/)
    await notices(t, check, 503, / for 2 s$/)
    const hanging = check.lookers()
    t.equal(hanging.length, 1, 'one process hangs')
    for (const life of [2, 3]) {
      await check.restart()
      await until('answer', 20_000, () => check.health())
      await notices(
        t,
        check,
        503,
        /process \d+ still waits for its disk, since before the last start or reload$/,
      )
      t.same(check.lookers(), hanging, `life ${life}: the same one, and no other`)
    }
    await disk.thaw()
    await notices(t, check, 200, /^all is well$/)
  },
)

void t.test(
  'an ordinary user: it starts before the mount is there, needs only to write into it, and leaves one process hanging',
  async (t) => {
    const { disk, check } = await setUp(t, { isOrdinaryUser: true })
    await notices(t, check, 503, / is not mounted$/)
    const [pid = 0] = check.lookers()
    const [, uid] = /^Uid:\t(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    t.equal(uid, execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).trim())
    await disk.mount()
    await notices(
      t,
      check,
      503,
      / cannot be written: permission denied to the user that the mount check runs as$/,
    )
    // What one run by hand has left, as root: its identity file, and the file of a killed look.
    const atHand = { ...HAND, path: disk.mountPoint }
    t.equal(lookAtMount(atHand).failure, undefined)
    fs.writeFileSync(path.join(disk.mountPoint, PROBE_FILE), '', { mode: 0o600 })
    // He need not be able to list it.
    await sh(`chown nobody ${disk.mountPoint}; chmod 300 ${disk.mountPoint}`)
    await notices(t, check, 200, /^all is well$/)
    await disk.freeze()
    await notices(t, check, 503, /^no answer from /)
    const hanging = check.lookers()
    t.equal(hanging.length, 1, 'one process hangs')
    await check.restart()
    await until('answer', 20_000, () => check.health())
    await notices(
      t,
      check,
      503,
      /process \d+ still waits for its disk, since before the last start or reload$/,
    )
    t.same(check.lookers(), hanging, 'the same one, and no other')
    await disk.thaw()
    await notices(t, check, 200, /^all is well$/)
  },
)

void t.test(
  'a pipe or a folder in place of a file is said so, and nothing hangs on it',
  async (t) => {
    const sha256 = createHash('sha256').update('canary').digest('hex')
    const canary = `, canary: { file: canary.jpg, sha256: ${sha256} }`
    const { disk, check } = await setUp(t, { mount: canary })
    await disk.mount()
    const at = (name: string): string => path.join(disk.mountPoint, name)
    fs.writeFileSync(at('canary.jpg'), 'canary')
    await notices(t, check, 200, /^all is well$/)
    const lookers = check.lookers()
    for (const [name, what] of [
      ['canary.jpg', 'has a canary file that cannot be read'],
      [TOKEN_FILE, "cannot keep the cache's identity"],
      [PROBE_FILE, 'cannot be written'],
    ] as const) {
      await sh(
        `cp ${at('canary.jpg')} ${at('kept')}; mkfifo ${at('pipe')}; mv ${at('pipe')} ${at(name)}`,
      )
      await notices(t, check, 503, new RegExp(` ${what}: ${name} is not a regular file$`))
      await sh(name === 'canary.jpg' ? `mv ${at('kept')} ${at(name)}` : `rm ${at(name)}`)
      await notices(t, check, 200, /^all is well$/)
    }
    fs.mkdirSync(at(PROBE_FILE))
    await notices(t, check, 503, / cannot be written: \.photoedge-check is not a regular file$/)
    fs.rmdirSync(at(PROBE_FILE))
    await notices(t, check, 200, /^all is well$/)
    t.same(check.lookers(), lookers, 'the same process looked all the time')
  },
)

void t.test('a device that is pulled out', async (t) => {
  const { disk, check } = await setUp(t)
  await disk.mount()
  await notices(t, check, 200, /^all is well$/)
  await disk.pull()
  await notices(t, check, 503, /I\/O error|read-only|shut down|damaged/)
})

void t.test('a device whose own store is full, beneath a file system with space', async (t) => {
  // A journal that can't be written turns the file system off before a file's bytes can fail.
  const { disk, check } = await setUp(t, { mkfs: '-N 64 -O ^has_journal' })
  await disk.mount()
  await notices(t, check, 200, /^all is well$/)
  await disk.fillStore()
  const reason =
    /: no space left on the device beneath, though the file system itself has \d+ MB free$/
  await notices(t, check, 503, reason)
})

void t.test('some of several mounts are gone: their share, or down; all gone: down', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-mountcheck-'))
  const disks: Disk[] = []
  t.teardown(async () => {
    await Promise.all(disks.map((disk) => disk.remove()))
    fs.rmSync(folder, { recursive: true, force: true })
  })
  for (const [name, sizeMb] of Object.entries({ small: 32, large: 96, other: 32 })) {
    const disk = await Disk.make(path.join(folder, name), { sizeMb })
    disks.push(disk)
    await disk.mount()
  }
  const [mountPoint = '', ...otherMountPoints] = disks.map((disk) => disk.mountPoint)
  const [small, large, other] = disks as [Disk, Disk, Disk]
  const start = async (more: string): Promise<Mountcheck> => {
    const [port = 0] = await freePorts(1)
    const own = path.join(folder, String(port))
    fs.mkdirSync(own)
    const times = { intervalMs: INTERVAL_MS, deadlineMs: DEADLINE_MS }
    const options = { folder: own, port, mountPoint, otherMountPoints, more, ...times }
    const check = new Mountcheck(options)
    t.teardown(() => check.kill())
    await until('answer', 20_000, () => check.health())
    return check
  }
  const byWeight = await start('partial: weight')
  const whole = await notices(t, byWeight, 200, /^all is well$/)
  t.equal(whole.weight, 1)
  await large.freeze()
  const frozen = await notices(t, byWeight, 200, /^1 of 3 mounts failing: no answer from /)
  t.ok(frozen.weight > 0.3 && frozen.weight < 0.5, `2 of 5 parts by size: ${frozen.weight}`)
  t.equal(frozen.cache, whole.cache, 'still the same cache')
  t.equal(byWeight.lookers().length, 3, 'a process each')
  await byWeight.restart()
  const { body } = await until('200', 20_000, async () => {
    const answer = await byWeight.health()
    if (answer.httpStatus !== 200) throw new Error(answer.body.reason)
    return answer
  })
  t.match(body, { weight: frozen.weight, cache: whole.cache }, 'restarted, from its first 200 on')
  await small.unmount()
  const less = await notices(t, byWeight, 200, /^2 of 3 mounts failing: .* is not mounted$/)
  t.ok(less.weight > 0.1 && less.weight < 0.25, `1 of 5: ${less.weight}`)
  await other.unmount()
  const gone = await notices(t, byWeight, 503, /^3 of 3 mounts failing: /)
  t.match(gone, { status: 'down', weight: 0 })
  await large.thaw()
  await notices(t, byWeight, 200, /^2 of 3 mounts failing: /)
  await small.mount()
  await other.mount()
  const back = await notices(t, byWeight, 200, /^all is well$/)
  t.match(back, { weight: 1, cache: whole.cache })
  await byWeight.kill()

  const byAll = await start('partial: down')
  await notices(t, byAll, 200, /^all is well$/)
  await small.unmount()
  const down = await notices(t, byAll, 503, /^1 of 3 mounts failing: .* is not mounted$/)
  t.match(down, { status: 'down', weight: 0 })
  t.same(
    down.mounts.map(({ up }) => up),
    [false, true, true],
  )
})

void t.test('a reload that adds a good mount and a good script takes nothing down', async (t) => {
  const { disk, check } = await setUp(t)
  await disk.mount()
  const first = await notices(t, check, 200, /^all is well$/)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-mountcheck-'))
  const other = await Disk.make(folder, { sizeMb: 96 })
  t.teardown(async () => {
    await other.remove()
    fs.rmSync(folder, { recursive: true, force: true })
  })
  await other.mount()
  const script = '{ command: [/bin/sh, -c, sleep 1], interval: 5s, timeout: 4s }'
  check.reload({
    otherMountPoints: [other.mountPoint],
    more: `partial: down\n  scripts: [${script}]`,
  })
  const seen = new Set<string>()
  const whole = await until('all of it', 10_000, async () => {
    const { httpStatus, body } = await check.health()
    seen.add(`${httpStatus} ${body.weight} ${body.cache ?? 'none'} ${body.reason}`)
    if (body.scripts[0]?.up === true && body.mounts[1]?.up === true) return body
    throw new Error(body.reason)
  })
  t.same([...seen], [`200 1 ${first.cache} all is well`, `200 1 ${whole.cache} all is well`])
  t.not(whole.cache, first.cache)
  await other.unmount()
  await notices(t, check, 503, /^1 of 2 mounts failing: .* is not mounted$/)
})

void t.test('SIGTERM answers 503 before it ends', async (t) => {
  const { disk, check } = await setUp(t)
  await disk.mount()
  await notices(t, check, 200, /^all is well$/)
  const stopped = check.stop()
  await notices(t, check, 503, /^draining/)
  t.equal(await stopped, 0)
})

void t.test('a second SIGTERM ends it at once, with its scripts', async (t) => {
  const { disk, check } = await setUp(t)
  await disk.mount()
  await notices(t, check, 200, /^all is well$/)
  const note = path.join(path.dirname(disk.mountPoint), 'pid')
  const script = `{ command: [/bin/sh, -c, 'echo $$ >${note}; sleep 1000'], timeout: 1h, interval: 1h }`
  check.reload({ more: `scripts: [${script}]` })
  const pid = await until(
    'script',
    10_000,
    () => Number(fs.readFileSync(note, 'utf8')) || undefined,
  )
  t.teardown(() => {
    if (readProcessStat(pid) !== undefined) process.kill(-pid, 'SIGKILL')
  })
  const stopped = check.stop()
  await notices(t, check, 503, /^draining/)
  check.terminate()
  t.equal(await stopped, 0)
  await until('end of the script', 1000, () => readProcessStat(pid) === undefined || undefined)
})
