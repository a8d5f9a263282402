import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openStateFolder } from '../../../common/runtime/state-folder.ts'
import type { StateBounds } from '../../../common/runtime/state-folder.ts'
import { withoutRights } from '../../kit/without-rights.ts'

/** A busy box must not be taken for a disk that does not answer. */
const PATIENT: StateBounds = { readMs: 20_000, writeMs: 20_000 }

function open(t: Test, path: string, bounds = PATIENT) {
  const folder = openStateFolder(path, bounds)
  t.teardown(() => folder.close())
  return folder
}

/** A pipe without a writer: who reads it hangs, and all that comes after. */
function hang(t: Test, bounds: StateBounds) {
  const path = t.testdir({})
  const pipe = join(path, 'pipe')
  execFileSync('mkfifo', [pipe])
  const folder = open(t, path, bounds)
  const hung = folder.read('pipe')
  const answer = async (): Promise<void> => {
    try {
      closeSync(openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK))
    } catch {
      // Nobody reads it yet.
      await new Promise((resolve) => setTimeout(resolve, 5))
      await answer()
    }
  }
  t.teardown(() => {
    rmSync(pipe, { force: true })
  })
  return { path, folder, hung, answer }
}

void t.test('a folder is made, and what is written is read again', async (t) => {
  const path = join(t.testdir({}), 'a', 'b')
  const folder = open(t, path)
  t.equal(await folder.readJson('x.json'), undefined)
  await folder.writeJson('x.json', { value: 1 })
  t.strictSame(await open(t, path).readJson('x.json'), { value: 1 })
  await folder.write('tables/one', Uint8Array.of(1, 2, 3))
  t.strictSame([...readFileSync(join(path, 'tables', 'one'))], [1, 2, 3])
  t.strictSame(await folder.list('tables'), ['one'], 'no draft is left')
  await folder.remove('tables/one')
  t.strictSame(await folder.list('tables'), [])
  t.strictSame(await folder.list('none'), [])
})

void t.test('what cannot be written or read is refused, until it can', async (t) => {
  const path = join(t.testdir({ taken: '' }), 'taken')
  const folder = open(t, path)
  await t.rejects(folder.writeJson('x.json', { value: 1 }), {
    code: 'STATE_FOLDER_UNUSABLE',
    message: /^Cannot write in the state folder .*\/taken \(admin\.state\): ENOTDIR/,
  })
  t.equal(await folder.read('x.json'), undefined)
  rmSync(path)
  await folder.writeJson('x.json', { value: 2 })
  t.match(readFileSync(join(path, 'x.json'), 'utf8'), /"value": 2/)
  mkdirSync(join(path, 'y.json'))
  await t.rejects(folder.read('y.json'), { message: /^Cannot read in the state folder .*EISDIR/ })
  await folder.write('z.json', '{')
  const message = /^Cannot read in the state folder .*: z\.json is damaged: it holds no JSON$/
  await t.rejects(folder.readJson('z.json'), { message })
})

void t.test('a disk that does not answer is told, and what waits for it is kept', async (t) => {
  const { path, folder, hung, answer } = hang(t, { ...PATIENT, writeMs: 40 })
  const message = /^Cannot write in the state folder .* \(admin\.state\): it has not answered for/
  await t.rejects(folder.write('x.json', '1'), { code: 'STATE_FOLDER_UNUSABLE', message })
  t.equal(folder.isAnswering, false)
  await t.rejects(folder.write('x.json', '2'), { message })
  t.strictSame(readdirSync(path), ['pipe'])
  await answer()
  t.equal(await hung, '')
  t.equal(await folder.read('x.json'), '2', 'the newest')
  t.equal(folder.isAnswering, true)
})

void t.test('an older write that is replaced is answered with the newer one', async (t) => {
  const { path, folder, hung, answer } = hang(t, PATIENT)
  const older = folder.write('x.json', '1')
  const newer = folder.write('x.json', '2')
  await answer()
  await older
  t.equal(readFileSync(join(path, 'x.json'), 'utf8'), '2')
  await Promise.all([newer, hung])
})

void t.test('who closes waits for what is under way, but not for ever', async (t) => {
  const path = t.testdir({})
  const folder = open(t, path)
  const written = folder.write('x.json', '1')
  await folder.close()
  t.equal(readFileSync(join(path, 'x.json'), 'utf8'), '1')
  await written
  await t.rejects(folder.write('x.json', '2'), { message: /the service is stopping$/ })
  const { folder: other, hung, answer } = hang(t, { readMs: 50, writeMs: 40 })
  await t.rejects(hung, { message: /^Cannot read .*: it has not answered for 0\.05 s$/ })
  await other.close()
  await answer()
})

void t.test('where no process can be had, each is refused with the reason', async (t) => {
  const file = new URL('../../../common/runtime/state-folder.ts', import.meta.url).href
  const stdout = await withoutRights(`
    const { openStateFolder } = await import(${JSON.stringify(file)})
    const folder = openStateFolder('/none')
    const say = (error) => console.log(error.message)
    await Promise.all([folder.write('a', '').catch(say), folder.read('b').catch(say)])
    await folder.write('a', '').catch(say)
    await folder.close()`)
  const reason = 'the process that reads and writes there cannot be run: Access to this API'
  t.equal(stdout.split(reason).length - 1, 3)
})
