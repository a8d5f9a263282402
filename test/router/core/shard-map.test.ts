import fc from 'fast-check'
import t from 'tap'
import { moduloShardMap } from '../../../router/core/shard-map.ts'
import {
  decodeShardTable,
  encodeShardTable,
  parseShardTable,
  tableShardMap,
} from '../../../router/core/shard-table.ts'
import type { ShardTable } from '../../../router/core/shard-table.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const homeIn = (table: ShardTable, user: string): number =>
  tableShardMap(table).homeOf(encode(user), user.length)
const read = (text: string, servers = ['a', 'b', 'c']): ShardTable => {
  const parsed = parseShardTable(text, servers)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.table
}

void t.test('a decimal id of any length goes to its remainder', (t) => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 10n ** 40n }),
      fc.integer({ min: 1, max: 65_535 }),
      (id, modulo) => {
        const user = encode(String(id))
        return BigInt(moduloShardMap(modulo).homeOf(user, user.length)) === id % BigInt(modulo)
      },
    ),
  )
  t.equal(moduloShardMap(50).homeOf(encode('0000151'), 7), 1, 'leading zeros count for nothing')
  t.end()
})

void t.test('a user who is no decimal id takes the hash', (t) => {
  const maps = [moduloShardMap(4), tableShardMap(read('0-99999999999999999999 a'))]
  for (const map of maps)
    for (const user of ['', 'x', '12x', '-1', '1.0', ' 1', '１', '/'])
      t.equal(map.homeOf(encode(user), encode(user).length), -1, `"${user}"`)
  t.end()
})

void t.test('only the bytes within the length are the user', (t) => {
  t.equal(moduloShardMap(10).homeOf(encode('127x'), 3), 7)
  t.end()
})

void t.test('a table file names homes by id and range, ends included', (t) => {
  const table = read('# our users\n\n 10-19 a\t\r\n20 b # moved\n0030-0031\tc\n')
  const homes = ['9', '10', '19', '20', '21', '30', '031', '32'].map((id) => homeIn(table, id))
  t.strictSame(homes, [-1, 0, 0, 1, -1, 2, 2, -1])
  t.end()
})

void t.test('ids longer than a number can hold are exact', (t) => {
  const table = read(
    '999999999999990-1000000000000009 a\n9007199254740993 b\n' +
      '123456789012345678901234567890-123456789012345678901234567892 c',
  )
  const at = (id: string): number => homeIn(table, id)
  t.strictSame(['999999999999989', '999999999999999', '1000000000000000'].map(at), [-1, 0, 0])
  t.strictSame(['1000000000000009', '1000000000000010'].map(at), [0, -1])
  t.strictSame(['9007199254740992', '9007199254740993', '9007199254740994'].map(at), [-1, 1, -1])
  t.equal(at('123456789012345678901234567891'), 2)
  t.equal(at('000123456789012345678901234567892'), 2)
  t.equal(at('123456789012345678901234567893'), -1)
  t.equal(at('1'.repeat(8000)), -1)
  t.end()
})

void t.test('the last id that a number can hold has its home too', (t) => {
  for (let count = 1; count < 300; count++) {
    const lines = Array.from({ length: count }, (_, i) => `${999_999_999_999_999 - i * 7} b`)
    const table = read(lines.join('\n'))
    if (homeIn(table, '999999999999999') !== 1) t.fail(`${count} lines`)
  }
  t.end()
})

void t.test('any set of ranges answers as a walk over the lines does', (t) => {
  const step = fc.oneof(fc.bigInt({ min: 1n, max: 30n }), fc.bigInt({ min: 1n, max: 10n ** 17n }))
  const cuts = fc.array(step, { minLength: 2, maxLength: 40 })
  fc.assert(
    fc.property(cuts, fc.array(fc.bigInt({ min: -2n, max: 2n })), (steps, nudges) => {
      let at = -1n
      const edges = steps.map((step) => (at += step))
      const ranges: [bigint, bigint, number][] = []
      for (let i = 0; i + 1 < edges.length; i += 2) ranges.push([edges[i]!, edges[i + 1]!, i % 3])
      const lines = ranges.map(([from, to, home]) => `${from}-${to} ${'abc'.charAt(home)}`)
      const table = read(lines.reverse().join('\n'))
      const ids = edges.flatMap((edge) => [edge, ...nudges.map((nudge) => edge + nudge)])
      return ids.every((id) => {
        if (id < 0n) return true
        const expected = ranges.find(([from, to]) => from <= id && id <= to)?.[2] ?? -1
        return homeIn(table, String(id)) === expected
      })
    }),
  )
  t.end()
})

