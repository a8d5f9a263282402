import { Buffer } from 'node:buffer'
import t from 'tap'
import { AnswerReader, createCatalogue } from '../../../bench/router/load/exchange.ts'
import { STRIDE_BYTES } from '../../../bench/router/photos.ts'

const SIZE_BYTES = 1024
const USERS = 3
const pool = Buffer.from(
  Array.from({ length: USERS * STRIDE_BYTES + SIZE_BYTES }, (_, i) => (i * 167 + (i >> 8)) & 255),
)
const catalogue = createCatalogue({ sizeBytes: SIZE_BYTES, users: USERS }, pool)

const photo = (user: number): Buffer =>
  pool.subarray(user * STRIDE_BYTES, user * STRIDE_BYTES + SIZE_BYTES)

const answer = (body: Buffer, head = 'HTTP/1.1 200 OK\r\nContent-Length: 1024'): Buffer =>
  Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body])

function readerOf(user: number): AnswerReader {
  const reader = new AnswerReader(catalogue)
  reader.begin(user)
  return reader
}

void t.test('an answer split anywhere is read whole', (t) => {
  const bytes = answer(photo(1))
  for (let split = 1; split < bytes.length; split++) {
    const reader = readerOf(1)
    if (reader.take(bytes.subarray(0, split), split)) t.fail(`whole too early at ${split}`)
    if (!reader.take(bytes.subarray(split), bytes.length - split)) t.fail(`not whole at ${split}`)
  }
  t.pass('at every byte')
  t.end()
})

void t.test('one wrong byte is told, wherever it is', (t) => {
  for (const at of [0, 511, 1023]) {
    const body = Buffer.from(photo(0))
    body[at] = (body[at] ?? 0) ^ 1
    const bytes = answer(body)
    t.throws(() => readerOf(0).take(bytes, bytes.length), /\/u\/100000\/1k\.jpg: bytes differ/)
  }
  t.end()
})

void t.test("another user's photo is told", (t) => {
  const bytes = answer(photo(2))
  t.throws(() => readerOf(1).take(bytes, bytes.length), /differ/)
  t.end()
})

void t.test('a wrong status, a missing length and too many bytes are told', (t) => {
  const cases: [Buffer, RegExp][] = [
    [answer(photo(0), 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1024'), /"HTTP\/1.1 502 Bad/],
    [
      answer(photo(0), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked'),
      /Content-Length is missing/,
    ],
    [answer(photo(0), 'HTTP/1.1 200 OK\r\nContent-Length: 1000'), /Content-Length is 1000/],
    [answer(Buffer.concat([photo(0), Buffer.from('x')])), /more bytes came/],
  ]
  for (const [bytes, message] of cases) {
    t.throws(() => readerOf(0).take(bytes, bytes.length), message)
  }
  t.end()
})

void t.test('a last answer is noticed', (t) => {
  const reader = readerOf(0)
  const bytes = answer(photo(0), 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1024')
  t.ok(reader.take(bytes, bytes.length))
  t.ok(reader.isLast)
  reader.begin(0)
  t.notOk(reader.isLast)
  t.end()
})
