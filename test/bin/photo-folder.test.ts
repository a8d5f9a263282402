import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { generatePhotos, linkOwnPhotos } from '../../bin/demo/photo-folder.ts'
import { decodeJpeg } from './jpeg-decoder.ts'

const JPEG = Buffer.from('ffd8ffd9', 'hex')

void t.test('generated photos are JPEG files, each its own', (t) => {
  const { folder, paths, userCount } = generatePhotos(path.join(t.testdir(), 'storage'))
  const files = paths.map((photo) => fs.readFileSync(path.join(folder, photo)))
  t.equal(paths.length, userCount * 4)
  t.equal(new Set(files.map((file) => file.toString('latin1'))).size, files.length)
  t.match(decodeJpeg(files[0] ?? JPEG), { width: 320, height: 200 })
  t.end()
})

void t.test('one’s own photos: by user, or dealt to twenty', (t) => {
  const base = t.testdir({ own: { ann: {}, 'no photo.txt': 'x' } })
  const own = path.join(base, 'own')
  for (const name of ['b c.jpg', 'a.JPEG', 'ann/é.jpg'])
    fs.writeFileSync(path.join(own, name), JPEG)
  fs.writeFileSync(path.join(own, 'fake.jpg'), 'no JPEG')
  const { folder, paths } = linkOwnPhotos(own, path.join(base, 'storage'))
  t.same(paths, ['/u/1/a.JPEG', '/u/ann/%C3%A9.jpg', '/u/3/b%20c.jpg'])
  for (const photo of paths) {
    t.same(fs.readFileSync(path.join(folder, decodeURIComponent(photo))), JPEG)
  }
  t.end()
})

void t.test('a folder without a photo, and no folder at all', (t) => {
  t.throws(() => linkOwnPhotos(t.testdir(), '/tmp'), { code: 'DEMO_NO_PHOTOS' })
  t.throws(() => linkOwnPhotos('/nowhere', '/tmp'), { message: /\/nowhere/ })
  t.end()
})
