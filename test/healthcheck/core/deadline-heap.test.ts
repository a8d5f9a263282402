import fc from 'fast-check'
import t from 'tap'
import { DeadlineHeap } from '../../../healthcheck/core/deadline-heap.ts'

void t.test('a heap gives its entries by time, equal ones in the order pushed', (t) => {
  const pushOrPop = fc.option(fc.nat(20), { nil: 'pop' as const })
  fc.assert(
    fc.property(fc.array(pushOrPop), (operations) => {
      const heap = new DeadlineHeap<number>()
      let model: { at: number; item: number }[] = []
      for (const [index, operation] of operations.entries()) {
        if (operation === 'pop') {
          const expected = model.shift()
          if (heap.peek()?.item !== expected?.item || heap.pop()?.at !== expected?.at) return false
        } else {
          heap.push(operation, index)
          model = [...model, { at: operation, item: index }].sort(
            (a, b) => a.at - b.at || a.item - b.item,
          )
        }
        if (heap.size !== model.length) return false
      }
      return model.every(({ item }) => heap.pop()?.item === item) && heap.pop() === undefined
    }),
  )
  t.end()
})
