import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { findFormerLooker, lookerTitle } from '../../../healthcheck/io/former-looker.ts'

/** A name that no other test looks for. */
const path = `/srv/photos ${process.pid}`

/** A process with the title of one that looks for `parentPid`. */
async function startTitled(title: string): Promise<ChildProcess> {
  const script = `process.title = process.argv[1]; process.stdout.write('!'); setInterval(() => {}, 1e6)`
  const child = spawn(process.execPath, ['-e', script, title], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
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
      t.equal(findFormerLooker(path), child.pid)
      t.equal(findFormerLooker(`${path}/other`), undefined)
      await end(child)
      t.equal(findFormerLooker(path), undefined)
    }
  },
)

void t.test('one of another service that is still there is not meant', async (t) => {
  const script = `const { spawn } = require('node:child_process')
    const title = process.argv[1].replace('SERVICE', process.pid.toString(36))
    const looker = "process.title = process.argv[1]; process.stdout.write('!'); setInterval(() => {}, 1e6)"
    spawn(process.execPath, ['-e', looker, title], { stdio: ['ignore', 'inherit', 'inherit'] })`
  const title = lookerTitle(path, 0).replace(/-0 /, '-SERVICE ')
  const service = spawn(process.execPath, ['-e', script, title], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(service.stdout, 'data')
  t.equal(findFormerLooker(path), undefined)
  await end(service)
  const left = findFormerLooker(path)
  t.ok(left, 'its service has ended')
  process.kill(left ?? 0, 'SIGKILL')
})

void t.test('the name fits into what the kernel keeps of it, whatever the path', async (t) => {
  for (const odd of ['/srv/a b', '/srv/a\nb', '/srv/)', `/srv/${'x'.repeat(4000)}`, '/srv/ä']) {
    const child = await startTitled(lookerTitle(odd, 4_194_303))
    t.equal(findFormerLooker(odd), child.pid, JSON.stringify(odd.slice(0, 20)))
    await end(child)
  }
})
