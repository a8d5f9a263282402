import t from 'tap'
import { WarmGate } from '../../../router/core/warm-gate.ts'

/** Offers different photos, one a step, and notes those that are let through. */
function offered(gate: WarmGate, count: number, stepMs: number): number[] {
  const admitted: number[] = []
  for (let i = 0; i < count; i++) if (gate.admit(1 + i, i * stepMs)) admitted.push(i)
  return admitted
}

void t.test('every fourth of what is offered, where nothing else bounds it', (t) => {
  const gate = new WarmGate()
  const admitted: number[] = []
  for (let i = 0; i < 16; i++)
    if (gate.admit(i + 1, i * 1000)) {
      admitted.push(i)
      gate.done()
    }
  t.strictSame(admitted, [3, 7, 11, 15])
  t.end()
})

void t.test('twenty a second at most, however many are offered', (t) => {
  const gate = new WarmGate()
  let count = 0
  for (let ms = 0; ms < 10_000; ms += 0.25)
    if (gate.admit(1 + ms * 4, ms)) {
      count++
      gate.done()
    }
  t.ok(count > 190 && count <= 200, `${count}`)
  t.end()
})

void t.test('four at a time', (t) => {
  const gate = new WarmGate()
  t.equal(offered(gate, 100, 1000).length, 4)
  t.equal(gate.activeCount, 4)
  t.notOk(gate.admit(5000, 1e9))
  gate.done()
  t.ok(gate.admit(5000, 1e9), 'its turn is kept for it')
  t.end()
})

void t.test('a popular photo goes through once and leaves its turn to others', (t) => {
  const gate = new WarmGate()
  let now = 0
  const turn = (hash: number): boolean => gate.admit(hash, (now += 1000))
  for (let i = 0; i < 3; i++) t.notOk(turn(77))
  t.ok(turn(77))
  for (let i = 0; i < 20; i++) t.notOk(turn(77))
  t.ok(turn(78), 'at once')
  t.end()
})
