import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { Check } from 'typebox/schema'
import { parse } from 'yaml'
import { configJsonSchema } from '../../common/config/json-schema.ts'

const FOLDER = new URL('./examples/', import.meta.url)

for (const file of readdirSync(FOLDER)) {
  void t.test(`the JSON Schema takes ${file}, and not with a misspelled key`, (t) => {
    const config = parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Record<string, unknown>
    t.ok(Check(configJsonSchema(), config))
    t.notOk(Check(configJsonSchema(), { ...config, rooter: {} }))
    t.notOk(Check(configJsonSchema(), { ...config, admin: { socket: 1 } }))
    t.end()
  })
}

void t.test('only what has no default is required, and nothing of the reader is left in', (t) => {
  const text = JSON.stringify(configJsonSchema())
  t.notMatch(text, '"x-')
  t.same((configJsonSchema() as { required: string[] }).required, ['edge', 'boxes'])
  t.end()
})
