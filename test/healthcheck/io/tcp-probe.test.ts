import t from 'tap'
import type { Outcome } from '../../../healthcheck/core/outcome.ts'
import { runTcpProbe } from '../../../healthcheck/io/tcp-probe.ts'
import { tcpCheck } from '../world.ts'
import { components, listen, outcomeOf, targetOf } from './rig.ts'

const connect = (port: number) =>
  outcomeOf((done) => runTcpProbe(components, targetOf(tcpCheck(), port), done))

void t.test('a TCP check passes where something accepts', async (t) => {
  const port = await listen(t, () => undefined)
  t.match(await connect(port), { result: 'passed', reason: 'connected', factor: 1 })
})

void t.test('a refused connection fails at once, by the server', async (t) => {
  t.match(await connect(1), { result: 'failed', reason: 'connect refused', blame: 'server' })
})

void t.test('a cancelled check tells nothing', async (t) => {
  const port = await listen(t, () => undefined)
  let told: Outcome | undefined
  const probe = runTcpProbe(components, targetOf(tcpCheck(), port), (outcome) => {
    told = outcome
  })
  probe.cancel()
  t.match(await connect(port), { result: 'passed' })
  t.equal(told, undefined)
})
