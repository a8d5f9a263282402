import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'

const ROOT = new URL('../', import.meta.url)
const PRODUCT = ['admin', 'alerts', 'bin', 'common', 'director', 'healthcheck', 'router']

const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

function productFiles(): readonly string[] {
  const folders = readdirSync(ROOT).filter((name) => PRODUCT.includes(name))
  return folders.flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, ROOT), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => `${folder}/${file}`),
  )
}

void t.test('docs/errors.md and the code have the same error codes', (t) => {
  const codes = new Set<string>()
  for (const file of productFiles()) {
    for (const [, code = ''] of read(file).matchAll(
      /(?:ApplianceError|super)\(\s*'([A-Z]+_[A-Z_]+)'/g,
    ))
      codes.add(code)
  }
  const documented = [...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)`/gm)].map(
    (match) => match[1],
  )
  t.same(documented.sort(), [...codes].sort())
  t.end()
})

void t.test('docs/dependencies.md names every dependency', (t) => {
  const text = read('docs/dependencies.md')
  const manifest = JSON.parse(read('package.json')) as Record<
    string,
    Record<string, string> | undefined
  >
  for (const kind of ['dependencies', 'optionalDependencies', 'devDependencies']) {
    for (const [name, version] of Object.entries(manifest[kind] ?? {})) {
      t.match(text, new RegExp(`(?:^\\| |, )${name}[ ,]`, 'm'), name)
      t.match(version, /^\d+\.\d+\.\d+$/, `${name} is pinned`)
    }
  }
  t.end()
})
