import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import type { CountersSnapshot } from '../core/counters.ts'
import type { PrimaryMessage, WorkerMessage } from './messages.ts'

/** A worker as status shows it. */
export interface WorkerView {
  /** From 1; its successor has the same. */
  readonly worker: number
  readonly pid: number
  readonly state: 'starting' | 'ready' | 'draining' | 'dead'
  /** Wall clock of its start. */
  readonly sinceMs: number
  /** Of the configuration in use there; 0 before the first. */
  readonly generation: number
  readonly lateMs: number
  readonly snapshot: CountersSnapshot | undefined
}

export interface WorkerProcessHooks {
  readonly onMessage: (process: WorkerProcess, message: WorkerMessage) => void
  readonly onExit: (process: WorkerProcess, reason: string) => void
}

/** When it is started, by both clocks. */
export interface WorkerProcessInit {
  readonly ms: number
  readonly wallMs: number
}

/** One worker process from its fork to its end. */
export class WorkerProcess {
  /** From 0: its place among the listening sockets. */
  readonly index: number
  readonly startedAtMs: number
  /** Undefined: there is no process, and never was. */
  readonly #worker: Worker | undefined
  readonly #wallMs: number
  state: WorkerView['state'] = 'starting'
  generation = 0
  /** It was told all that there is; from then on it is told what changes. */
  isIntroduced = false
  lateMs = 0
  snapshot: CountersSnapshot | undefined
  /** `listener place` of each socket that it was given. */
  readonly listening = new Set<string>()

  constructor(index: number, init: WorkerProcessInit, hooks: WorkerProcessHooks) {
    this.index = index
    this.startedAtMs = init.ms
    this.#wallMs = init.wallMs
    let isOver = false
    const end = (reason: string): void => {
      if (isOver) return
      isOver = true
      this.state = 'dead'
      hooks.onExit(this, reason)
    }
    this.#worker = this.#fork((error) => {
      end(`it could not be started: ${error.message}`)
    })
    this.#worker?.on('message', (message: WorkerMessage) => {
      hooks.onMessage(this, message)
    })
    this.#worker?.on('exit', (code: number | null, signal: string | null) => {
      end(signal === null ? `it ended with exit code ${code ?? 0}` : `it was ended by ${signal}`)
    })
  }

  /**
   * Why no process could be made is told later, never within the call. Node has two ways to say
   * so: an event for a few errors, and it throws the others, as while the program is replaced.
   */
  #fork(onFailure: (error: Error) => void): Worker | undefined {
    try {
      const worker = cluster.fork({ PHOTOEDGE_WORKER: String(this.index + 1) })
      worker.on('error', (error) => {
        if (worker.process.pid === undefined) onFailure(error)
      })
      return worker
    } catch (error) {
      setImmediate(onFailure, error as Error)
      return undefined
    }
  }

  get pid(): number {
    return this.#worker?.process.pid ?? 0
  }

  view(): WorkerView {
    const { index, pid, state, generation, lateMs, snapshot } = this
    return {
      worker: index + 1,
      pid,
      state,
      sinceMs: this.#wallMs,
      generation,
      lateMs,
      snapshot,
    }
  }

  /** What a worker on its way out does not get any more is lost, and nobody misses it. */
  send(message: PrimaryMessage, handle?: object): void {
    if (this.#worker?.isConnected() !== true) return
    this.#worker.process.send(message, handle as never, {}, () => undefined)
  }

  kill(signal: NodeJS.Signals): void {
    this.#worker?.process.kill(signal)
  }
}
