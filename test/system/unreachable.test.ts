// Needs: root, ip
// A host that the network itself says cannot be reached: the check fails at once, with that reason.
// One that nobody answers for fails by its deadline.

import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { Outcome } from '../../healthcheck/core/outcome.ts'
import { httpCheck, tcpCheck } from '../healthcheck/world.ts'
import { sh } from './kit/disk.ts'

const [prober, router] = [`photoedge-p${process.pid}`, `photoedge-r${process.pid}`]
const DEADLINE_MS = 1500

t.teardown(() => sh(`ip netns del ${prober} || true; ip netns del ${router} || true`))
t.before(() =>
  sh(`ip netns add ${prober}; ip netns add ${router}
  ip -n ${prober} link add near type veth peer name far netns ${router}
  ip -n ${prober} address add 10.9.0.1/24 dev near; ip -n ${prober} link set near up
  ip -n ${router} address add 10.9.0.2/24 dev far; ip -n ${router} link set far up
  ip -n ${prober} route add default via 10.9.0.2
  ip -n ${prober} route add blackhole 10.9.1.4
  ip netns exec ${router} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit'
  ip -n ${router} route add unreachable 10.9.1.1
  ip -n ${router} route add prohibit 10.9.1.2
  ip -n ${router} route add blackhole 10.9.1.3`),
)

const limits = { connectMs: DEADLINE_MS, firstByteMs: DEADLINE_MS, lastByteMs: DEADLINE_MS }
const checks = {
  TCP: tcpCheck({ timeoutMs: DEADLINE_MS }),
  HTTP: httpCheck({ timeoutMs: DEADLINE_MS, timeouts: limits, reuse: false }),
}

async function probe(address: string, check: object): Promise<Outcome> {
  const program = path.join(import.meta.dirname, 'kit', 'probe-once.ts')
  const args = ['netns', 'exec', prober, process.execPath, program]
  const { stdout } = await promisify(execFile)('ip', [...args, JSON.stringify({ address, check })])
  return JSON.parse(stdout) as Outcome
}

for (const [kind, check] of Object.entries(checks)) {
  for (const [address, how] of [
    ['10.9.1.1', 'unreachable'],
    ['10.9.1.2', 'prohibited'],
  ] as const) {
    void t.test(`${kind}: a router answers that the host is ${how}`, async (t) => {
      const outcome = await probe(address, check)
      t.match(outcome, { result: 'failed', reason: 'host unreachable', blame: 'doubtful' })
      t.ok(outcome.latencyMs < DEADLINE_MS / 2, `${Math.round(outcome.latencyMs)} ms`)
    })
  }

  void t.test(`${kind}: the box itself has no way there`, async (t) => {
    const reason = "the local routing table sends it nowhere (the prober's own)"
    t.match(await probe('10.9.1.4', check), { result: 'failed', reason, blame: 'prober' })
  })

  void t.test(`${kind}: nobody answers`, async (t) => {
    const outcome = await probe('10.9.1.3', check)
    const reason = 'connect timeout: no connection within 1.5 s'
    t.match(outcome, { result: 'failed', reason, blame: 'doubtful' })
    t.ok(outcome.latencyMs >= DEADLINE_MS)
  })
}
