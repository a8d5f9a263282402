import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ChildProcess } from 'node:child_process'
import { setPolicy } from './realtime.ts'
import type { Core, Stage } from './stage.ts'

const PROGRAM = fileURLToPath(new URL('witness-process.ts', import.meta.url))

/**
 * Notices when a core stands still: it asks to be woken every millisecond, before everybody else.
 * Only what stands outside of this system, a host that has given the core to another guest, can
 * make it late.
 */
export class Witness {
  readonly #child: ChildProcess

  constructor(stage: Stage, core: Core) {
    const command = [process.execPath, PROGRAM]
    this.#child = stage.start(`witness-${core}`, command, { core, ipc: true })
  }

  /** Whether it may come before everybody else. */
  rise(): boolean {
    return setPolicy(this.#child.pid ?? -1, 'fifo', 2)
  }

  /** How many of the next so many milliseconds its core stands still. */
  async watch(durationMs: number): Promise<number> {
    this.#child.send(durationMs)
    const [stoodMs] = (await once(this.#child, 'message')) as [number]
    return stoodMs
  }
}
