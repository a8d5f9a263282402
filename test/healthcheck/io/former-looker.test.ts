import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import {
  findFormerLooker,
  isStillThere,
  lookerTitle,
} from '../../../healthcheck/io/former-looker.ts'

/** A name that no other test looks for. */
const path = `/srv/photos ${process.pid}`

const LOOKER = `process.title = process.argv[1]; process.stdout.write('!'); setInterval(() => {}, 1e6)`

/** A process with that title, run by way of `others`. */
async function startTitled(title: string, others: readonly string[] = []): Promise<ChildProcess> {
  const words: string[] = [...others, process.execPath, '-e', LOOKER, title]
  const [program = '', ...args] = words
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

void t.test(
  "a process whose service has ended, or let it go, is found by its mount's name",
  async (t) => {
    // One that no service was is as good as one that has ended.
    for (const servicePid of [4_194_303, process.pid]) {
      const child = await startTitled(lookerTitle(path, servicePid))
      t.equal(findFormerLooker(path)?.pid, child.pid)
      t.equal(findFormerLooker(`${path}/other`), undefined)
      await end(child)
      t.equal(findFormerLooker(path), undefined)
    }
  },
)

/** A service, run by way of `others`, and its looker. */
async function startService(others: readonly string[] = []): Promise<ChildProcess> {
  const script = `const { spawn } = require('node:child_process')
    const title = process.argv[1].replace('SERVICE', process.pid.toString(36))
    spawn(process.execPath, ['-e', process.argv[2], title], { stdio: ['ignore', 'inherit', 'inherit'] })`
  const title = lookerTitle(path, 0).replace(/-0 /, '-SERVICE ')
  const words: string[] = [...others, process.execPath, '-e', script, title, LOOKER]
  const [program = '', ...args] = words
  const service = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(service.stdout, 'data')
  return service
}

void t.test('one of another service that is still there is not meant', async (t) => {
  const service = await startService()
  t.equal(findFormerLooker(path), undefined)
  await end(service)
  const left = findFormerLooker(path)
  t.ok(left, 'its service has ended')
  if (left !== undefined) process.kill(left.pid, 'SIGKILL')
})

const asRoot = { skip: process.geteuid?.() !== 0 && 'it takes root' }

void t.test(
  'nor is one in a container, whose service has another number there',
  asRoot,
  async (t) => {
    const service = await startService([
      'unshare',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
    ])
    t.equal(findFormerLooker(path), undefined)
    await end(service)
  },
)

void t.test(
  'nor one that another user has named so, be it with the rights of root',
  asRoot,
  async (t) => {
    const title = lookerTitle(path, 4_194_303)
    // As who runs `su`, and the other way round.
    for (const users of [
      ['--ruid', '65534'],
      ['--euid', '65534'],
    ]) {
      const child = await startTitled(title, ['setpriv', ...users])
      t.equal(findFormerLooker(path), undefined, users.join(' '))
      await end(child)
    }
  },
)

void t.test('it is told from another process that has got its number', async (t) => {
  const child = await startTitled(lookerTitle(path, 4_194_303))
  const looker = findFormerLooker(path)
  if (looker === undefined) throw new Error('there is none')
  t.ok(isStillThere(looker))
  t.notOk(isStillThere({ ...looker, startTicks: looker.startTicks + 1 }))
  t.notOk(isStillThere({ ...looker, name: 'node' }))
  await end(child)
  t.notOk(isStillThere(looker))
})

void t.test('the name fits into what the kernel keeps of it, whatever the path', async (t) => {
  for (const odd of ['/srv/a b', '/srv/a\nb', '/srv/)', `/srv/${'x'.repeat(4000)}`, '/srv/ä']) {
    const child = await startTitled(lookerTitle(odd, 4_194_303))
    t.equal(findFormerLooker(odd)?.pid, child.pid, JSON.stringify(odd.slice(0, 20)))
    await end(child)
  }
})
