import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { forBox, partsOf } from '../../common/config/for-box.ts'
import { namedFiles } from '../../common/config/named-files.ts'
import { parseConfig } from '../../common/config/parse-config.ts'
import type { ParsedConfig, ReadableConfig } from '../../common/config/parse-config.ts'
import { formatProblem } from '../../common/config/problem.ts'
import { showConfig } from '../../common/config/show-config.ts'

const FOLDER = new URL('./examples/', import.meta.url)
const EXAMPLES = readdirSync(FOLDER).map((file) => readFileSync(new URL(file, FOLDER), 'utf8'))
const RUNS = process.env['CI'] === 'true' ? 400 : 40
/** Far above what any of these inputs takes, far below a hang; of CPU, which no neighbour delays. */
const BOUND_MS = 5_000

/** CPU that this process has taken so far, in milliseconds. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function parse(text: string): ParsedConfig {
  return parseConfig(text, { file: 'edge.yaml', folder: '/etc/photoedge' })
}

/** Whatever the text: an answer in time, whole lines, and an accepted one that shows itself. */
function isAnswered(text: string): boolean {
  const startedAt = cpuMs()
  const parsed = parse(text)
  if (cpuMs() - startedAt > BOUND_MS) return false
  if (!parsed.ok) {
    if (parsed.readable !== undefined && !isReadable(parsed.readable)) return false
    const lines = parsed.problems.map(formatProblem)
    return (
      lines.length > 0 && lines.every((line) => /^edge\.yaml:[1-9]\d*:[1-9]\d*: [^\n]+$/.test(line))
    )
  }
  const shown = parse(showConfig(parsed.config))
  if (!shown.ok) return false
  for (const box of Object.keys(parsed.config.boxes)) {
    for (const part of partsOf(parsed.config, box)) forBox(parsed.config, box, part)
    namedFiles(parsed.config, box)
  }
  return JSON.stringify(shown.config) === JSON.stringify(parsed.config)
}

/** Whether the files of what could be read are told, none of them empty. */
function isReadable({ config, isSound }: ReadableConfig): boolean {
  const files = Object.keys(config.boxes).flatMap((box) => namedFiles(config, box))
  isSound('pools')
  return [...files, ...namedFiles(config)].every(({ file }) => file.startsWith('/'))
}

/** A slice of an example replaced: by nothing, by any text, or by a slice of another. */
const mutation = fc
  .record({
    example: fc.constantFrom(...EXAMPLES),
    from: fc.nat({ max: 9_000 }),
    length: fc.nat({ max: 40 }),
    other: fc.constantFrom(...EXAMPLES),
    otherFrom: fc.nat({ max: 9_000 }),
    otherLength: fc.nat({ max: 60 }),
    text: fc.option(
      fc.oneof(
        fc.string(),
        fc.constantFrom(
          '&a ',
          '*a',
          '- ',
          ': ',
          '{',
          '[',
          '\n',
          '\t',
          '<<: ',
          '!!str ',
          '~',
          '"',
          "'",
          '|',
          '0x1f',
          '[1-9]',
          '{box}',
          '-1',
        ),
      ),
    ),
  })
  .map(({ example, from, length, other, otherFrom, otherLength, text }) => {
    const inserted = text ?? other.slice(otherFrom, otherFrom + otherLength)
    return example.slice(0, from) + inserted + example.slice(from + length)
  })

void t.test('any text is answered, and never by an exception', (t) => {
  const point = fc.oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0x10_ffff }))
  const anyText = fc
    .array(point, { maxLength: 400 })
    .map((points) => String.fromCodePoint(...points))
  fc.assert(fc.property(anyText, isAnswered), { numRuns: RUNS })
  t.end()
})

void t.test('no value of any key is taken for a property of objects', (t) => {
  const reference = readFileSync(new URL('examples/reference.yaml', import.meta.url), 'utf8')
  const values = [...reference.matchAll(/(?<=: )[^\s{}[\],#]+/g)]
  t.ok(values.length > 100)
  const unanswered = values.flatMap(({ 0: value, index }) => {
    const changed = `${reference.slice(0, index)}toString${reference.slice(index + value.length)}`
    return isAnswered(changed) ? [] : [changed]
  })
  t.strictSame(unanswered, [])
  t.end()
})

void t.test('any bytes are answered', (t) => {
  const bytes = fc
    .uint8Array({ maxLength: 400 })
    .map((array) => Buffer.from(array).toString('utf8'))
  fc.assert(fc.property(bytes, isAnswered), { numRuns: RUNS })
  t.end()
})

void t.test('any mutation of an example is answered, and shows itself if it is accepted', (t) => {
  fc.assert(fc.property(mutation, isAnswered), { numRuns: RUNS })
  t.end()
})

void t.test('every example shows itself: the same configuration again', (t) => {
  for (const example of EXAMPLES) t.ok(isAnswered(example))
  t.end()
})

const HOSTILE: Readonly<Record<string, string>> = {
  'a million brackets': '['.repeat(1_000_000),
  'a million braces': '{'.repeat(1_000_000),
  'a million dashes': '- '.repeat(500_000),
  'deep indentation': Array.from({ length: 1_000 }, (_, depth) => `${' '.repeat(depth)}a:`).join(
    '\n',
  ),
  'a million anchors': '&a '.repeat(300_000),
  'many keys': Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join('\n'),
  'one key often': 'edge: a\n'.repeat(20_000),
  'many unknown boxes': `boxes:\n${Array.from({ length: 20_000 }, (_, index) => `  b${index}: 1\n`).join('')}`,
  'a long plain word': 'a'.repeat(1_000_000),
  'a long quoted word': `"${'\\n'.repeat(400_000)}"`,
  'quotes without end': '"'.repeat(40_000),
  colons: ':'.repeat(500_000),
  tabs: '\t'.repeat(500_000),
  'too large': ' '.repeat(2_000_000),
  NUL: 'edge: a\u0000b',
  'a bomb of aliases': [
    'edge: lab',
    'boxes: &a0 { x: { address: 10.0.0.1 } }',
    `director: &a1 [${'*a0,'.repeat(20)}]`,
    `router: &a2 [${'*a1,'.repeat(20)}]`,
    `pools: { ${Array.from({ length: 500 }, (_, index) => `p${index}: ${index === 0 ? `&p { weights: &w { ${Array.from({ length: 1_000 }, (__, at) => `w${at}: 1`).join(', ')} } }` : '*p'}`).join(', ')} }`,
  ].join('\n'),
}

for (const [name, text] of Object.entries(HOSTILE)) {
  void t.test(`${name}: answered in time`, (t) => {
    const startedAt = cpuMs()
    const parsed = parse(text)
    t.notOk(parsed.ok)
    t.ok(cpuMs() - startedAt < BOUND_MS, `took ${cpuMs() - startedAt} ms`)
    t.end()
  })
}

void t.test('a thousand servers are no burden', (t) => {
  const servers = Array.from(
    { length: 1_000 },
    (_, index) => `      c${index}: "10.0.${index >> 8}.${index & 255}:80"\n`,
  )
  const text = `edge: lab
boxes: { "r-[1-20]": { address: "10.1.0.[1-20]" }, "b-[0001-1000]": { address: "2001:db8::[1-1000]" } }
pools: { caches: { servers:\n${servers.join('')}  } }`
    .replace('{ caches: { servers:', '\n  caches:\n    servers:')
    .replace(/ {2}\} \}$/, '')
  const startedAt = cpuMs()
  const parsed = parse(text)
  t.same(parsed.ok ? [] : parsed.problems, [])
  t.ok(cpuMs() - startedAt < 2_000)
  t.end()
})
