import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseMountInfo } from '../../../healthcheck/core/mount-info.ts'
import { withNearestFolder } from '../../../healthcheck/io/held-folder.ts'

const entries = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
const pointOf = (path: string) =>
  withNearestFolder(path, ({ mountId }) => entries.find(({ id }) => id === mountId)?.mountPoint)

void t.test('a folder tells the mount that it lies in, one that is not there the nearest', (t) => {
  for (const path of ['/', '/proc', '/dev']) t.equal(pointOf(path), path)
  t.equal(pointOf('/proc/self/task'), '/proc')
  t.equal(pointOf('/dev/no-such-folder/nor-this'), '/dev')
  t.end()
})

void t.test('what is held stays what it is, whatever its path leads to by now', (t) => {
  const folder = realpathSync(t.testdir({ photos: {} }))
  const photos = join(folder, 'photos')
  withNearestFolder(photos, (held) => {
    renameSync(photos, join(folder, 'old'))
    mkdirSync(photos)
    writeFileSync(join(held.path, 'a'), 'a')
    t.equal(statfsSync(held.path).type, statfsSync(folder).type)
  })
  t.same(readdirSync(photos), [])
  t.same(readdirSync(join(folder, 'old')), ['a'])
  t.end()
})

void t.test('it needs no right to list the folder, and is let go in the end', (t) => {
  const photos = join(realpathSync(t.testdir({ photos: {} })), 'photos')
  chmodSync(photos, 0o300)
  const openCount = () => readdirSync('/proc/self/fd').length
  const before = openCount()
  t.throws(
    () => {
      withNearestFolder('/proc/version/x', () => undefined)
    },
    {
      code: 'ENOTDIR',
    },
  )
  t.throws(
    () =>
      withNearestFolder(photos, () => {
        t.equal(openCount(), before + 1)
        throw new Error('as told')
      }),
    { message: 'as told' },
  )
  t.equal(openCount(), before)
  chmodSync(photos, 0o700)
  t.end()
})
