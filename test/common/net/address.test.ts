import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import * as address from '../../../common/net/address.ts'

const ip = fc.oneof(fc.ipV4(), fc.ipV6())

void t.test('an address is what the system takes for one', (t) => {
  const text = fc.oneof(
    ip,
    fc.string({ unit: fc.constantFrom(...'0123456789abcdef:.'.split('')), maxLength: 24 }),
  )
  fc.assert(
    fc.property(text, (given) => {
      const parsed = address.parseIp(given)
      return (parsed !== undefined) === isIP(given) > 0
    }),
    { numRuns: 2_000 },
  )
  t.end()
})

void t.test('an address is shown as RFC 5952 says', (t) => {
  const rows = [
    ['192.0.2.1', '192.0.2.1'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ]
  for (const [given = '', shown] of rows) t.equal(address.canonicalIp(given), shown, given)
  t.end()
})

void t.test('what is no address gives undefined', (t) => {
  const rows = [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1::2::3',
    ':1',
    '1:2',
    'fe80::1%eth0',
    '12345::',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    'localhost',
    '::1.2.3',
    '1.2.3.4::',
  ]
  for (const given of rows) t.equal(address.parseIp(given), undefined, given)
  t.end()
})

void t.test('shown and parsed again an address is itself', (t) => {
  fc.assert(
    fc.property(ip, (given) => {
      const parsed = address.parseIp(given)
      return (
        parsed !== undefined &&
        address.canonicalIp(address.formatIp(parsed)) === address.formatIp(parsed)
      )
    }),
  )
  t.end()
})

void t.test('a prefix holds the addresses that share its bits, by a dumb oracle', (t) => {
  const bits = (given: address.IpAddress) =>
    [...given.bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  fc.assert(
    fc.property(ip, ip, fc.nat({ max: 128 }), (first, second, length) => {
      const [a, b] = [address.parseIp(first), address.parseIp(second)]
      if (a === undefined || b === undefined) return false
      const width = Math.min(length, a.bytes.length * 8)
      const expected = a.family === b.family && bits(a).slice(0, width) === bits(b).slice(0, width)
      return address.prefixContains({ base: a, length: width }, b) === expected
    }),
  )
  t.end()
})

void t.test('prefixes: a length, an address alone, a mapped one; no bits after the length', (t) => {
  const shown = (text: string) => {
    const prefix = address.parsePrefix(text)
    return prefix && address.formatPrefix(prefix)
  }
  t.equal(shown('10.0.0.0/8'), '10.0.0.0/8')
  t.equal(shown('0.0.0.0/0'), '0.0.0.0/0')
  t.equal(shown('10.0.0.1'), '10.0.0.1/32')
  t.equal(shown('2001:db8::/32'), '2001:db8::/32')
  t.equal(shown('::ffff:10.0.0.0/104'), '10.0.0.0/8')
  for (const text of [
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'x/8',
    '::/129',
    '::ffff:10.0.0.0/8',
    '10.0.0.0/08',
  ]) {
    t.equal(shown(text), undefined, text)
  }
  t.end()
})

void t.test('endpoints: an address and a port, brackets around IPv6', (t) => {
  const rows = ['192.0.2.1:80', '[::]:80', '[2001:db8::1]:65535']
  for (const text of rows) {
    const endpoint = address.parseEndpoint(text)
    t.equal(endpoint && address.formatEndpoint(endpoint), text)
  }
  t.same(address.parseEndpoint('[::ffff:10.0.0.1]:80'), { address: '10.0.0.1', port: 80 })
  for (const text of [
    '',
    '80',
    ':80',
    '::1:80',
    '[10.0.0.1]:80',
    '10.0.0.1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.1:080',
    'a:80',
    '[::1]',
    '[::1:80',
  ]) {
    t.equal(address.parseEndpoint(text), undefined, text)
  }
  t.end()
})

void t.test('host names are told from addresses', (t) => {
  for (const text of ['localhost', 'a.example.com', 'x-1.example', '1a.com'])
    t.ok(address.isHostName(text), text)
  for (const text of [
    '',
    '10.0.0.1',
    'a..b',
    '-a.b',
    'a b',
    `${'a'.repeat(64)}.b`,
    'a.'.repeat(130),
  ]) {
    t.notOk(address.isHostName(text), text)
  }
  t.end()
})

void t.test('loopback and any', (t) => {
  const of = (text: string) => address.parseIp(text) ?? t.fail(text)
  for (const [text, isLoopback, isAny] of [
    ['127.0.0.9', true, false],
    ['::1', true, false],
    ['::', false, true],
    ['0.0.0.0', false, true],
    ['::2', false, false],
    ['10.0.0.1', false, false],
  ] as const) {
    const ipAddress = of(text)
    if (typeof ipAddress !== 'object') continue
    t.equal(address.isLoopback(ipAddress), isLoopback, text)
    t.equal(address.isAny(ipAddress), isAny, text)
  }
  t.end()
})
