import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
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

void t.test('the last save wins, and the file is whole', async (t) => {
  const file = join(t.testdir({}), 'verdicts.json')
  const store = createVerdictStore(file, (reason) => t.fail(reason))
  t.equal(store.load(1000).size, 0, 'nothing yet')
  for (const factor of [0.1, 0.2, 0.3]) store.save(located(factor), 1000)
  while (!existsSync(file) || !readFileSync(file, 'utf8').includes('0.3')) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(store.load(1000).get('caches/c1')?.factor, 0.3)
  store.saveNow(located(0.4), 2000)
  t.equal(store.load(2000).get('caches/c1')?.factor, 0.4)
  t.same(readdirSync(join(file, '..')), ['verdicts.json'])
})

void t.test('a file that cannot be written is told once', async (t) => {
  const told: string[] = []
  // No folder takes a file's place, whoever makes it.
  const file = join(t.testdir({ state: '' }), 'state', 'verdicts.json')
  const store = createVerdictStore(file, (reason) => {
    told.push(reason)
  })
  store.saveNow(located(1), 0)
  store.save(located(1), 0)
  while (told.length === 0) await new Promise((resolve) => setImmediate(resolve))
  store.saveNow(located(1), 0)
  t.equal(told.length, 1)
  t.match(told[0], /^cannot keep the verdicts in .*verdicts\.json: (EEXIST|ENOTDIR)/)
  rmSync(join(file, '..'))
  store.saveNow(located(0.5), 1000)
  t.equal(store.load(1000).get('caches/c1')?.factor, 0.5, 'and kept once there can be a folder')
})
