import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parseConfig } from '../../common/config/parse-config.ts'

const FOLDER = new URL('./examples/', import.meta.url)

for (const file of readdirSync(FOLDER)) {
  void t.test(`${file} is accepted as it stands, without a warning`, (t) => {
    const text = readFileSync(new URL(file, FOLDER), 'utf8')
    const parsed = parseConfig(text, { file, folder: '/etc/photoedge' })
    t.same(parsed.ok ? [] : parsed.problems, [])
    t.same(parsed.warnings, [])
    t.end()
  })
}
