import { fork, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const STOP_DEADLINE_MS = 3000

/**
 * The demo's child processes: none outlives the demo. Stopped ones get SIGTERM and, 3 s later,
 * SIGKILL; after a demo that was itself killed, a keeper process ends them.
 */
export class DemoProcesses {
  readonly #running = new Set<ChildProcess>()
  readonly #keeper: ChildProcess
  #isStopping = false

  constructor(folder: string) {
    const file = path.join(import.meta.dirname, 'keeper-process.ts')
    this.#keeper = fork(file, [folder], { stdio: 'ignore', detached: true })
  }

  /** A child with a message channel, from a file beside this one. */
  fork(file: string, args: readonly string[]): ChildProcess {
    const script = path.join(import.meta.dirname, file)
    return this.#add(fork(script, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }))
  }

  /** A command of Node's, in a process group of its own: the terminal's Ctrl-C does not reach it. */
  spawnNode(args: readonly string[]): ChildProcess {
    return this.#add(
      spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true }),
    )
  }

  /** Resolves when all of them are gone. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all([...this.#running].map(stopChild))
    const keeperGone = once(this.#keeper, 'exit')
    this.#keeper.disconnect()
    await keeperGone
  }

  #add(child: ChildProcess): ChildProcess {
    if (this.#isStopping) {
      child.kill('SIGKILL')
      throw new Error('The demo is ending')
    }
    this.#running.add(child)
    this.#keeper.send({ started: child.pid })
    child.once('exit', () => {
      this.#running.delete(child)
      if (this.#keeper.connected) this.#keeper.send({ ended: child.pid })
    })
    return child
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  // A process that the visitor stopped (SIGSTOP) must go too.
  child.kill('SIGCONT')
  const cancel = new AbortController()
  const late = delay(STOP_DEADLINE_MS, 'late', { signal: cancel.signal }).catch(() => 'gone')
  if ((await Promise.race([gone, late])) === 'late') child.kill('SIGKILL')
  cancel.abort()
  await gone
}
