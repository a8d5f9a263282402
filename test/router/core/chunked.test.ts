import t from 'tap'
import {
  CHUNKED_MODE,
  CHUNK_EXTENSION_BYTES,
  ChunkedDecoder,
  LAST_CHUNK,
  TRAILER_BYTES,
  writeChunkSize,
} from '../../../router/core/chunked.ts'
import { bytesOf, textOf } from './head-support.ts'

interface Decoded {
  readonly ranges: string
  readonly outcome: 'done' | 'broken' | 'open'
  readonly rest: string
  readonly dataBytes: number
}

/** Feeds the text in pieces of `size` bytes. */
const decode = (text: string, mode: number, size = text.length): Decoded => {
  const decoder = new ChunkedDecoder()
  decoder.reset(mode)
  const bytes = bytesOf(text)
  let ranges = ''
  for (let at = 0; at < bytes.length; at += size) {
    decoder.feed(bytes, at, Math.min(at + size, bytes.length))
    while (decoder.next()) ranges += textOf(bytes, decoder.rangeStart, decoder.rangeEnd)
    if (decoder.isDone || decoder.isBroken) break
  }
  const outcome = decoder.isDone ? 'done' : decoder.isBroken ? 'broken' : 'open'
  return { ranges, outcome, rest: textOf(bytes, decoder.position), dataBytes: decoder.dataBytes }
}

const BODY =
  '4\r\nWiki\r\n6;a=b;c="d;e"\r\npedia \r\n00D \t;x\r\nin \r\n\r\nchunks\r\n0;end\r\nA: b\r\nC:\r\n\r\nNEXT'
const DATA = 'Wikipedia in \r\n\r\nchunks'
const WIRE = '4\r\nWiki\r\n6\r\npedia \r\n00D\r\nin \r\n\r\nchunks\r\n0\r\n\r\n'

void t.test('data comes out of its chunks, in any pieces', (t) => {
  for (let size = 1; size <= BODY.length; size++) {
    const { ranges, outcome, rest, dataBytes } = decode(BODY, CHUNKED_MODE.data, size)
    t.strictSame([ranges, outcome, rest, dataBytes], [DATA, 'done', 'NEXT', DATA.length], `${size}`)
  }
  t.end()
})

void t.test('chunks pass as they are, without extensions and trailers, in any pieces', (t) => {
  for (let size = 1; size <= BODY.length; size++) {
    const { ranges, outcome, rest, dataBytes } = decode(BODY, CHUNKED_MODE.wire, size)
    t.strictSame([ranges, outcome, rest, dataBytes], [WIRE, 'done', 'NEXT', DATA.length], `${size}`)
  }
  t.end()
})

void t.test('plain chunks are one range', (t) => {
  const decoder = new ChunkedDecoder()
  const bytes = bytesOf('4\r\nWiki\r\n0\r\n\r\n')
  decoder.reset(CHUNKED_MODE.wire)
  decoder.feed(bytes, 0, bytes.length)
  t.equal(decoder.next(), true)
  t.strictSame([decoder.rangeStart, decoder.rangeEnd], [0, bytes.length - 2])
  t.equal(decoder.next(), true)
  t.strictSame([decoder.rangeStart, decoder.rangeEnd], [bytes.length - 2, bytes.length])
  t.equal(decoder.next(), false)
  t.equal(decoder.isDone, true)
  t.end()
})

void t.test('what is not the chunked coding is broken, where it stops being so', (t) => {
  for (const text of [
    '\r\n',
    ';a\r\n',
    'x\r\n',
    '-1\r\n',
    '+1\r\n',
    '0x1\r\n',
    ' 1\r\n',
    '1\n',
    '1\rX',
    '1 \r\n',
    '1 a\r\n',
    '1\r\naX',
    '1\r\na\n',
    '1\r\na\rX',
    '1\r\nab\r\n',
    '1;\x01',
    '1;a\n',
    '1;a\rb',
    '20000000000000\r\n',
    'ffffffffffffffff\r\n',
    '00000000000000001\r\n',
    '0\r\n a: b\r\n\r\n',
    '0\r\nHTTP/1.1 200 OK\r\n',
    '0\r\na b: c\r\n',
    '0\r\na\r\n',
    '0\r\na: \x01',
    '0\r\na: b\n',
    '0\r\na: b\rc',
    '0\r\n\n',
    '0\r\n\rX',
    `1;${'a'.repeat(CHUNK_EXTENSION_BYTES)}\r\n`,
    `0\r\na: ${'a'.repeat(TRAILER_BYTES)}\r\n`,
    `0\r\n${'a'.repeat(TRAILER_BYTES + 1)}`,
    `0\r\n${'a: b\r\n'.repeat(TRAILER_BYTES / 4)}`,
  ]) {
    for (const mode of [CHUNKED_MODE.data, CHUNKED_MODE.wire]) {
      t.equal(decode(text, mode).outcome, 'broken', JSON.stringify(text.slice(0, 30)))
      t.equal(
        decode(text, mode, 1).outcome,
        'broken',
        `${JSON.stringify(text.slice(0, 30))} byte by byte`,
      )
    }
  }
  t.end()
})

void t.test('sizes up to 2^53 - 1 are understood', (t) => {
  const { outcome, dataBytes, ranges } = decode('001FFFFFFFFFFFFF\r\nabc', CHUNKED_MODE.data)
  t.strictSame([outcome, dataBytes, ranges], ['open', 3, 'abc'])
  t.end()
})

void t.test('a body that is cut is neither done nor broken', (t) => {
  for (let length = 1; length < BODY.length - 4; length++) {
    t.equal(decode(BODY.slice(0, length), CHUNKED_MODE.data).outcome, 'open', `${length}`)
  }
  t.end()
})

void t.test('a decoder can be used again', (t) => {
  const decoder = new ChunkedDecoder()
  for (const text of ['5;x', 'zz', '0\r\na: b', '1\r\na\r\n0\r\n\r\n']) {
    const bytes = bytesOf(text)
    decoder.reset(CHUNKED_MODE.data)
    decoder.feed(bytes, 0, bytes.length)
    while (decoder.next());
  }
  t.equal(decoder.isDone, true)
  t.equal(decoder.dataBytes, 1)
  t.end()
})

void t.test('a chunk size is written in lower-case hexadecimal', (t) => {
  for (const size of [0, 1, 9, 10, 15, 16, 255, 65_536, 131_072, Number.MAX_SAFE_INTEGER]) {
    const out = new Uint8Array(32)
    t.equal(textOf(out, 2, writeChunkSize(out, 2, size)), `${size.toString(16)}\r\n`)
  }
  t.equal(textOf(LAST_CHUNK), '0\r\n\r\n')
  t.end()
})
