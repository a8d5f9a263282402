import t from 'tap'
import { parseConfig } from '../../common/config/parse-config.ts'

void t.test('aliases that would unfold into millions of values are refused at once', (t) => {
  const words = Array.from({ length: 100 }, (_, i) => `w${i}`).join(', ')
  const tracks = Array.from({ length: 100 }, () => '*command').join(', ')
  const instances = Array.from({ length: 100 }, (_, i) => `    v${i}: { <<: , track: *tracks }`)
  const text = `edge: lab
boxes: { d: { address: 10.0.0.1 } }
director:
  boxes: d
  vrrp:
    first: { track: &tracks [&command { script: [${words}] }, ${tracks}] }
${instances.join('\n')}
checks: { late: { type: photo } }
`
  const parsed = parseConfig(text, { file: 'conf/edge.yaml' })
  const messages = parsed.ok ? [] : parsed.problems.map(({ message }) => message)
  const found = messages.filter((message) => message.includes('aliases'))
  t.notOk(
    messages.some((message) => message.includes('late')),
    'and no more is read',
  )
  t.strictSame(found, ['The aliases of this file expand to more than 200000 values'])
  t.end()
})

const problemsOf = (text: string): string[] => {
  const parsed = parseConfig(text, { file: 'edge.yaml' })
  return parsed.ok ? [] : parsed.problems.map(({ line, message }) => `${line}: ${message}`)
}

void t.test('a line may be as long as it likes: what stands side by side is not nested', (t) => {
  const servers = Array.from({ length: 200 }, (_, i) => `c${i}: "10.0.0.${i}:80"`).join(', ')
  t.same(
    problemsOf(
      `edge: lab\nboxes: { b: { address: 10.1.0.1 } }\npools: { caches: { servers: { ${servers} } } }\n`,
    ),
    [],
  )
  const boxes = Array.from(
    { length: 250 },
    (_, i) => `  b${i}: { address: 10.1.0.${i} } # [{ - - :\n`,
  )
  t.same(problemsOf(`edge: lab\nboxes:\n${boxes.join('')}`), [], 'nor is what a comment holds')
  const unclosed = problemsOf(`a: [\n${'b: 1\n'.repeat(250)}`)
  t.match(unclosed, [/^2: This is not YAML: Flow sequence/], 'nor what follows an unclosed list')
  t.end()
})

void t.test('what a body is to contain must fit into what is looked at of it', (t) => {
  const told = (text: string) =>
    problemsOf(`edge: lab
boxes: { r: { address: 10.0.0.1 } }
checks: { c: { type: http, body: { contains: "${text}" } } }
`)
  t.same(told('x'.repeat(256 * 1024)), [])
  t.match(told('ä'.repeat(128 * 1024) + 'x'), [
    /^3: checks\.c\.body\.contains is "ä+\.\.\.", 262145 bytes long, [^"]+: write a shorter one$/,
  ])
  t.end()
})

const NESTED: Readonly<Record<string, string>> = {
  brackets: '['.repeat(300),
  'dashes of one line': '- '.repeat(300),
  'keys of one line': 'a: '.repeat(300),
  'keys without commas, line by line in braces': `{\n${'a:\n'.repeat(300)}}`,
  'braces between keys without commas': '{ x: 1, a: a: a: a: '.repeat(60),
  'lines of dashes, each within the one before': Array.from(
    { length: 5 },
    (_, line) => ' '.repeat(line * 100) + '- '.repeat(50),
  ).join('\n'),
  'keys, each within the one before': Array.from(
    { length: 300 },
    (_, depth) => `${' '.repeat(depth)}a:`,
  ).join('\n'),
  'dashes after a list that is not closed': `a: [\nb: 1\nc: ${'- '.repeat(300)}`,
}

for (const [name, text] of Object.entries(NESTED)) {
  void t.test(`nesting that no configuration needs is refused unread: ${name}`, (t) => {
    t.match(problemsOf(text), [/^\d+: The file nests deeper than 100 levels$/])
    t.end()
  })
}
