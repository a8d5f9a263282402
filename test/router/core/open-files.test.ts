import t from 'tap'
import { tooFewOpenFiles } from '../../../router/core/open-files.ts'

void t.test('two open files a client and some for the worker are enough', (t) => {
  const listeners = [{ maxConnections: 1000 }, { maxConnections: 500 }]
  const router = { listeners, workers: 1 }
  t.equal(tooFewOpenFiles(router, 3100), undefined)
  t.equal(tooFewOpenFiles({ listeners, workers: 2 }, 1600), undefined)
  t.match(tooFewOpenFiles({ listeners, workers: 2 }, 1599), /^750 clients in a worker /)
  t.match(tooFewOpenFiles({ listeners, workers: 3 }, 1000), /^501 clients in a worker /)
  t.equal(
    tooFewOpenFiles(router, 3099),
    "1500 clients in a worker (its share of all listeners' maxConnections) can need 3100 open files, and it may have 3099; raise LimitNOFILE (ulimit -n) or lower maxConnections",
  )
  t.equal(tooFewOpenFiles(router, Infinity), undefined)
  t.end()
})

void t.test('where a listener has no maxConnections nothing is said', (t) => {
  t.equal(
    tooFewOpenFiles(
      { listeners: [{ maxConnections: 1000 }, { maxConnections: undefined }], workers: 1 },
      100,
    ),
    undefined,
  )
  t.end()
})
