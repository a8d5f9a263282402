import t from 'tap'
import { DemoScreen, logLine, tableLines } from '../../bin/demo/demo-screen.ts'
import type { CacheView, EdgeView } from '../../bin/demo/demo-screen.ts'

const CACHE: CacheView = {
  name: 'cache-1',
  port: 8091,
  pid: 42,
  verdict: 'up',
  requestsPerSecond: 20,
  hitPct: 97.4,
}
const VIEW: EdgeView = {
  caches: [
    CACHE,
    { ...CACHE, name: 'cache-2', pid: undefined, verdict: 'down', requestsPerSecond: 0 },
  ],
  storageRequestsPerSecond: 3,
  requestsPerSecond: 20,
  worstMs: 12.3,
  failedCount: 0,
  lastFailure: '',
}

function terminal(isTTY: boolean): { out: NodeJS.WriteStream; written: string[] } {
  const written: string[] = []
  const out = { isTTY, columns: 80, write: (text: string) => written.push(text) }
  return { out: out as unknown as NodeJS.WriteStream, written }
}

void t.test('a row for each cache, a dead one has no pid', (t) => {
  const [, first, second, storage, sum] = tableLines(VIEW, 80)
  t.match(first, /^cache-1 +8091 +42 +20 +97% +up +█+$/)
  t.match(second, /^cache-2 +8091 +gone +0 .* down +$/)
  t.equal(storage, 'storage: 3 requests/s')
  t.equal(sum, 'public address: 20 requests/s, worst 12 ms, failed since start: 0')
  t.end()
})

void t.test('no line is wider than the terminal', (t) => {
  t.ok(tableLines(VIEW, 40).every((line) => line.length <= 40))
  t.end()
})

void t.test('a line says which caches are gone, down, and how busy the others are', (t) => {
  const hung: CacheView = { ...CACHE, name: 'cache-3', verdict: 'down' }
  const line = logLine({ ...VIEW, caches: [...VIEW.caches, hung] })
  t.match(line, /^cache-1 20\/s {2}cache-2 gone {2}cache-3 down {2}storage 3\/s/)
  t.end()
})

void t.test('failures are told with the last reason', (t) => {
  const line = logLine({ ...VIEW, failedCount: 2, lastFailure: 'status 503' })
  t.match(line, /failed since start: 2 \(last: status 503\)$/)
  t.end()
})

void t.test('on a terminal the table is redrawn below what stays', (t) => {
  const { out, written } = terminal(true)
  const screen = new DemoScreen(out)
  screen.draw(VIEW)
  screen.draw(VIEW)
  screen.print('cache-2 is gone')
  screen.draw(VIEW)
  const erased = '\x1b[6A\x1b[0J'
  t.same(
    written.map((text) => text.startsWith('\x1b')),
    [false, true, false, true, false, false],
  )
  t.equal(written[1], erased)
  t.equal(written[4], 'cache-2 is gone\n')
  t.end()
})

void t.test('without a terminal each second is a line', (t) => {
  const { out, written } = terminal(false)
  new DemoScreen(out).draw(VIEW)
  t.same(written, [`${logLine(VIEW)}\n`])
  t.end()
})
