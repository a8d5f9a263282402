import '../../common/runtime/first.ts'
import type { MountConfig } from '../../common/config/config.ts'
import type { MountReport } from '../core/mount-report.ts'
import { lookAtMount } from './mount-look.ts'

// The entry of the process that looks at one mount, when told to, for as long as its parent lives.
// Its argument is its title, by which it is found when it outlives its parent (former-looker.ts).

/** What the parent sends: look now. */
export interface LookMessage {
  readonly run: number
  readonly mount: MountConfig
}

/** What comes back: once that it waits for orders, then of each look, sooner or later, its report. */
export type ProcessMessage = 'ready' | ReportMessage

export interface ReportMessage {
  readonly run: number
  readonly report: MountReport
}

process.title = process.argv[2] ?? ''

// The service manager signals the whole group: the parent decides when it is over.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => undefined)
process.on('disconnect', () => process.exit(0))
process.on('message', ({ run, mount }: LookMessage) => {
  send({ run, report: lookAtMount(mount) })
})
send('ready')

function send(message: ProcessMessage): void {
  // A parent that has gone meanwhile is told by 'disconnect'.
  process.send?.(message, undefined, undefined, () => undefined)
}
