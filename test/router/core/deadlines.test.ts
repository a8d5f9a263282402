import fc from 'fast-check'
import t from 'tap'
import { monotonicMs } from '../../../common/net/units.ts'
import { Deadlines, NO_PLACE } from '../../../router/core/deadlines.ts'
import type { DeadlineOwner, DeadlinePlace } from '../../../router/core/deadlines.ts'

class Waiter implements DeadlineOwner {
  readonly firedAt: number[] = []
  onDeadline(now: number): void {
    this.firedAt.push(now)
  }
}

void t.test('a deadline fires once, at the first sweep that is not before it', (t) => {
  const deadlines = new Deadlines()
  const waiter = new Waiter()
  const place = deadlines.open(waiter)
  deadlines.arm(place, 100)
  for (const now of [99, 100, 101]) deadlines.sweep(monotonicMs(now))
  t.strictSame(waiter.firedAt, [100])
  t.end()
})

void t.test('a closed place takes no deadline, and its successor inherits none', (t) => {
  const deadlines = new Deadlines()
  const first = new Waiter()
  const place = deadlines.open(first)
  deadlines.arm(place, 10)
  const closed = deadlines.close(place)
  t.equal(closed, NO_PLACE)
  deadlines.arm(closed, 5)
  t.equal(deadlines.close(closed), NO_PLACE, 'closing twice frees nothing twice')
  const second = new Waiter()
  const third = new Waiter()
  t.not(deadlines.open(second), deadlines.open(third))
  deadlines.sweep(monotonicMs(20))
  t.strictSame([first.firedAt, second.firedAt, third.firedAt], [[], [], []])
  t.end()
})

void t.test('an owner may close, open and arm within its own deadline', (t) => {
  const deadlines = new Deadlines()
  const fired: string[] = []
  let place = NO_PLACE
  const again: DeadlineOwner = { onDeadline: () => fired.push('again') }
  place = deadlines.open({
    onDeadline: () => {
      fired.push('first')
      place = deadlines.close(place)
      deadlines.arm(deadlines.open(again), 50)
    },
  })
  deadlines.arm(place, 10)
  deadlines.sweep(monotonicMs(10))
  t.strictSame(fired, ['first'])
  deadlines.sweep(monotonicMs(50))
  t.strictSame(fired, ['first', 'again'])
  t.end()
})

void t.test('any sequence of calls fires what a list of deadlines would fire', (t) => {
  const call = fc.record({
    kind: fc.constantFrom('open', 'close', 'arm', 'disarm', 'sweep'),
    which: fc.nat(1500),
    span: fc.nat(50),
  })
  fc.assert(
    fc.property(fc.array(call, { maxLength: 300 }), fc.nat(1100), (calls, crowd) => {
      const deadlines = new Deadlines()
      for (let i = 0; i < crowd; i++) deadlines.open(new Waiter())
      const open: { waiter: Waiter; place: DeadlinePlace; at: number; expected: number[] }[] = []
      let now = 0
      for (const { kind, which, span } of calls) {
        const one = open[which % Math.max(open.length, 1)]
        if (kind === 'open') {
          const waiter = new Waiter()
          open.push({ waiter, place: deadlines.open(waiter), at: Infinity, expected: [] })
        } else if (kind === 'sweep') {
          now += span
          for (const each of open) {
            if (each.at > now) continue
            each.expected.push(now)
            each.at = Infinity
          }
          deadlines.sweep(monotonicMs(now))
        } else if (one !== undefined) {
          if (kind === 'close') one.place = deadlines.close(one.place)
          else if (kind === 'arm') deadlines.arm(one.place, now + span)
          else deadlines.disarm(one.place)
          one.at = kind === 'arm' && one.place !== NO_PLACE ? now + span : Infinity
        }
      }
      return open.every(({ waiter, expected }) => String(waiter.firedAt) === String(expected))
    }),
  )
  t.end()
})
