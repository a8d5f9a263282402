import { spawn, execFileSync, type ChildProcess, type StdioOptions } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { processTree } from './process-tree.ts'

/** Which core a program runs on: the proxy under test has one alone. */
export type Core = 'proxy' | 'load'

export interface StartOptions {
  readonly core: Core
  readonly ipc?: boolean
  /** Standard output goes to this file instead of the program's message file. */
  readonly stdoutFile?: string
}

const STOP_MS = 4000
/** Photos, their pool, and the logs of a full run. */
const NEEDED_BYTES = 8 * 2 ** 30

/**
 * A folder of its own and the processes of this run. `close` ends exactly those, by process id,
 * and removes the folder.
 */
export class Stage {
  readonly folder = mkdtempSync(path.join(temporaryRoot(), 'photoedge-bench-'))
  readonly #children = new Set<ChildProcess>()
  readonly #isPinning = availableParallelism() > 1 && existsSync('/usr/bin/taskset')
  readonly #cores: Readonly<Record<Core, number>>
  #closing: Promise<void> | undefined

  constructor(cores: Readonly<Record<Core, number>>) {
    this.#cores = cores
    if (this.#isPinning) {
      execFileSync('taskset', ['-pc', String(cores.load), String(process.pid)], { stdio: 'ignore' })
    }
  }

  get isPinned(): boolean {
    return this.#isPinning
  }

  file(name: string): string {
    return path.join(this.folder, name)
  }

  /** Starts a program; what it says goes to a file that `messagesOf` reads. */
  start(name: string, command: readonly string[], options: StartOptions): ChildProcess {
    const messages = openSync(this.file(`${name}.messages`), 'a')
    const { stdoutFile } = options
    const stdout = stdoutFile === undefined ? messages : openSync(stdoutFile, 'a')
    const stdio: StdioOptions = ['ignore', stdout, messages]
    if (options.ipc === true) stdio.push('ipc')
    // If this process is killed without a chance to clean up, the kernel ends its children.
    const guard = existsSync('/usr/bin/setpriv') ? ['setpriv', '--pdeathsig', 'TERM'] : []
    const pin = this.#isPinning ? ['taskset', '-c', String(this.#cores[options.core])] : []
    const [program = '', ...args] = [...guard, ...pin, ...command]
    const child = spawn(program, args, { stdio, cwd: this.folder, detached: true })
    closeSync(messages)
    if (stdoutFile !== undefined) closeSync(stdout)
    this.#children.add(child)
    child.once('error', () => this.#children.delete(child))
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** The last of what a program said. */
  messagesOf(name: string): string {
    const text = readFileSync(this.file(`${name}.messages`), 'utf8').trim()
    return text.split('\n').slice(-12).join('\n')
  }

  /** Asks a program to end, and ends it with its whole tree when it does not. */
  async stop(child: ChildProcess): Promise<void> {
    const { pid } = child
    if (pid === undefined || !this.#children.has(child)) return
    const tree = processTree(pid)
    const hasEnded = new Promise<void>((resolve) =>
      child.once('exit', () => {
        resolve()
      }),
    )
    child.kill('SIGTERM')
    const force = setTimeout(() => {
      for (const id of tree) killQuietly(id)
    }, STOP_MS)
    await hasEnded
    clearTimeout(force)
  }

  async close(): Promise<void> {
    this.#closing ??= this.#end()
    await this.#closing
  }

  /** Its processes are gone or going: what they are missed for is no fault. */
  get isClosing(): boolean {
    return this.#closing !== undefined
  }

  /** The same for a process that is about to end without having called `close`; ends nothing gently. */
  abandon(): void {
    for (const { pid } of this.#children) {
      if (pid !== undefined) for (const id of processTree(pid)) killQuietly(id)
    }
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.stop(child)))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Memory, where there is room: thousands of small files on a disk take seconds to make. */
function temporaryRoot(): string {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > NEEDED_BYTES ? memory : tmpdir()
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer()
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => {
            resolve(server)
          })
        }),
    ),
  )
  return Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          const address = server.address()
          const port = typeof address === 'object' && address !== null ? address.port : 0
          server.close(() => {
            resolve(port)
          })
        }),
    ),
  )
}
