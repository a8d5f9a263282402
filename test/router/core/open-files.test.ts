import t from 'tap'
import { tooFewOpenFiles } from '../../../router/core/open-files.ts'

void t.test('two open files a client and some for the worker are enough', (t) => {
  const listeners = [{ maxConnections: 1000 }, { maxConnections: 500 }]
  t.equal(tooFewOpenFiles(listeners, 3100), undefined)
  t.equal(
    tooFewOpenFiles(listeners, 3099),
    '1500 clients (maxConnections of all listeners) can need 3100 open files in each worker, which may have 3099; raise LimitNOFILE (ulimit -n) or lower maxConnections',
  )
  t.equal(tooFewOpenFiles(listeners, Infinity), undefined)
  t.end()
})

void t.test('where a listener has no maxConnections nothing is said', (t) => {
  t.equal(
    tooFewOpenFiles([{ maxConnections: 1000 }, { maxConnections: undefined }], 100),
    undefined,
  )
  t.end()
})
