import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FileQueue, isHeldByDisk } from '../../../common/runtime/file-queue.ts'

void t.test('files are asked one at a time, in their order', async (t) => {
  const queue = new FileQueue()
  const log: string[] = []
  const slow = async (file: string) => {
    log.push(`${file} asked`)
    await new Promise(setImmediate)
    log.push(`${file} answers`)
    if (file === 'b') throw new Error('b is bad')
    return file
  }
  const answers = await Promise.allSettled(['a', 'b', 'c'].map((file) => queue.ask(file, slow)))
  t.match(answers, [{ value: 'a' }, { reason: { message: 'b is bad' } }, { value: 'c' }])
  t.strictSame(
    log,
    ['a', 'b', 'c'].flatMap((file) => [`${file} asked`, `${file} answers`]),
  )
  t.equal(await isHeldByDisk(), false)
})

void t.test('after one that does not answer all are refused, until it does', async (t) => {
  const queue = new FileQueue({ answerWithinMs: 20 })
  let answer = (): void => undefined
  const hung = queue.ask('/disk/a', () => new Promise<void>((resolve) => (answer = resolve)))
  const other = queue.ask('b', () => Promise.resolve(t.fail('b is asked')))
  const message = 'the file /disk/a cannot be read: no answer for 0.02 s'
  t.equal(await isHeldByDisk(), true)
  await t.rejects(hung, { message, file: '/disk/a' })
  const refusal: unknown = await hung.catch((error: unknown) => error)
  t.equal(await other.catch((error: unknown) => error), refusal, 'with the very same')
  answer()
  await new Promise(setImmediate)
  t.equal(await queue.ask('b', () => Promise.resolve(1)), 1)
  t.equal(await isHeldByDisk(), false)
})

void t.test('a pipe, a device or a folder is not read', async (t) => {
  const folder = t.testdir({ file: 'text', folder: {} })
  execFileSync('mkfifo', [join(folder, 'pipe')])
  symlinkSync('/dev/zero', join(folder, 'device'))
  const queue = new FileQueue()
  for (const name of ['pipe', 'device', 'folder'])
    await t.rejects(queue.read(join(folder, name)), { message: 'it is no regular file' }, name)
  await t.rejects(queue.read(join(folder, 'none')), { code: 'ENOENT' })
  t.equal(String(await queue.read(join(folder, 'file'))), 'text')
})
