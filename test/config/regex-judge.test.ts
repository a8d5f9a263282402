import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { judgeRegex } from '../../common/config/regex-judge.ts'

const SAFE = [
  '^/i/(?<user>[0-9]+)',
  '^/u/(?<user>[^/]+)/[^/]+\\.jpg$',
  '/(?<user>\\d+)/',
  '^/(?<user>\\d{2,8})/',
  '^/i/[a-z0-9]{1,64}/\\d+$',
  '"status":\\s*"up"',
  '^/(?:a|b)/(?<user>.+)$',
  '(?<user>\\d+)',
  '^/[a-z]+(?:-[a-z]+)*/',
  '^/(?:img|photo)s?/\\d{4}\\d{2}/',
  '^/\\w+(?:\\.jpg|\\.png)?$',
  '\\bup\\b',
  '^/.*/\\d+/x',
  '^(?:x){1000}$',
  '(?:){99999999}',
  '^\\d{1,3}\\d{1,3}$',
  '^a*$',
  'ok$',
  '^/[^/]*/[^/]*$',
  '^a{0}b+$',
  '^(?:a|)b{2,}$',
  '^\\x41\\u0042\\cA[\\]a]*$',
  '^a|^b',
  '(?:a|^b)',
  '(?:^a){1,2}',
  '^(?:a?b?)?$',
  '^(?:a?)+b$',
  '',
]

const DANGEROUS = [
  '(\\d+)*x',
  '^(a|a)*$',
  '\\d+\\d+\\d+$',
  '(a+)+$',
  '^(a*)*$',
  '^(?:a?){30}a{30}$',
  '(.*)*x',
  '^.*.*x$',
  '\\d+x',
  '^(x(y*|w*)z)*$',
  '^([a-z]+)*$',
  '^(([a-z])+.)+[A-Z]([a-z])+$',
  '(x+x+)+y',
  '^(?:\\w+\\s?)*$',
  '^/(.*)/(.*)/x$',
  '^(?:a|aa)+$',
  '^(?:(?:a|b)*|a)*$',
  '^(?:a{0,30}){30}$',
  '(?<user>\\d+)\\.jpg$',
  '^\\s+|\\s+$',
  '^(?:(?:a|a){20}){20}$',
  '^(a+){2,}$',
  // A first turn may match nothing, and a second one what it did not.
  '^(?:b(?:(?:a)?)+)+$',
  '^(?:(?:b?)+a[ab])*$',
  '^(?:b(?:a*){2,})+$',
]

const lengths = (count: number, first: number) => Array.from({ length: count }, (_, i) => first + i)

const twoLetters = lengths(40, 0x100)
  .map((code) => `${String.fromCharCode(code)}[a-z]{10}`)
  .join('|')

const UNJUDGED = [
  '(?=a)b',
  '(?!a)b',
  '(?<=a)b',
  '(a)\\1',
  '(?<user>a)\\k<user>',
  '(?i:a)b',
  'a'.repeat(1001),
  '(',
  'a{2,1}',
  '^(?:abc){500}$',
  // Many ways side by side, none of which comes together soon.
  `^${lengths(12, 20)
    .map((n) => `(?:.{${n}}x)*`)
    .join('y')}`,
  `^(?:${twoLetters})*1(?:${twoLetters})*$`,
]

for (const source of SAFE) {
  void t.test(`${source.slice(0, 40)} is accepted`, (t) => {
    t.equal(judgeRegex(source), undefined)
    t.end()
  })
}

for (const source of [...DANGEROUS, ...UNJUDGED]) {
  void t.test(`${source.slice(0, 40)} is refused`, (t) => {
    const before = process.cpuUsage()
    t.type(judgeRegex(source), 'string')
    // Seconds on a busy box; what has no bound takes hours.
    t.ok(process.cpuUsage(before).user < 10_000_000)
    t.end()
  })
}

void t.test('the named group must be there', (t) => {
  t.match(judgeRegex('^/([0-9]+)', 'user'), /lacks the named group/)
  t.equal(judgeRegex('^/(?<user>[0-9]+)', 'user'), undefined)
  t.end()
})

const LIMIT = { timeout: 2_000 }

/** A small expression over a and b. */
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('a', 'b', '[ab]'),
    fc.tuple(tie('expression'), tie('expression')).map(([x, y]) => `${x}${y}`),
    fc.tuple(tie('expression'), tie('expression')).map(([x, y]) => `(?:${x}|${y})`),
    tie('expression').map((x) => `(?:${x})*`),
    tie('expression').map((x) => `(?:${x})+`),
    tie('expression').map((x) => `(?:${x})?`),
  ),
}))

void t.test('an accepted expression is quick on long texts that do not match', (t) => {
  fc.assert(
    fc.property(
      expression,
      fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 3 }),
      (source, word) => {
        const anchored = `^(?:${source})$`
        if (judgeRegex(anchored) !== undefined) return true
        const regex = new RegExp(anchored)
        // An exception past the limit: one that backtracks for ever must not hang the test.
        runInNewContext('regex.test(text)', { regex, text: `${word.repeat(2_000)}c` }, LIMIT)
        return true
      },
    ),
    { numRuns: 300 },
  )
  t.end()
})
