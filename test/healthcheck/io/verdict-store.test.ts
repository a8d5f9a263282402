import t from 'tap'
import type { Verdict } from '../../../common/model/health.ts'
import { createVerdictStore } from '../../../healthcheck/io/verdict-store.ts'

const located = (factor: number) => {
  const verdict: Verdict = {
    pool: 'caches',
    server: 'c1',
    state: 'up',
    factor,
    reason: 'status 200',
    sinceMs: 5,
    clearsSuspicion: false,
    held: 'no',
    outageCount: 0,
    returned: 'no',
    boot: undefined,
    cache: undefined,
  }
  return [
    {
      verdict,
      upCache: undefined,
      address: '10.0.0.1',
      port: 80,
      confirmedMs: 900,
      keptUntilMs: undefined,
    },
  ]
}

void t.test('a failure is told once, until a write succeeds again', async (t) => {
  const told: string[] = []
  const written: string[] = []
  let failure: Error | undefined
  const write = (name: string, text: string) => {
    written.push(`${name}: ${text}`)
    return failure === undefined ? Promise.resolve() : Promise.reject(failure)
  }
  const store = createVerdictStore(write, (reason) => {
    told.push(reason)
  })
  const save = async (factor: number) => {
    store.save(located(factor), 1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await save(0.1)
  t.match(written[0], /^verdicts\.json: .*"factor":0\.1/)
  t.same(told, [])
  for (const sentence of ['full', 'still full', undefined, 'full again']) {
    failure = sentence === undefined ? undefined : new Error(sentence)
    await save(0.2)
  }
  t.same(told, ['full', 'full again'])
  t.equal(written.length, 5)
})
