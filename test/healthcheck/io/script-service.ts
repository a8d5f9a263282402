import { createScriptProber } from '../../../healthcheck/io/script-probe.ts'
import { components, targetOf } from './rig.ts'
import { tcpCheck } from '../world.ts'

// A service that runs one script, its arguments, again and again, and says by a line of its own when
// a run has ended.

const prober = createScriptProber(components)
const check = {
  ...tcpCheck({ timeoutMs: 60_000 }),
  name: 'script',
  type: 'script',
  user: undefined,
  dynamic: false,
  command: process.argv.slice(2),
} as const

function run(): void {
  prober.run(targetOf(check, 80), ({ reason }) => {
    process.stdout.write(`${reason}\n`)
    run()
  })
}
run()
