import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

const PROGRAM = path.join(import.meta.dirname, '..', '..', '..', 'bin', 'photoedge.ts')

/** What a command of an operator's said. */
export interface Said {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `photoedge` as an operator types it, by default on this machine. */
export class Photoedge {
  readonly #where: readonly string[]

  /** @param where - the words before the program's that take it to where it runs */
  constructor(where: readonly string[] = []) {
    this.#where = where
  }

  /** Resolves when it has ended. */
  async run(...args: readonly string[]): Promise<Said> {
    const [program = '', ...rest] = this.#words(args)
    return new Promise((resolve) => {
      const child = execFile(program, rest, (_error, stdout, stderr) => {
        resolve({ code: child.exitCode, stdout, stderr })
      })
    })
  }

  /** A service, which goes on. */
  start(...args: readonly string[]): Service {
    const [program = '', ...rest] = this.#words(args)
    return new Service(spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] }))
  }

  #words(args: readonly string[]): string[] {
    return [...this.#where, process.execPath, PROGRAM, ...args]
  }
}

/** A `photoedge` that runs. */
export class Service {
  /** What it wrote to stdout and stderr. */
  output = ''
  readonly #child: ChildProcess

  constructor(child: ChildProcess) {
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    }
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** SIGTERM; the exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM')
  }

  /** SIGKILL, if it has not ended yet; what it has started ends by itself. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.isRunning) {
      const gone = once(this.#child, 'exit')
      this.#child.kill(signal)
      await gone
    }
    return this.#child.exitCode
  }
}
