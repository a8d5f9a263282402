import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'

/** Runs a line of shell as root; throws with what it said. */
export async function sh(command: string): Promise<void> {
  await promisify(execFile)('/bin/sh', ['-ec', command])
}

export interface DiskOptions {
  readonly sizeMb?: number
  readonly type?: 'ext4' | 'xfs'
  /** More options of its mkfs. */
  readonly mkfs?: string
}

/**
 * A file system in a file, on a tmpfs of its own that can be filled. A process beside it
 * thaws and unmounts everything when this one ends, in whatever way: a frozen file system would
 * hang every `sync` on the machine.
 */
export class Disk {
  readonly mountPoint: string
  readonly #store: string
  readonly #image: string
  readonly #options: Required<DiskOptions>
  readonly #guard: ChildProcess

  private constructor(folder: string, options: Required<DiskOptions>) {
    this.#options = options
    this.mountPoint = path.join(folder, 'mnt')
    this.#store = path.join(folder, 'store')
    this.#image = path.join(this.#store, 'disk.img')
    for (const made of [this.mountPoint, this.#store]) fs.mkdirSync(made, { recursive: true })
    this.#guard = this.#startGuard()
  }

  /** Makes the disk under `folder`, mounted nowhere yet. */
  static async make(
    folder: string,
    { sizeMb = 32, type = 'ext4', mkfs = '-N 64' }: DiskOptions = {},
  ): Promise<Disk> {
    const disk = new Disk(folder, { sizeMb, type, mkfs })
    await sh(`mount -t tmpfs -o size=${sizeMb + 16}m none ${disk.#store}`)
    await disk.makeFileSystem()
    return disk
  }

  /** A new and empty file system; only while it is not mounted. */
  async makeFileSystem(): Promise<void> {
    const { sizeMb, type, mkfs } = this.#options
    await sh(`rm -f ${this.#image}; truncate -s ${sizeMb}M ${this.#image}
      mkfs.${type} -q ${mkfs} ${this.#image}`)
  }

  async mount(where = this.mountPoint): Promise<void> {
    await sh(`mount -o loop ${this.#image} ${where}`)
  }

  async unmount(where = this.mountPoint): Promise<void> {
    // A look may be under way there just now, or a killed process not gone yet.
    await sh(`for i in 1 2 3 4 5 6 7 8 9; do ! umount ${where} || exit 0; sleep 0.1; done
      umount ${where}`)
  }

  /** From now on every writer hangs in the kernel. */
  async freeze(): Promise<void> {
    await sh(`fsfreeze -f ${this.mountPoint}`)
  }

  async thaw(): Promise<void> {
    await sh(`fsfreeze -u ${this.mountPoint}`)
  }

  /** Its device, while it is mounted: `/dev/loop3`. */
  get device(): string {
    const mounts = fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    const mount = mounts.find((line) => line.split(' ')[4] === this.mountPoint)
    const device = /\/dev\/loop\d+/.exec(mount ?? '')?.[0]
    if (device === undefined) throw new Error(`nothing is mounted at ${this.mountPoint}`)
    return device
  }

  /** As if it were pulled out: the device has no sector left, every read and write is an error. */
  async pull(): Promise<void> {
    await sh(`truncate -s 0 ${this.#image}; losetup -c ${this.device}`)
  }

  /** As a thin volume whose store is full: what was never written can't be written any more. */
  async fillStore(): Promise<void> {
    const megabytes = this.#options.sizeMb + 32
    await sh(`head -c ${megabytes}m /dev/zero > ${this.#store}/fill || true`)
  }

  /** Thaws it, if need be, and unmounts it. */
  async remove(): Promise<void> {
    if (this.#guard.exitCode !== null) return
    this.#guard.stdin?.end()
    await once(this.#guard, 'exit')
  }

  /** In a session of its own: it outlives what the runner kills. Its input ends with this process. */
  #startGuard(): ChildProcess {
    const line = `cat > /dev/null
      fsfreeze -u ${this.mountPoint}
      umount -l ${this.mountPoint}
      umount -l ${this.#store}`
    return spawn('/bin/sh', ['-c', line], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  }
}
