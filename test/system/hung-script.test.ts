// Needs: root, /dev/fuse
// The mount check's script lies on a disk that hangs: the script alone fails, however it hangs, and
// the mount check answers as fast as ever, and ends when it is told to.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import './kit/own-network.ts'
import t from 'tap'
import type { Test } from 'tap'
import { sh } from './kit/disk.ts'
import { Mountcheck } from './kit/mountcheck.ts'
import { freePorts } from './kit/ports.ts'
import { until } from './kit/wait.ts'

const SERVER = path.join(import.meta.dirname, 'kit', 'mute-disk-server.ts')
const SCHEDULE = 'interval: 200ms, timeout: 1s'
/** A loaded test machine may be late by so much. */
const SLACK_MS = 3000
const DRAIN_MS = 3000

async function setUp(t: Test) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-hung-'))
  const file = path.join(folder, 'hung', 'check.sh')
  const control = path.join(folder, 'control')
  fs.mkdirSync(path.dirname(file))
  const hang = (mode: 'none' | 'open' | 'look'): void => {
    fs.writeFileSync(control, mode)
  }
  hang('none')
  const disk = spawn(process.execPath, [SERVER, path.dirname(file), control], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await until('disk', 10_000, () => (fs.existsSync(file) ? true : undefined))
  const [port = 0] = await freePorts(1)
  const scripts = [file, '/bin/true'].map((one) => `{ command: [${one}], ${SCHEDULE} }`)
  const more = `scripts: [${scripts.join(', ')}]`
  const check = new Mountcheck({ folder, port, more, intervalMs: 1000, deadlineMs: 1000 })
  t.teardown(async () => {
    // Whoever waits for it is told that it is gone.
    disk.kill('SIGKILL')
    await once(disk, 'exit')
    await check.kill()
    await sh(`umount -l ${path.dirname(file)}`)
    fs.rmSync(folder, { recursive: true })
  })
  const notice = (up: boolean, reason: RegExp) =>
    until(`${up ? 'up' : 'down'} ${String(reason)}`, 5000 + SLACK_MS, async () => {
      const { body, tookMs } = await check.health()
      if (tookMs > 1000) t.fail(`an answer took ${tookMs} ms`)
      const [hung, other] = body.scripts
      if (hung?.up !== up || !reason.test(hung.reason)) throw new Error(JSON.stringify(body))
      t.equal(other?.up, true, 'the other script')
      return hung.reason
    })
  await notice(true, /^exit 0: fine$/)
  return { check, hang, notice }
}

void t.test('a script whose file hangs when it is looked at fails alone', async (t) => {
  const { hang, notice } = await setUp(t)
  hang('look')
  await notice(false, /not started within 1 s: no answer from the disk with \//)
  hang('none')
  await notice(true, /^exit 0: fine$/)
})

void t.test('a script whose file hangs as it is started fails alone', async (t) => {
  const { check, hang, notice } = await setUp(t)
  hang('open')
  await notice(false, /^the script did not end within 1 s and was killed$/)
  await notice(false, /^its last run \(process \d+\) was killed and still has not ended$/)
  hang('none')
  await notice(true, /^exit 0: fine$/)
  hang('open')
  await notice(false, /and was killed$/)
  const startedAt = performance.now()
  t.equal(await check.stop(), 0)
  t.ok(performance.now() - startedAt < DRAIN_MS + SLACK_MS, 'it ends all the same')
})
