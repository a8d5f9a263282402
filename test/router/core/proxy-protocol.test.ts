import fc from 'fast-check'
import t from 'tap'
import { parseProxyHeader } from '../../../router/core/proxy-protocol.ts'
import { bytesOf } from './head-support.ts'

const read = (version: 'v1' | 'v2', bytes: Uint8Array): string => {
  const header = parseProxyHeader(version, bytes, bytes.length)
  if (header.kind !== 'complete') return header.kind === 'refused' ? header.reason : header.kind
  const { source } = header
  return `${header.length} ${source === undefined ? '-' : `${source.address} ${source.port}`}`
}
const v1 = (text: string): string => read('v1', bytesOf(text))

const SIGNATURE = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]
const v2Bytes = (command: number, family: number, payload: readonly number[]): Uint8Array =>
  Uint8Array.from([
    ...SIGNATURE,
    command,
    family,
    payload.length >> 8,
    payload.length & 255,
    ...payload,
  ])
const V4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 0, 80]
const v6 = (...groups: number[]): number[] => [
  ...groups.flatMap((group) => [group >> 8, group & 255]),
  ...Array.from({ length: 16 }, () => 0),
  ...[0x13, 0x88, 0, 80],
]

void t.test('version 1 is one line of six words', (t) => {
  for (const [text, expected] of [
    ['PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\nGET', '40 192.0.2.1 5000'],
    ['PROXY TCP6 2001:db8::1 ::1 5000 80\r\n', '36 2001:db8::1 5000'],
    ['PROXY TCP6 ::ffff:192.0.2.1 ::1 5000 80\r\n', '41 ::ffff:192.0.2.1 5000'],
    ['PROXY UNKNOWN\r\n', '15 -'],
    ['PROXY UNKNOWN any thing at all\r\n', '32 -'],
    ['', 'incomplete'],
    ['PROX', 'incomplete'],
    ['PROXY TCP4 192.0.2.1', 'incomplete'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r', 'incomplete'],
    ['GET / HTTP/1.1\r\n', 'not a PROXY line'],
    ['PROXX', 'not a PROXY line'],
    ['PROXY UNKNOWN\n', 'no CRLF'],
    ['PROXY UDP4 192.0.2.1 192.0.2.2 5000 80\r\n', 'unknown protocol'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 5000\r\n', 'not six words'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 5000 80 1\r\n', 'not six words'],
    ['PROXY TCP4  192.0.2.1 192.0.2.2 5000 80\r\n', 'not six words'],
    ['PROXY TCP4\r\n', 'not six words'],
    ['PROXY TCP4 192.0.2.256 192.0.2.2 5000 80\r\n', 'invalid address'],
    ['PROXY TCP4 192.0.2.01 192.0.2.2 5000 80\r\n', 'invalid address'],
    ['PROXY TCP4 ::1 ::1 5000 80\r\n', 'invalid address'],
    ['PROXY TCP6 1::2::3 ::1 5000 80\r\n', 'invalid address'],
    ['PROXY TCP6 1:2:3:4:5:6:7 ::1 5000 80\r\n', 'invalid address'],
    ['PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 5000 80\r\n', 'invalid address'],
    ['PROXY TCP6 12345:: ::1 5000 80\r\n', 'invalid address'],
    ['PROXY TCP6 g:: ::1 5000 80\r\n', 'invalid address'],
    ['PROXY TCP6 ::%lo ::1 5000 80\r\n', 'invalid address'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n', 'invalid port'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 -1 80\r\n', 'invalid port'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 05000 80\r\n', 'invalid port'],
    [`PROXY UNKNOWN ${'a'.repeat(91)}\r\n`, '107 -'],
    [`PROXY UNKNOWN ${'a'.repeat(92)}\r\n`, 'line too long'],
  ] as const) {
    t.equal(v1(text), expected, JSON.stringify(text))
  }
  t.end()
})

void t.test('version 2 is sixteen bytes and its addresses', (t) => {
  for (const [what, bytes, expected] of [
    ['TCP over IPv4', v2Bytes(0x21, 0x11, V4), '28 192.0.2.1 5000'],
    ['with TLVs', v2Bytes(0x21, 0x11, [...V4, 4, 0, 1, 0]), '32 192.0.2.1 5000'],
    [
      'TCP over IPv6',
      v2Bytes(0x21, 0x21, v6(0x2001, 0xdb8, 0, 0, 1, 0, 0, 1)),
      '52 2001:db8::1:0:0:1 5000',
    ],
    [
      'IPv4 in IPv6',
      v2Bytes(0x21, 0x21, v6(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x201)),
      '52 ::ffff:192.0.2.1 5000',
    ],
    ['LOCAL', v2Bytes(0x20, 0, []), '16 -'],
    ['LOCAL with addresses', v2Bytes(0x20, 0x11, V4), '28 -'],
    ['LOCAL with a short payload', v2Bytes(0x20, 0x11, [1]), '17 -'],
    ['no family', v2Bytes(0x21, 0, [1, 2, 3]), '19 -'],
    ['UDP', v2Bytes(0x21, 0x12, V4), '28 -'],
    [
      'a socket of the box',
      v2Bytes(
        0x21,
        0x31,
        Array.from({ length: 216 }, () => 0),
      ),
      '232 -',
    ],
    ['another signature', Uint8Array.from([13, 10, 13, 11]), 'no signature'],
    ['a version 1 line', bytesOf('PROXY '), 'no signature'],
    ['version 1', v2Bytes(0x11, 0x11, V4), 'unknown version'],
    ['another command', v2Bytes(0x22, 0x11, V4), 'unknown command'],
    ['another family', v2Bytes(0x21, 0x41, V4), 'unknown family'],
    ['another transport', v2Bytes(0x21, 0x13, V4), 'unknown family'],
    ['IPv4 cut short', v2Bytes(0x21, 0x11, V4.slice(1)), 'addresses cut short'],
    ['IPv6 cut short', v2Bytes(0x21, 0x21, V4), 'addresses cut short'],
    [
      'too long',
      v2Bytes(
        0x21,
        0x11,
        Array.from({ length: 4097 }, () => 0),
      ),
      'header too long',
    ],
  ] as const) {
    t.equal(read('v2', bytes), expected, what)
  }
  t.end()
})

void t.test('a header that is cut is incomplete at every length', (t) => {
  const line = bytesOf('PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n')
  const block = v2Bytes(0x21, 0x11, V4)
  for (let end = 0; end < line.length; end++)
    t.equal(parseProxyHeader('v1', line, end).kind, 'incomplete')
  for (let end = 0; end < block.length; end++)
    t.equal(parseProxyHeader('v2', block, end).kind, 'incomplete')
  t.end()
})

void t.test('an IPv6 address is written as URLs write it', (t) => {
  const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  })
  fc.assert(
    fc.property(groups, (address) => {
      if (address.slice(0, 5).every((group) => group === 0) && address[5] === 0xffff) return
      const text = address.map((group) => group.toString(16)).join(':')
      const expected = new URL(`http://[${text}]/`).hostname.slice(1, -1)
      t.equal(read('v2', v2Bytes(0x21, 0x21, v6(...address))), `52 ${expected} 5000`)
      t.equal(v1(`PROXY TCP6 ${expected} ::1 1 2\r\n`).split(' ')[1], expected)
    }),
    { numRuns: 200, seed: 1 },
  )
  t.end()
})

void t.test('any bytes are complete, incomplete or refused', (t) => {
  const prefix = fc.constantFrom<number[]>(
    [],
    SIGNATURE,
    [...SIGNATURE, 0x21, 0x11],
    Array.from(bytesOf('PROXY TCP4 ')),
  )
  fc.assert(
    fc.property(
      fc.constantFrom('v1' as const, 'v2' as const),
      prefix,
      fc.uint8Array({ maxLength: 300 }),
      (version, before, rest) => {
        const bytes = Uint8Array.from([...before, ...rest])
        const header = parseProxyHeader(version, bytes, bytes.length)
        return header.kind !== 'complete' || header.length <= bytes.length
      },
    ),
    { numRuns: 2000 },
  )
  t.end()
})
