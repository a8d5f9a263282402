import net from 'node:net'
import type { TcpCheckConfig } from '../../common/config/config.ts'
import { NOTHING_TOLD } from '../core/outcome.ts'
import type { Outcome } from '../core/outcome.ts'
import type { ProbeTarget } from '../core/probe-plan.ts'
import { ProbeRun } from './probe-run.ts'
import type { ProbeComponents, RunningProbe } from './probe-run.ts'

/** Connects, and takes that for an answer. */
export function runTcpProbe(
  components: ProbeComponents,
  target: ProbeTarget & { readonly check: TcpCheckConfig },
  done: (outcome: Outcome) => void,
): RunningProbe {
  const run = new ProbeRun(components, { done })
  const { address, port = 0, check } = target
  const { localAddress } = components
  run.enter('connect', check.timeoutMs)
  const socket = net.connect({ host: address, port, ...(localAddress && { localAddress }) })
  run.onRelease(() => socket.destroy())
  socket.on('error', (error) => {
    run.failByError(error)
  })
  socket.on('connect', () => {
    run.finish({ result: 'passed', reason: 'connected', ...run.measure(), ...NOTHING_TOLD })
  })
  return run
}
