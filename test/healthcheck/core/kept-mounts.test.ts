import t from 'tap'
import { decodeKeptMounts, encodeKeptMounts } from '../../../healthcheck/core/kept-mounts.ts'

const TOKEN = '0123456789abcdef'

void t.test('what was written is read again', (t) => {
  const mounts = [
    { path: '/srv/a', sizeBytes: 1000, token: TOKEN },
    { path: '/srv/b', sizeBytes: undefined, token: undefined },
  ]
  const text = JSON.stringify(encodeKeptMounts(mounts))
  t.strictSame(decodeKeptMounts(JSON.parse(text)), mounts)
  t.end()
})

void t.test('of what is damaged only the sound parts are taken', (t) => {
  const note = (...mounts: unknown[]) => ({ version: 1, mounts })
  const path = '/srv/a'
  const unknown = { path, sizeBytes: undefined, token: undefined }
  for (const [written, read] of [
    [undefined, []],
    [null, []],
    ['text', []],
    [[], []],
    [{}, []],
    [{ version: 1 }, []],
    [{ version: 1, mounts: { 0: { path } } }, []],
    [{ version: 2, mounts: [{ path }] }, []],
    [note(null, 7, 'x', [], {}, { path: 7 }, { path }), [unknown]],
    [note({ path, sizeBytes: -1, token: 7 }), [unknown]],
    [note({ path, sizeBytes: '9', token: TOKEN.toUpperCase() }), [unknown]],
    [note({ path, sizeBytes: 1e300, token: `${TOKEN}0` }), [unknown]],
    [note({ path, sizeBytes: Infinity }), [unknown]],
    [note({ path, sizeBytes: 0, token: TOKEN }), [{ path, sizeBytes: 0, token: TOKEN }]],
  ] as const) {
    t.strictSame(decodeKeptMounts(written), read, JSON.stringify(written))
  }
  t.end()
})
