import { execFileSync, spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { childrenOf } from './nginx.ts'
import { until } from './wait.ts'

export interface BoxInit {
  readonly name: string
  /** Cloned from `/srv/repository` there. */
  readonly repository: string
  /** Its address on a cable to this machine, and this machine's ends of it; all with a length. */
  readonly address: string
  readonly ours: readonly string[]
}

/**
 * A box with systemd in namespaces of its own: this machine's files, but what is written there is
 * seen there only, and gone with it.
 */
export class Box {
  readonly #folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-box-'))
  readonly #child: ChildProcess
  #said = ''

  private constructor({ name, repository }: BoxInit) {
    this.#child = spawn(
      path.join(import.meta.dirname, 'box.sh'),
      [this.#folder, name, repository],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#said += text))
  }

  static async boot(init: BoxInit): Promise<Box> {
    const box = new Box(init)
    try {
      await until('systemd in the box', 20_000, () => {
        if (box.#child.exitCode !== null) throw new Error(box.#said)
        const state = spawnSync('nsenter', [...box.#namespaces(), 'systemctl', 'is-system-running'])
        return /running|degraded/.test(String(state.stdout)) ? true : undefined
      })
      box.#plug(init)
    } catch (error) {
      await box.destroy()
      throw error
    }
    return box
  }

  /** Runs a script there, in one shell that ends at its first failure. */
  run(script: string): { readonly status: number | null; readonly output: string } {
    const { status, stdout } = spawnSync('nsenter', [...this.#namespaces(), 'sh'], {
      input: `exec 2>&1\nset -e\n${script}`,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    })
    return { status, output: stdout }
  }

  async destroy(): Promise<void> {
    const gone = once(this.#child, 'close')
    // With its first process all others end, and with them its network and files.
    for (const pid of childrenOf(this.#pid)) process.kill(pid, 'SIGKILL')
    if (this.#child.exitCode === null) {
      this.#child.kill('SIGKILL')
      await gone
    }
    const cgroups = path.join(this.#folder, 'cgroup')
    execFileSync('mount', ['-t', 'cgroup2', 'cgroup2', cgroups])
    const own = path.join(cgroups, path.basename(this.#folder))
    await until('end of its processes', 5000, () => {
      const folders = ['-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']
      spawnSync('find', [own, ...folders], { stdio: 'ignore' })
      return fs.existsSync(own) ? undefined : true
    })
    execFileSync('umount', [cgroups])
    fs.rmSync(this.#folder, { recursive: true, force: true })
  }

  get #pid(): number {
    return this.#child.pid ?? 0
  }

  /**
   * All of the box's but its network, which has no way out, and packages come from outside. What
   * is to be done in that goes through `nsenter --net=/proc/1/ns/net` there.
   */
  #namespaces(): string[] {
    const [first = 0] = childrenOf(this.#pid)
    return ['--target', String(first), '--mount', '--pid', '--uts', '--ipc', '--cgroup']
  }

  #plug({ address, ours }: BoxInit): void {
    const [first = 0] = childrenOf(this.#pid)
    const ip = (line: string) => execFileSync('ip', line.split(' '))
    ip(`link add ${CABLE} type veth peer name eth0 netns ${first}`)
    for (const each of ours) ip(`address add ${each} dev ${CABLE}`)
    ip(`link set ${CABLE} up`)
    const { status, output } = this.run(`nsenter --net=/proc/1/ns/net sh -c '
      ip address add ${address} dev eth0; ip link set eth0 up'`)
    if (status !== 0) throw new Error(output)
  }
}

const CABLE = 'pe-box'
