import fc from 'fast-check'
import t from 'tap'
import { isReadOnly, mountAt, parseMountInfo } from '../../../healthcheck/core/mount-info.ts'

const TEXT = String.raw`22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
90 27 8:17 / /srv/photos rw,noatime shared:40 master:3 - xfs /dev/sdb1 rw,attr2
91 27 8:33 / /srv/old\040photos\012two\134three ro - ext4 /dev/sdc1 rw
92 27 8:49 / /srv/broken rw,relatime - ext4 /dev/sdd1 ro,errors=continue
93 90 0:55 /data /srv/photos rw - tmpfs none rw,size=1k
94 27 0:56 / /mnt/nfs rw,hard - nfs4 filer:/export rw
`

void t.test('mounts are read with their escapes, optional fields and both sets of options', (t) => {
  const entries = parseMountInfo(TEXT)
  t.equal(entries.length, 7)
  t.strictSame(entries[2], {
    id: 90,
    mountPoint: '/srv/photos',
    type: 'xfs',
    source: '/dev/sdb1',
    options: ['rw', 'noatime', 'attr2'],
  })
  t.equal(entries[3]?.mountPoint, '/srv/old photos\ntwo\\three')
  t.end()
})

void t.test('what is mounted at a path is the last mount on exactly that path', (t) => {
  const entries = parseMountInfo(TEXT)
  t.equal(mountAt(entries, '/srv/photos')?.type, 'tmpfs')
  t.equal(mountAt(entries, '/srv'), undefined, 'a directory is not a mount')
  t.equal(mountAt(entries, '/srv/photos/2026'), undefined)
  t.equal(mountAt(entries, '/srv/old photos\ntwo\\three')?.source, '/dev/sdc1')
  t.end()
})

void t.test('read-only is read-only, whether the mount says so or the file system', (t) => {
  const entries = parseMountInfo(TEXT)
  const isSo = (path: string) => entries.filter((e) => e.mountPoint === path).map(isReadOnly)
  t.same(isSo('/srv/old photos\ntwo\\three'), [true])
  t.same(isSo('/srv/broken'), [true])
  t.same(isSo('/'), [false], 'errors=remount-ro is not ro')
  t.same(mountAt(entries, '/srv/broken')?.options, ['relatime', 'ro', 'errors=continue'])
  t.end()
})

void t.test('any text is read without harm', (t) => {
  fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseMountInfo(text))))
  t.same(parseMountInfo('1 2 3:4 / /a rw\n\n - - - - - - -\n'), [])
  t.end()
})
