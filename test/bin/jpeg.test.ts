import t from 'tap'
import { encodeJpeg, withComment } from '../../bin/demo/jpeg.ts'
import type { Picture } from '../../bin/demo/jpeg.ts'
import { paintLandscape, randomOf } from '../../bin/demo/picture.ts'
import { decodeJpeg } from './jpeg-decoder.ts'

/** Peak signal-to-noise ratio in dB: 30 is a good photo, 10 another one. */
function similarity(a: Uint8Array, b: Uint8Array): number {
  let squares = 0
  for (const [at, value] of a.entries()) squares += (value - (b[at] ?? 0)) ** 2
  return 10 * Math.log10((255 ** 2 * a.length) / squares)
}

void t.test('a landscape comes back as it was painted', (t) => {
  const picture = paintLandscape(64, 48, 3)
  const decoded = decodeJpeg(encodeJpeg(picture, 90))
  t.match(decoded, { width: 64, height: 48 })
  t.ok(similarity(picture.rgb, decoded.rgb) > 30)
  t.end()
})

void t.test('noise at the best quality takes every size of coefficient', (t) => {
  const random = randomOf(7)
  const rgb = Uint8Array.from({ length: 40 * 24 * 3 }, () => (random() < 0.5 ? 0 : 255))
  const picture: Picture = { width: 40, height: 24, rgb }
  t.ok(similarity(rgb, decodeJpeg(encodeJpeg(picture, 100)).rgb) > 35)
  t.end()
})

void t.test('sizes that are no multiple of a block are kept', (t) => {
  const picture = paintLandscape(21, 13, 1)
  const decoded = decodeJpeg(encodeJpeg(picture, 90))
  t.match(decoded, { width: 21, height: 13 })
  t.ok(similarity(picture.rgb, decoded.rgb) > 25)
  t.end()
})

void t.test('a comment makes another file of the same picture', (t) => {
  const plain = encodeJpeg(paintLandscape(32, 32, 5), 80)
  const marked = withComment(plain, Buffer.from('photo 1 of user 7'))
  t.notSame(marked, plain)
  t.same(decodeJpeg(marked).comments, ['photo 1 of user 7'])
  t.same(decodeJpeg(marked).rgb, decodeJpeg(plain).rgb)
  t.end()
})
