import { readFileSync } from 'node:fs'
import t from 'tap'

const page = readFileSync(new URL('../../docs/http.md', import.meta.url), 'utf8')
const FOLDERS = ['core', '.', 'io']

const sourceOf = (file: string): string | undefined => {
  const paths = file.includes('/')
    ? [`../../${file}`]
    : FOLDERS.map((folder) => `../router/${folder}/${file}.test.ts`)
  for (const path of paths) {
    try {
      return readFileSync(new URL(path, import.meta.url), 'utf8').replace(/\(\s+/g, '(')
    } catch {
      // The next folder may have it.
    }
  }
  return undefined
}

/** `file: \`test\`, \`test\`; file: \`test\`` as pairs. */
const references = (cell: string): readonly (readonly [string, string])[] =>
  [...cell.matchAll(/([\w./-]+): ((?:`[^`]+`(?:, )?)+)/g)].flatMap(([, file = '', tests = '']) =>
    [...tests.matchAll(/`([^`]+)`/g)].map(([, test = '']) => [file, test] as const),
  )

const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| -|shown by \|$/.test(line))

void t.test('every line of docs/http.md names a test that exists', (t) => {
  t.ok(rows.length > 40)
  for (const row of rows) {
    const found = references(row.split(' | ').at(-1) ?? '')
    t.ok(found.length > 0, row.slice(0, 60))
    for (const [file, test] of found) {
      const source = sourceOf(file)
      t.not(source, undefined, `there is a test file ${file}`)
      const quoted = [`'${test}'`, `"${test}"`, `\`${test}\``]
      t.ok(
        quoted.some((text) => source?.includes(`t.test(${text}`)),
        `${file}: ${test}`,
      )
    }
  }
  t.end()
})
