import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** How a command line ended. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs command lines of the program, one after the other, all in one process of their own. */
export interface ProgramRuns {
  readonly run: (
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
  ) => Promise<Ended>
  readonly end: () => void
}

export function startProgramRuns(): ProgramRuns {
  const host = fork(fileURLToPath(new URL('./program-host.ts', import.meta.url)))
  let last: Promise<unknown> = Promise.resolve()
  return {
    run(args, environment = {}) {
      const turn = last.then(async () => {
        const ended = once(host, 'message')
        host.send({ args, environment: { PHOTOEDGE_SOCKET: '', ...environment } })
        return ((await ended) as [Ended])[0]
      })
      last = turn
      return turn
    },
    end() {
      host.disconnect()
    },
  }
}