void t.test('every problem of a table file is named with its line', (t) => {
  const text = '1-5 a\nfive b\n9-7 b\n5-6 b\n3 zed\n4 c\n 7 \n8 a b'
  t.strictSame(parseShardTable(text, ['a', 'b', 'c']), {
    ok: false,
    problems: [
      { line: 2, message: '"five b" is neither "from-to cache" nor "id cache"' },
      { line: 3, message: 'the range 9-7 ends before it starts' },
      { line: 4, message: '5-6 overlaps 1-5 of line 1' },
      { line: 5, message: 'the pool has no server "zed"' },
      { line: 6, message: '4 overlaps 1-5 of line 1' },
      { line: 7, message: '"7" is neither "from-to cache" nor "id cache"' },
      { line: 8, message: '"8 a b" is neither "from-to cache" nor "id cache"' },
    ],
  })
  t.end()
})

void t.test('a wrong line is told short and printable, whatever it holds', (t) => {
  const nines = '9'.repeat(5000)
  const text = `\u001f\u008b\u0008\ufffdx\n1 ${'z\u0007'.repeat(90)}\n${nines}-1 a\n${'x'.repeat(5000)}`
  const parsed = parseShardTable(text, ['a'])
  if (parsed.ok) return void t.fail('accepted')
  t.strictSame(
    parsed.problems.map(({ message }) => message),
    [
      '"\\u001f\\u008b\\u0008\ufffdx" is neither "from-to cache" nor "id cache"',
      `the pool has no server "${'z\\u0007'.repeat(38)}z..."`,
      `the range ${'9'.repeat(77)}...-1 ends before it starts`,
      `"${'x'.repeat(77)}..." is neither "from-to cache" nor "id cache"`,
    ],
  )
  t.end()
})

void t.test('a table that names nobody is refused: an export has failed', (t) => {
  for (const text of ['', '\n# nobody\n \n'])
    t.strictSame(parseShardTable(text, ['a']), {
      ok: false,
      problems: [{ message: 'it names no user' }],
    })
  t.end()
})

void t.test('an overlap with a wide range is found behind a narrow one', (t) => {
  const parsed = parseShardTable('1-100 a\n2-3 b\n50 c', ['a', 'b', 'c'])
  t.strictSame(parsed, {
    ok: false,
    problems: [
      { line: 2, message: '2-3 overlaps 1-100 of line 1' },
      { line: 3, message: '50 overlaps 1-100 of line 1' },
    ],
  })
  t.end()
})

void t.test('a file of nonsense names its first hundred problems and counts the rest', (t) => {
  const parsed = parseShardTable('x\n'.repeat(250), ['a'])
  if (parsed.ok) return void t.fail('accepted')
  t.equal(parsed.problems.length, 101)
  t.strictSame(parsed.problems[100], { line: 101, message: 'and 150 more problems from here on' })
  t.end()
})

void t.test('shares of a map are its users per server', (t) => {
  t.strictSame([...moduloShardMap(4).homeShares(4)], [0.25, 0.25, 0.25, 0.25])
  const table = read('0-2 a\n5 b\n')
  t.strictSame([...tableShardMap(table).homeShares(3)], [0.75, 0.25, 0])
  const long = read('1000000000000000-1000000000000002 c\n7 b')
  t.strictSame([...tableShardMap(long).homeShares(3)], [0, 0.25, 0.75])
  t.end()
})

void t.test('the ids that a table names are counted, and each has its place', (t) => {
  const text = '5-7 a\n999999999999999-1000000000000001 b\n'
  const wide = `${'9'.repeat(40)}-1${'0'.repeat(40)} c\n`
  const ids = tableShardMap(read(text + wide)).named()
  t.equal(ids?.count, 8)
  t.strictSame(
    Array.from({ length: 8 }, (_, place) => ids?.at(place)),
    [
      ...['5', '6', '7', '999999999999999', '1000000000000000', '1000000000000001'],
      ...['9'.repeat(40), `1${'0'.repeat(40)}`],
    ],
  )
  const all = tableShardMap(read(`0-${'9'.repeat(400)} a`)).named()
  t.ok(Number.isFinite(all?.count))
  t.match(all?.at(all.count / 2), /^\d{290}$/)
  t.equal(moduloShardMap(4).named(), undefined)
  t.end()
})

void t.test('a table survives its way through bytes', (t) => {
  const table = read('1-5 a\n7 b\n9 c\n20000000000000000-30000000000000000 c\n')
  const bytes = encodeShardTable(table)
  t.strictSame(decodeShardTable(bytes.buffer as ArrayBuffer), table)
  t.end()
})

void t.test('bytes that are no table are told apart', (t) => {
  const bytes = encodeShardTable(read('1-5 a\n')).buffer as ArrayBuffer
  for (let length = 0; length < bytes.byteLength; length++)
    t.equal(decodeShardTable(bytes.slice(0, length)), undefined)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      decodeShardTable(noise.slice().buffer)
    }),
  )
  t.end()
})
