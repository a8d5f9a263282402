// Needs: root, mkfs.ext4, losetup, fsfreeze
// The mount check on real file systems: everything that goes wrong with a disk, what is said of
// it, and how long it took to notice.

import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { MountAnswerBody } from '../../healthcheck/core/mount-answer.ts'
import { freePorts } from './kit/ports.ts'
import { until } from './kit/wait.ts'

const INTERVAL_MS = 300
const DEADLINE_MS = 500
/** A loaded test machine may be late by so much. */
const SLACK_MS = 3_000

const sh = (command: string): void => {
  execFileSync('/bin/sh', ['-ec', command], { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** A disk in a file, on a tmpfs of its own that can be filled. */
class Disk {
  readonly mountPoint: string
  readonly #store: string
  readonly #image: string

  constructor(folder: string, mkfsOptions: string) {
    this.mountPoint = path.join(folder, 'mnt')
    this.#store = path.join(folder, 'store')
    this.#image = path.join(this.#store, 'disk.img')
    sh(`mkdir -p ${this.mountPoint} ${this.#store}; mount -t tmpfs -o size=48m none ${this.#store}`)
    sh(`truncate -s 32M ${this.#image}; mkfs.ext4 -q -N 64 ${mkfsOptions} ${this.#image}`)
  }

  mount(where = this.mountPoint): void {
    sh(`mount -o loop ${this.#image} ${where}`)
  }

  unmount(where = this.mountPoint): void {
    sh(`umount ${where}`)
  }

  get device(): string {
    const entry = fs
      .readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((line) => line.includes(this.mountPoint))
    return /\/dev\/loop\d+/.exec(entry ?? '')?.[0] ?? 'no device'
  }

  /** As if it were pulled out: the device has no sector left, every read and write is an error. */
  pull(): void {
    sh(`truncate -s 0 ${this.#image}; losetup -c ${this.device}`)
  }

  /** As a thin volume whose store is full: what was never written can't be written any more. */
  fillStore(): void {
    sh(`head -c 60m /dev/zero > ${this.#store}/fill || true`)
  }

  remove(): void {
    sh(`fsfreeze -u ${this.mountPoint} 2>/dev/null || true
      umount -l ${this.mountPoint} 2>/dev/null || true
      umount -l ${this.#store}`)
  }
}

/** The service as an operator runs it. */
class Mountcheck {
  readonly #port: number
  readonly #file: string
  #child: ChildProcess

  constructor(folder: string, port: number, mount: string) {
    this.#port = port
    this.#file = path.join(folder, 'edge.yaml')
    fs.writeFileSync(
      this.#file,
      `edge: lab
boxes: { cache-1: { address: 127.0.0.1 } }
mountcheck:
  boxes: [cache-1]
  listen: 127.0.0.1:${port}
  mounts:
    - { path: ${path.join(folder, 'mnt')}, interval: ${INTERVAL_MS}ms, deadline: ${DEADLINE_MS}ms${mount} }
admin: { socket: ${folder}/admin.sock }
`,
    )
    this.#child = this.#start()
  }

  #start(): ChildProcess {
    const args = ['bin/photoedge.ts', 'mountcheck', '-c', this.#file, '--box', 'cache-1']
    return spawn(process.execPath, args, { stdio: 'ignore' })
  }

  restart(): void {
    this.#child.kill('SIGKILL')
    this.#child = this.#start()
  }

  /** Ends it, if it has not ended yet. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  /** SIGTERM, and what it answered on the way; the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    const [code] = (await once(this.#child, 'exit')) as [number | null]
    return code
  }

  async health(): Promise<{ httpStatus: number; body: MountAnswerBody; tookMs: number }> {
    const startedAt = performance.now()
    const response = await fetch(`http://127.0.0.1:${this.#port}/health`)
    const body = (await response.json()) as MountAnswerBody
    return { httpStatus: response.status, body, tookMs: performance.now() - startedAt }
  }

  /** The first answer with that status and a reason that fits, and how long it took to come. */
  async notices(t: Test, httpStatus: number, reason: RegExp): Promise<MountAnswerBody> {
    const startedAt = performance.now()
    const withinMs = INTERVAL_MS + 2 * DEADLINE_MS + SLACK_MS
    const body = await until(`${httpStatus} ${String(reason)}`, withinMs, async () => {
      const answer = await this.health()
      if (answer.tookMs > 1000) t.fail(`an answer took ${answer.tookMs} ms`)
      if (answer.httpStatus === httpStatus && reason.test(answer.body.reason)) return answer.body
      throw new Error(`${answer.httpStatus} ${answer.body.reason}`)
    })
    const tookMs = Math.round(performance.now() - startedAt)
    t.comment(`${httpStatus} after ${tookMs} ms: ${body.reason}`)
    t.match(body.reason, reason)
    return body
  }
}

async function setUp(
  t: Test,
  mount = '',
  mkfsOptions = '',
): Promise<{ disk: Disk; check: Mountcheck }> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-mountcheck-'))
  const disk = new Disk(folder, mkfsOptions)
  const [port = 0] = await freePorts(1)
  const check = new Mountcheck(folder, port, mount)
  t.teardown(async () => {
    disk.remove()
    await check.kill()
    fs.rmSync(folder, { recursive: true, force: true })
  })
  await until('answer', 20_000, () => check.health())
  return { disk, check }
}

void t.test('not mounted, mounted, mounted elsewhere, unmounted', async (t) => {
  const { disk, check } = await setUp(t)
  await check.notices(t, 503, /^.* is not mounted$/)
  t.same(fs.readdirSync(disk.mountPoint), [], 'nothing is written into an empty directory')
  disk.mount()
  const first = await check.notices(t, 200, /^all is well$/)
  t.match(first.mounts, [{ up: true, type: 'ext4' }])
  disk.unmount()
  await check.notices(t, 503, / is not mounted$/)
  const elsewhere = path.join(path.dirname(disk.mountPoint), 'elsewhere')
  fs.mkdirSync(elsewhere)
  disk.mount(elsewhere)
  await check.notices(t, 503, / is not mounted$/)
  disk.unmount(elsewhere)
  disk.mount()
  const back = await check.notices(t, 200, /^all is well$/)
  t.equal(back.cache, first.cache, 'the same disk is the same cache')
})

void t.test('read-only, full, without inodes', async (t) => {
  const { disk, check } = await setUp(t)
  disk.mount()
  await check.notices(t, 200, /^all is well$/)
  sh(`mount -o remount,ro ${disk.mountPoint}`)
  await check.notices(t, 503, / is mounted read-only$/)
  sh(`mount -o remount,rw ${disk.mountPoint}`)
  await check.notices(t, 200, /^all is well$/)
  sh(`head -c 100m /dev/zero > ${disk.mountPoint}/big 2>/dev/null || true`)
  await check.notices(t, 503, / of its bytes free, less than 5 %$/)
  sh(`rm ${disk.mountPoint}/big`)
  await check.notices(t, 200, /^all is well$/)
  sh(`i=0; while touch ${disk.mountPoint}/f$i 2>/dev/null; do i=$((i+1)); done`)
  await check.notices(t, 503, / of its inodes free, less than 5 %$/)
  sh(`rm -f ${disk.mountPoint}/f*`)
  await check.notices(t, 200, /^all is well$/)
})

void t.test('the wrong type, a missing option', async (t) => {
  const wrongType = await setUp(t, ', type: xfs')
  wrongType.disk.mount()
  await wrongType.check.notices(t, 503, / has type ext4 instead of xfs$/)
  const noOption = await setUp(t, ', options: [noatime]')
  noOption.disk.mount()
  await noOption.check.notices(t, 503, / is mounted without the option noatime$/)
  sh(`mount -o remount,noatime ${noOption.disk.mountPoint}`)
  await noOption.check.notices(t, 200, /^all is well$/)
})

void t.test(
  'frozen: writers hang, the answer does not, also over a restart; thawed: it recovers',
  async (t) => {
    const { disk, check } = await setUp(t)
    disk.mount()
    await check.notices(t, 200, /^all is well$/)
    sh(`fsfreeze -f ${disk.mountPoint}`)
    await check.notices(t, 503, /^no answer from .* for (500 ms|\d+ s)$/)
    await check.notices(t, 503, / for 2 s$/)
    const hanging = lookers(disk.mountPoint)
    t.equal(hanging.length, 1, 'one process hangs')
    check.restart()
    await until('answer', 20_000, () => check.health())
    await check.notices(t, 503, /process \d+ of an earlier run still waits for its disk$/)
    t.same(lookers(disk.mountPoint), hanging, 'the same one, and no other')
    sh(`fsfreeze -u ${disk.mountPoint}`)
    await check.notices(t, 200, /^all is well$/)
  },
)

void t.test('a device that is pulled out', async (t) => {
  const { disk, check } = await setUp(t)
  disk.mount()
  await check.notices(t, 200, /^all is well$/)
  disk.pull()
  await check.notices(t, 503, /I\/O error|read-only|shut down|damaged/)
})

void t.test('a device whose own store is full, beneath a file system with space', async (t) => {
  // A journal that can't be written turns the file system off before a file's bytes can fail.
  const { disk, check } = await setUp(t, '', '-O ^has_journal')
  disk.mount()
  await check.notices(t, 200, /^all is well$/)
  disk.fillStore()
  const reason =
    /: no space left on the device beneath, though the file system itself has \d+ MB free$/
  await check.notices(t, 503, reason)
})

void t.test('SIGTERM answers 503 before it ends', async (t) => {
  const { disk, check } = await setUp(t)
  disk.mount()
  await check.notices(t, 200, /^all is well$/)
  const stopped = check.stop()
  await check.notices(t, 503, /^draining/)
  t.equal(await stopped, 0)
})

/** Processes that look at a mount, by what they were noted as. */
function lookers(mountPoint: string): number[] {
  const folder = path.join(path.dirname(mountPoint), 'admin.state')
  return fs
    .readdirSync(folder)
    .filter((name) => name.startsWith('mount-'))
    .map(
      (name) =>
        (JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8')) as { pid: number }).pid,
    )
    .filter((pid) => fs.existsSync(`/proc/${pid}`))
}
