import t from 'tap'
import type { UserPatternConfig } from '../../../common/config/config.ts'
import { compileUserPattern, copySpan, createUserBytes } from '../../../router/core/user-pattern.ts'

const LINE = 'GET '

/** The user that a pattern finds, as text (bytes as Latin-1); undefined if none. */
function userIn(
  config: UserPatternConfig,
  target: string,
  headers: readonly [string, string][] = [],
): string | undefined {
  const text = `${LINE}${target} HTTP/1.1\r\n${headers.map(([n, v]) => `${n}: ${v}\r\n`).join('')}`
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0))
  const targetEnd = LINE.length + target.length
  const query = target.indexOf('?')
  const fields = new Int32Array(5 * headers.length)
  let at = targetEnd + 11
  headers.forEach(([name, value], i) => {
    fields.set(
      [at, at + name.length, at + name.length + 2, at + name.length + 2 + value.length],
      i * 5,
    )
    at += name.length + 2 + value.length + 2
  })
  const out = createUserBytes()
  const isFound = compileUserPattern(config).extract(
    bytes,
    {
      targetStart: LINE.length,
      targetEnd,
      pathEnd: query < 0 ? targetEnd : LINE.length + query,
      fieldCount: headers.length,
      fields,
    },
    out,
  )
  if (!isFound) return undefined
  return Array.from(out.bytes.subarray(0, out.length), (byte) => String.fromCharCode(byte)).join('')
}

const cases: [name: string, config: UserPatternConfig, found: [string, string | undefined][]][] = [
  [
    'a path pattern: a segment each, the last one takes the rest',
    { type: 'path', pattern: '/u/{user}/{photo}' },
    [
      ['/u/12/a.jpg', '12'],
      ['/u/12/a/b/c.jpg', '12'],
      ['/u/12/a.jpg?u=/u/7/x', '12'],
      ['/u/an%6ea/a.jpg', 'anna'],
      ['/u/j%C3%BCrgen/a.jpg', 'j\u00c3\u00bcrgen'],
      ['/u/a+b;c/a.jpg', 'a+b;c'],
      ['/u/%zz%4/a.jpg', '%zz%4'],
      ['/u/%2A%2a/a.jpg', '**'],
      ['/u/12/', undefined],
      ['/u/12', undefined],
      ['/u//a.jpg', undefined],
      ['/U/12/a.jpg', undefined],
      ['/v/12/a.jpg', undefined],
      ['/u', undefined],
      ['/', undefined],
      ['', undefined],
    ],
  ],
  [
    'a path pattern that ends in its user',
    { type: 'path', pattern: '/photos/of/{user}' },
    [
      ['/photos/of/12', '12'],
      ['/photos/of/12/13', '12/13'],
      ['/photos/of/', undefined],
    ],
  ],
  [
    'a path pattern that ends in a literal',
    { type: 'path', pattern: '/{photo}/{user}/full' },
    [
      ['/a.jpg/12/full', '12'],
      ['/a.jpg/12/full/', undefined],
      ['/a.jpg/12/fullest', undefined],
      ['/a.jpg/12/ful', undefined],
    ],
  ],
  [
    'a regular expression, anchored as written',
    { type: 'regex', regex: '^/i/(?<user>[0-9]+)' },
    [
      ['/i/12x', '12'],
      ['/x/i/12', undefined],
      ['/i/?12', undefined],
    ],
  ],
  [
    'a regular expression sees bytes, and its user is decoded after it',
    { type: 'regex', regex: '/(?<user>[^/]+)/x|^/$' },
    [
      ['/p/%41\u00e9/x', 'A\u00e9'],
      ['/', undefined],
      ['', undefined],
    ],
  ],
  [
    'a query parameter: the first of its name',
    { type: 'query', parameter: 'uid' },
    [
      ['/a?uid=12', '12'],
      ['/a?x=1&uid=12&uid=13', '12'],
      ['/a?uid=1%32+&x', '12+'],
      ['/a?%75id=12', '12'],
      ['/a?uid=a=b', 'a=b'],
      ['/a?uid=&uid=12', undefined],
      ['/a?uid&uid=12', undefined],
      ['/a?xuid=12&ui=1&uidx=2&UID=3', undefined],
      ['/a?', undefined],
      ['/uid=12', undefined],
    ],
  ],
]
for (const [name, config, found] of cases) {
  void t.test(name, (t) => {
    for (const [target, user] of found) t.equal(userIn(config, target), user, `"${target}"`)
    t.end()
  })
}

void t.test('a header: the first field of its name, in any case', (t) => {
  const config = { type: 'header', header: 'X-User' } as const
  t.equal(
    userIn(config, '/', [
      ['Host', 'a'],
      ['x-USER', '1%32'],
      ['X-User', '13'],
    ]),
    '12',
  )
  t.equal(
    userIn(config, '/', [
      ['X-User', ''],
      ['X-User', '13'],
    ]),
    undefined,
  )
  t.equal(
    userIn(config, '/', [
      ['X-Users', '1'],
      ['XxUser', '2'],
    ]),
    undefined,
  )
  t.end()
})

void t.test('a user longer than the room for one makes room', (t) => {
  const long = 'x'.repeat(40_000)
  t.equal(userIn({ type: 'path', pattern: '/u/{user}' }, `/u/${long}`), long)
  t.equal(userIn({ type: 'regex', regex: '/u/(?<user>.*)' }, `/u/${long}`), long)
  t.end()
})

void t.test('only patterns on the path ask for its spelling rules', (t) => {
  const isFromPath = (config: UserPatternConfig): boolean => compileUserPattern(config).isFromPath
  t.ok(isFromPath({ type: 'path', pattern: '/{user}' }))
  t.ok(isFromPath({ type: 'regex', regex: '(?<user>.)' }))
  t.notOk(isFromPath({ type: 'query', parameter: 'u' }))
  t.notOk(isFromPath({ type: 'header', header: 'u' }))
  t.end()
})

void t.test('a span is copied as it is', (t) => {
  const out = createUserBytes()
  copySpan(
    Uint8Array.from('/a%20b?c', (char) => char.charCodeAt(0)),
    1,
    6,
    out,
  )
  t.equal(new TextDecoder().decode(out.bytes.subarray(0, out.length)), 'a%20b')
  t.end()
})
