import t from 'tap'
import { Landing, MIDDLE_READ_BYTES, SHORT_READ_BYTES } from '../../../router/io/landing.ts'

void t.test('the photos of late tell how much a first read takes', (t) => {
  const landing = new Landing(100_000)
  const noteTimes = (count: number, bytes: number) => {
    for (let i = 0; i < count; i++) landing.note(bytes)
  }
  t.equal(landing.first.length, SHORT_READ_BYTES)
  noteTimes(1, MIDDLE_READ_BYTES)
  t.equal(landing.first.length, MIDDLE_READ_BYTES)
  noteTimes(1, MIDDLE_READ_BYTES + 1)
  t.equal(landing.first.length, SHORT_READ_BYTES)
  noteTimes(1000, SHORT_READ_BYTES + 1)
  noteTimes(7, 1_000_000)
  noteTimes(1000, SHORT_READ_BYTES)
  t.equal(landing.first.length, MIDDLE_READ_BYTES, 'small ones fit anyway')
  noteTimes(1, 1_000_000)
  t.equal(landing.first.length, SHORT_READ_BYTES, 'a thousand of before weigh no more than eight')
  t.equal(landing.first.buffer, landing.bytes.buffer)
  t.end()
})
