import { fileURLToPath } from 'node:url'
import type { ChildProcess } from 'node:child_process'
import { askChild } from './ask-child.ts'
import { setPolicy } from './realtime.ts'
import type { Core, Stage } from './stage.ts'

const PROGRAM = fileURLToPath(new URL('witness-process.ts', import.meta.url))

/**
 * Notices when a core stands still: it asks to be woken every millisecond, before everybody else.
 * What makes it late stands above this system's threads: a host that has given the core to another
 * guest, or the kernel's limit for real-time threads (sched(7)), which half a load does not reach.
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
  watch(durationMs: number): Promise<number> {
    return askChild<number>(this.#child, 'A witness', durationMs)
  }
}
