import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'

/** Runs a line of shell as root; throws with what it said. */
export function sh(command: string): void {
  execFileSync('/bin/sh', ['-ec', command], { stdio: ['ignore', 'ignore', 'pipe'] })
}

export interface DiskOptions {
  readonly sizeMb?: number
  /** More options of mkfs.ext4. */
  readonly mkfs?: string
}

/**
 * An ext4 file system in a file, on a tmpfs of its own that can be filled. A process beside it
 * thaws and unmounts everything when this one ends, in whatever way: a frozen file system would
 * hang every `sync` on the machine.
 */
export class Disk {
  readonly mountPoint: string
  readonly #store: string
  readonly #image: string
  readonly #options: Required<DiskOptions>
  readonly #guard: ChildProcess

  /** Makes the disk under `folder`, mounted nowhere yet. */
  constructor(folder: string, { sizeMb = 32, mkfs = '-N 64' }: DiskOptions = {}) {
    this.#options = { sizeMb, mkfs }
    this.mountPoint = path.join(folder, 'mnt')
    this.#store = path.join(folder, 'store')
    this.#image = path.join(this.#store, 'disk.img')
    sh(`mkdir -p ${this.mountPoint} ${this.#store}
      mount -t tmpfs -o size=${sizeMb + 16}m none ${this.#store}`)
    this.#guard = this.#startGuard()
    this.makeFileSystem()
  }

  /** A new and empty file system; only while it is not mounted. */
  makeFileSystem(): void {
    const { sizeMb, mkfs } = this.#options
    sh(`rm -f ${this.#image}; truncate -s ${sizeMb}M ${this.#image}
      mkfs.ext4 -q ${mkfs} ${this.#image}`)
  }

  mount(where = this.mountPoint): void {
    sh(`mount -o loop ${this.#image} ${where}`)
  }

  unmount(where = this.mountPoint): void {
    sh(`umount ${where}`)
  }

  /** From now on every writer hangs in the kernel. */
  freeze(): void {
    sh(`fsfreeze -f ${this.mountPoint}`)
  }

  thaw(): void {
    sh(`fsfreeze -u ${this.mountPoint}`)
  }

  /** As if it were pulled out: the device has no sector left, every read and write is an error. */
  pull(): void {
    const mounts = fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    const mount = mounts.find((line) => line.split(' ')[4] === this.mountPoint)
    const device = /\/dev\/loop\d+/.exec(mount ?? '')?.[0]
    if (device === undefined) throw new Error(`nothing is mounted at ${this.mountPoint}`)
    sh(`truncate -s 0 ${this.#image}; losetup -c ${device}`)
  }

  /** As a thin volume whose store is full: what was never written can't be written any more. */
  fillStore(): void {
    const megabytes = this.#options.sizeMb + 32
    sh(`head -c ${megabytes}m /dev/zero > ${this.#store}/fill || true`)
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
