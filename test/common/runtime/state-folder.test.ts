import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openStateFolder } from '../../../common/runtime/state-folder.ts'

void t.test('a folder is made, and what is written is read again', (t) => {
  const path = join(t.testdir({}), 'a', 'b')
  const folder = openStateFolder(path)
  t.equal(folder.readJson('x.json'), undefined)
  folder.writeJson('x.json', { value: 1 })
  t.strictSame(openStateFolder(path).readJson('x.json'), { value: 1 })
  t.end()
})

void t.test('what cannot be written is remembered, until it can', (t) => {
  const path = join(t.testdir({ taken: '' }), 'taken')
  const folder = openStateFolder(path)
  t.throws(
    () => {
      folder.writeJson('x.json', { value: 1 })
    },
    {
      code: 'STATE_FOLDER_UNUSABLE',
      message: /^Cannot write in the state folder .*\/taken \(admin/,
    },
  )
  t.strictSame(folder.readJson('x.json'), { value: 1 })
  rmSync(path)
  folder.writeJson('x.json', { value: 2 })
  t.match(readFileSync(join(path, 'x.json'), 'utf8'), /"value": 2/)
  writeFileSync(join(path, 'x.json'), '3')
  t.equal(folder.readJson('x.json'), 3, 'the file counts again')
  t.end()
})
