import { fileURLToPath } from 'node:url'
import type { ChildProcess } from 'node:child_process'
import { askChild } from '../ask-child.ts'
import type { PhotoLibrary, PhotoSet } from '../photos.ts'
import type { Stage } from '../stage.ts'
import type { LoadReply, LoadRequest } from './messages.ts'
import type { LoadReport } from './target.ts'

const PROGRAM = fileURLToPath(new URL('load-process.ts', import.meta.url))

/** The bench's side of the load process. Each call rejects when an answer was not as it must be. */
export class LoadClient {
  readonly #child: ChildProcess
  readonly #poolFile: string

  constructor(stage: Stage, library: PhotoLibrary) {
    this.#child = stage.start('load', [process.execPath, PROGRAM], { core: 'load', ipc: true })
    this.#poolFile = library.poolFile
  }

  async open(
    target: string,
    endpoint: { readonly port: number; readonly isTls: boolean },
    set: PhotoSet,
    connections: number,
  ): Promise<void> {
    const { port, isTls } = endpoint
    const poolFile = this.#poolFile
    await this.#ask({ type: 'open', target, port, isTls, set, poolFile, connections })
  }

  /** As many photos as the proxy gives for so long, over all connections. */
  runClosed(target: string, durationMs: number): Promise<LoadReport> {
    return this.#askReport({ type: 'closed', target, durationMs })
  }

  /** A constant rate; latencies from the moment each request was due. */
  runOpen(target: string, durationMs: number, photosPerSecond: number): Promise<LoadReport> {
    return this.#askReport({ type: 'openLoop', target, durationMs, photosPerSecond })
  }

  addWithOnePhoto(target: string, count: number): Promise<LoadReport> {
    return this.#askReport({ type: 'addWithOnePhoto', target, count })
  }

  async close(target: string): Promise<void> {
    await this.#ask({ type: 'close', target })
  }

  async #askReport(request: LoadRequest): Promise<LoadReport> {
    const { report } = await this.#ask(request)
    if (report === undefined) throw new Error(`The load process gave no report of ${request.type}`)
    return report
  }

  async #ask(request: LoadRequest): Promise<Extract<LoadReply, { ok: true }>> {
    const reply = await askChild<LoadReply>(this.#child, 'The load process', request)
    if (!reply.ok) throw new Error(`${request.target}: ${reply.message}`)
    return reply
  }
}
