import { execFileSync } from 'node:child_process'
import {
  constants,
  mkdirSync,
  mkdtempSync,
  readSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { withFile } from '../../../common/runtime/regular-file.ts'

const WAYS = { reading: constants.O_RDONLY, writing: constants.O_WRONLY | constants.O_CREAT }

void t.test('a regular file is written and read, with what its use comes to', (t) => {
  const file = join(t.testdir({}), 'file')
  t.equal(
    withFile(file, WAYS.writing, (descriptor) => writeSync(descriptor, 'abc')),
    3,
  )
  const block = Buffer.alloc(8)
  t.equal(
    withFile(file, WAYS.reading, (descriptor) => readSync(descriptor, block)),
    3,
  )
  t.throws(() => withFile(join(t.testdir({}), 'none'), WAYS.reading, () => 0), { code: 'ENOENT' })
  t.end()
})

void t.test('what is no regular file is said so, and never waited for', async (t) => {
  // A socket's path may have 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), 'photoedge-'))
  mkdirSync(join(folder, 'folder'))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  symlinkSync('/dev/zero', join(folder, 'device'))
  const server = net.createServer().listen(join(folder, 'socket'))
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => {
    server.close()
    rmSync(folder, { recursive: true })
  })
  for (const name of ['pipe', 'device', 'socket', 'folder']) {
    for (const [way, flags] of Object.entries(WAYS)) {
      t.throws(
        () => withFile(join(folder, name), flags, () => t.fail('it was used')),
        new Error(`${name} is not a regular file`),
        `a ${name}, for ${way}`,
      )
    }
  }
})

void t.test('every descriptor is closed again', (t) => {
  const folder = t.testdir({ file: '' })
  symlinkSync('/dev/null', join(folder, 'device'))
  const numbers = ['file', 'device', 'file', 'device', 'file'].map((name) => {
    try {
      return withFile(join(folder, name), WAYS.reading, (descriptor) => descriptor)
    } catch {
      return undefined
    }
  })
  const [first] = numbers
  t.same(numbers, [first, undefined, first, undefined, first], 'the lowest free one each time')
  t.end()
})
