import t from 'tap'
import { CacheChooser } from '../../../router/core/cache-chooser.ts'
import { buildSlotTable } from '../../../router/core/slot-table.ts'

const servers = Array.from({ length: 12 }, (_, i) => ({ name: `cache-${i}`, weight: 1 + (i % 3) }))
const weights = servers.map((s) => s.weight)
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

void t.test('with the table and without it a user gets the same caches', (t) => {
  const table = buildSlotTable(servers)
  const slow = new CacheChooser({ servers, fallback: 'spread' })
  const fast = new CacheChooser({ servers, fallback: 'spread' })
  fast.setWeights(weights, table)
  const tried = new Set<number>()
  for (const chooser of [slow, fast])
    servers.forEach((_, i) => {
      chooser.setFactor(i, 1)
    })
  for (let user = 0; user < 2000; user++) {
    const id = encode(String(user))
    slow.locate(id, id.length)
    fast.locate(id, id.length)
    tried.clear()
    let server = fast.first()
    t.equal(server, slow.first())
    for (let rank = 0; rank < 12; rank++) {
      if (server !== slow.order()[rank] || fast.rank !== rank) t.fail(`rank ${rank} of ${user}`)
      tried.add(server)
      server = fast.next((s) => tried.has(s))
    }
    if (server !== -1) t.fail('a thirteenth server')
  }
  t.end()
})
