import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { SWITCH } from './own-network.ts'
import { sh } from './disk.ts'
import { Photoedge } from './photoedge.ts'
import { until } from './wait.ts'

export interface EdgeBoxInit {
  /** Its host name, too. */
  readonly name: string
  /** Each with its length: `10.77.0.11/24`. */
  readonly addresses: readonly string[]
  readonly interface?: string
}

/** Folders that are this machine's, but what a box writes there is seen in that box only. */
const OWN_FOLDERS = ['dev', 'etc', 'run', 'srv', 'var/lib', 'var/log']
const SERVICE_FOLDERS =
  '/etc/photoedge /run/photoedge /srv/photos /var/lib/photoedge /var/log/photoedge'

const SCRIPT = `ip link set lo up
echo "$1" > /proc/sys/kernel/hostname
mount -t tmpfs tmpfs /mnt
for folder in ${OWN_FOLDERS.join(' ')}; do
  mkdir -p /mnt/$folder/upper /mnt/$folder/work
  mount -t overlay -o lowerdir=/$folder,upperdir=/mnt/$folder/upper,workdir=/mnt/$folder/work overlay /$folder
done
mkdir -p ${SERVICE_FOLDERS}
echo ready
exec cat`

/**
 * A box of an example: a host name, a network and files of its own, plugged into the switch. It is
 * this process's and ends with it.
 */
export class EdgeBox {
  readonly name: string
  readonly photoedge: Photoedge
  /** The words that take a command there. */
  readonly where: readonly string[]
  /** Its namespaces are this process's. */
  readonly #keeper: ChildProcess

  private constructor(name: string) {
    const unshare = ['--uts', '--mount', '--net', 'sh', '-ec', SCRIPT, 'sh', name]
    this.name = name
    this.#keeper = spawn('unshare', unshare, { stdio: ['pipe', 'pipe', 'pipe'] })
    const target = ['--target', String(this.#keeper.pid)]
    this.where = ['nsenter', ...target, '--uts', '--mount', '--net', '--']
    this.photoedge = new Photoedge(this.where)
  }

  static async boot(init: EdgeBoxInit): Promise<EdgeBox> {
    const box = new EdgeBox(init.name)
    try {
      await box.#ready()
      await box.#plug(init)
    } catch (error) {
      await box.destroy()
      throw error
    }
    return box
  }

  /** Where this process finds a file of the box. */
  file(name: string): string {
    return `/proc/${this.#pid}/root${name}`
  }

  /** Runs a line of shell there; throws with what it said. */
  async sh(line: string): Promise<void> {
    await sh(`${this.where.join(' ')} sh -ec '${line}'`)
  }

  /** Ends all that runs there. What hangs on a frozen disk needs a thaw first. */
  async destroy(): Promise<void> {
    if (this.#keeper.exitCode !== null || this.#keeper.signalCode !== null) return
    await until(`end of what runs in ${this.name}`, 5000, () => {
      const others = this.#pids().filter((pid) => pid !== this.#pid)
      for (const pid of others) kill(pid)
      return others.length === 0 ? true : undefined
    })
    // A namespace ends some time after its last process, and the cable with it: the next one may have its name.
    await sh(`ip link delete ${this.name} 2>/dev/null || true`)
    const gone = once(this.#keeper, 'exit')
    this.#keeper.kill('SIGKILL')
    await gone
  }

  get #pid(): number {
    return this.#keeper.pid ?? 0
  }

  /** None, as long as it is not in a network of its own. */
  #pids(): number[] {
    const network = networkOf(this.#pid)
    return network === networkOf(process.pid) ? [] : pidsIn(network)
  }

  async #ready(): Promise<void> {
    let said = ''
    for (const stream of [this.#keeper.stdout, this.#keeper.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (said += text))
    }
    await until(`box ${this.name}`, 10_000, () => {
      if (this.#keeper.exitCode !== null) throw new Error(said)
      return said.includes('ready') ? true : undefined
    })
  }

  async #plug({ addresses, interface: name = 'eth0' }: EdgeBoxInit): Promise<void> {
    await sh(`ip link add ${this.name} type veth peer name ${name} netns ${this.#pid}
      ip link set ${this.name} master ${SWITCH} up`)
    const adds = addresses.map((address) => {
      // Nobody else has it: nothing waits for the proof.
      return `ip address add ${address} dev ${name} ${address.includes(':') ? 'nodad' : ''}`
    })
    await this.sh([...adds, `ip link set ${name} up`].join('\n'))
  }
}

function pidsIn(network: string): number[] {
  return fs
    .readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && networkOf(pid) === network)
}

/** Of a process that has just ended: none. */
function networkOf(pid: number): string {
  try {
    return fs.readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return ''
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
