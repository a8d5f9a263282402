// One check by the prober's own code, from wherever this process is: `probe-once.ts '{"type":"tcp",…}'`.
// Prints its outcome as JSON.

import type { HttpCheckConfig, TcpCheckConfig } from '../../../common/config/config.ts'
import { systemClock } from '../../../common/runtime/clock.ts'
import type { Outcome } from '../../../healthcheck/core/outcome.ts'
import { createHttpProber } from '../../../healthcheck/io/http-probe.ts'
import { runTcpProbe } from '../../../healthcheck/io/tcp-probe.ts'

const components = {
  clock: systemClock,
  lateMs: () => 0,
  isLinkUp: () => true,
  localAddress: undefined,
}

const { address, check } = JSON.parse(process.argv[2] ?? '') as {
  readonly address: string
  readonly check: TcpCheckConfig | HttpCheckConfig
}
const target = { key: 'one', address, port: 80, server: 'one' }
const done = (outcome: Outcome): void => {
  process.stdout.write(`${JSON.stringify(outcome)}\n`)
}
if (check.type === 'tcp') runTcpProbe(components, { ...target, check }, done)
else createHttpProber(components).run({ ...target, check }, done)
