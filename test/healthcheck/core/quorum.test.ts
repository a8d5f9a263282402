import fc from 'fast-check'
import t from 'tap'
import { NO_QUORUM, stepQuorum } from '../../../healthcheck/core/quorum.ts'
import type { QuorumConfig, QuorumServer } from '../../../healthcheck/core/quorum.ts'

const config: QuorumConfig = { quorum: 3, hysteresis: 1, hasSorryServer: true }
const up = (count: number): QuorumServer[] =>
  Array.from({ length: count }, () => ({ isUp: true, weight: 1, factor: 1 }))

void t.test('the quorum is gained above and lost below, with the hysteresis between', (t) => {
  let state = NO_QUORUM
  const story = [3, 4, 3, 2, 1, 3, 4].map((count) => {
    const next = stepQuorum(config, state, up(count))
    state = next.state
    return [count, next.change, next.serves]
  })
  t.same(story, [
    [3, undefined, 'sorryServer'],
    [4, 'gained', 'servers'],
    [3, undefined, 'servers'],
    [2, undefined, 'servers'],
    [1, 'lost', 'sorryServer'],
    [3, undefined, 'sorryServer'],
    [4, 'gained', 'servers'],
  ])
  t.end()
})

void t.test('without a sorry server what is left serves on', (t) => {
  const next = stepQuorum({ ...config, hasSorryServer: false }, NO_QUORUM, up(1))
  t.same([next.state.hasQuorum, next.serves], [false, 'servers'])
  t.end()
})

void t.test('with no weight at all there is never a quorum', (t) => {
  const wide = { quorum: 1, hysteresis: 1, hasSorryServer: true }
  const gained = stepQuorum(wide, NO_QUORUM, up(2)).state
  t.equal(gained.hasQuorum, true)
  t.equal(stepQuorum(wide, gained, up(0)).change, 'lost')
  t.equal(stepQuorum(wide, gained, [{ isUp: false, weight: 9, factor: 1 }]).change, 'lost')
  t.equal(stepQuorum(wide, gained, [{ isUp: true, weight: 9, factor: 0 }]).change, 'lost')
  t.end()
})

void t.test(
  'shares that make up the whole make the quorum, whatever their sum is rounded to',
  (t) => {
    const shares = (...factors: number[]) =>
      factors.map((factor) => ({ isUp: true, weight: 1, factor }))
    const exact = { quorum: 1, hysteresis: 0, hasSorryServer: true }
    t.equal(stepQuorum(exact, NO_QUORUM, shares(0.7, 0.2, 0.1)).change, 'gained')
    t.equal(stepQuorum(exact, NO_QUORUM, shares(0.7, 0.2, 0.099)).change, undefined)
    const gained = stepQuorum(exact, NO_QUORUM, up(1)).state
    t.equal(stepQuorum(exact, gained, shares(0.7, 0.2, 0.1)).change, undefined)
    t.equal(stepQuorum(exact, gained, shares(0.7, 0.2, 0.099)).change, 'lost')
    t.end()
  },
)

void t.test("weights and factors count as Keepalived's rule has it", (t) => {
  const server = fc.record({
    isUp: fc.boolean(),
    weight: fc.nat(5),
    factor: fc.constantFrom(0, 0.5, 1),
  })
  fc.assert(
    fc.property(
      fc.nat(8),
      fc.nat(4),
      fc.boolean(),
      fc.array(server),
      (quorum, hysteresis, had, servers) => {
        const { state } = stepQuorum(
          { quorum, hysteresis, hasSorryServer: false },
          { hasQuorum: had, weight: 0 },
          servers,
        )
        const weight = servers
          .filter((s) => s.isUp)
          .map((s) => s.weight * s.factor)
          .reduce((a, b) => a + b, 0)
        if (weight !== state.weight) return false
        if (weight === 0) return !state.hasQuorum
        if (weight >= quorum + hysteresis) return state.hasQuorum
        if (weight < quorum - hysteresis) return !state.hasQuorum
        return state.hasQuorum === had
      },
    ),
  )
  t.end()
})
