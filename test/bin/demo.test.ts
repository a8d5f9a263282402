import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { command } from '../../bin/commands/demo.ts'

const PROGRAM = path.join(import.meta.dirname, '..', '..', 'bin', 'photoedge.ts')

// Several processes each, on a machine that may have others to run.
t.setTimeout(120_000)

class RunningDemo {
  readonly process: ChildProcess
  readonly folder: string
  output = ''
  #exit: Promise<unknown[]>

  constructor(t: Test, args: readonly string[] = []) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'demo-test-'))
    this.process = spawn(process.execPath, [PROGRAM, 'demo', ...args], {
      env: { ...process.env, TMPDIR: this.folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#exit = once(this.process, 'exit')
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    }
    t.teardown(async () => {
      this.process.kill('SIGKILL')
      await waitFor('the processes to end', () => this.processes().length === 0)
      fs.rmSync(this.folder, { recursive: true, force: true })
    })
  }

  /** The match in what it printed, as soon as it is there. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null
    await waitFor(String(pattern), () => {
      match = pattern.exec(this.output)
      if (match === null && this.process.exitCode !== null) throw new Error(this.output)
      return match !== null
    })
    return match as unknown as RegExpExecArray
  }

  async url(): Promise<string> {
    const [, url = ''] = await this.printed(/^(http:\/\/\S+\/u\/\S+)$/m)
    return url
  }

  /** Resolves with the exit code. */
  async ended(): Promise<unknown> {
    return (await this.#exit)[0]
  }

  /** Processes that run with this demo's folder, and the demo itself. */
  processes(): string[] {
    return fs.readdirSync('/proc').filter((pid) => {
      try {
        const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1')
        const environment = fs.readFileSync(`/proc/${pid}/environ`, 'latin1')
        return (
          /photoedge|bin\/demo/.test(command) && environment.includes(`TMPDIR=${this.folder}\0`)
        )
      } catch {
        return false
      }
    })
  }
}

async function waitFor(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`waited 30 s for ${what}`)
    await delay(20)
  }
}

async function fetchPhoto(url: string): Promise<string> {
  const response = await fetch(url)
  const photo = Buffer.from(await response.arrayBuffer())
  const isJpeg = photo.readUInt16BE(0) === 0xffd8 && photo.readUInt16BE(photo.length - 2) === 0xffd9
  return `${response.status} ${isJpeg ? 'JPEG' : 'no JPEG'}`
}

void t.test('serves photos, outlives a cache, and leaves nothing behind', async (t) => {
  const demo = new RunningDemo(t)
  const url = await demo.url()
  t.equal(await fetchPhoto(url), '200 JPEG')

  const [, cachePid] = await demo.printed(/cache-2 .*pid (\d+)/)
  process.kill(Number(cachePid), 'SIGKILL')
  await demo.printed(/cache-2 \(pid \d+\) is gone: SIGKILL/)
  for (let user = 1001; user <= 1020; user += 1) {
    t.equal(await fetchPhoto(new URL(`/u/${user}/2.jpg`, url).href), '200 JPEG', `user ${user}`)
  }
  await demo.printed(/cache-2 gone .*failed since start: 0$/m)

  demo.process.kill('SIGINT')
  t.equal(await demo.ended(), 0)
  t.same(demo.processes(), [])
  t.same(fs.readdirSync(demo.folder), [], 'no file is left')
})

void t.test('serves one’s own photos, and leaves nothing behind when it is killed', async (t) => {
  const photos = t.testdir({ ann: {} })
  const jpeg = Buffer.from('ffd8ffd9', 'hex')
  fs.writeFileSync(path.join(photos, 'a b.jpg'), jpeg)
  fs.writeFileSync(path.join(photos, 'ann', '1.JPG'), jpeg)
  const demo = new RunningDemo(t, ['--photos', photos])
  const url = await demo.url()
  t.equal(await fetchPhoto(url), '200 JPEG')
  t.equal(await fetchPhoto(new URL('/u/ann/1.JPG', url).href), '200 JPEG')

  demo.process.kill('SIGKILL')
  await waitFor('the end of every process', () => demo.processes().length === 0)
  await waitFor('an empty folder', () => fs.readdirSync(demo.folder).length === 0)
})

void t.test('says what is wrong, starts nothing, exits with a code', async (t) => {
  const listener = net.createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  const { port } = listener.address() as net.AddressInfo
  const wrong: [string[], RegExp][] = [
    [['--port', String(port)], new RegExp(`Port ${port} on 127.0.0.1 is taken`)],
    [['--photos', t.testdir()], /No JPEG photo in/],
  ]
  for (const [args, message] of wrong) {
    const demo = new RunningDemo(t, args)
    t.equal(await demo.ended(), 1, args.join(' '))
    await demo.printed(message)
    t.same(demo.processes(), [])
  }
})

void t.test('wrong options are named', async (t) => {
  await t.rejects(command.run(['--port', 'http']), { message: /from 1 to 65535, not .*http/ })
  await t.rejects(command.run(['--rate', '-1']), { message: /--rate/ })
  await t.rejects(command.run(['--fotos', 'x']), { message: /no option --fotos/ })
})
