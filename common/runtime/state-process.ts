import './first.ts'
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

// The entry of the process that reads and writes a state folder, for as long as its parent lives. A
// process that hangs in the kernel can't be killed, and keeps its sockets: so it is this one, which
// has none, and never the service. Its argument is the folder.

/** One at a time. */
export type StateJob =
  | { readonly type: 'read'; readonly file: string }
  | { readonly type: 'write'; readonly file: string; readonly content: string | Uint8Array }
  | { readonly type: 'list'; readonly path: string }
  | { readonly type: 'remove'; readonly file: string }

export type StateAnswer =
  | { readonly ok: true; readonly text?: string; readonly names?: readonly string[] }
  | { readonly ok: false; readonly code: string | undefined; readonly reason: string }

export type StateMessage = 'ready' | StateAnswer

let isMade = false

// The service manager signals the whole group: the parent decides when it is over.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => undefined)
// What hangs just now must not come after what a next life of the service has written: whatever was
// not told to be kept is left.
process.on('disconnect', () => process.exit(0))
process.on('message', (job: StateJob) => {
  void answer(job)
})
send('ready')

async function answer(job: StateJob): Promise<void> {
  try {
    send({ ok: true, ...(await run(job)) })
  } catch (error) {
    const { code, message: reason } = error as NodeJS.ErrnoException
    send({ ok: false, code, reason })
  }
}

async function run(job: StateJob): Promise<{ text?: string; names?: string[] }> {
  switch (job.type) {
    case 'read':
      return { text: await readFile(job.file, 'utf8') }
    case 'write':
      await writeWhole(job.file, job.content)
      return {}
    case 'list':
      return { names: await readdir(job.path) }
    case 'remove':
      await rm(job.file, { force: true })
      return {}
  }
}

/** Whole under its name, or not there at all: written beside it, then renamed. */
async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
  const draft = `${file}.${process.pid}-0`
  try {
    const handle = await open(draft, 'w', 0o640).catch(async (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      await makeFolder(dirname(file))
      return open(draft, 'w', 0o640)
    })
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(draft, file)
  } catch (error) {
    // On a read-only disk, or in what is no folder, even that fails: then there is none.
    await rm(draft, { force: true }).catch(() => undefined)
    throw error
  }
}

/**
 * With all that leads to it, the first time. Afterwards not what leads to the state folder: where
 * that is gone somebody has cleared the place away.
 */
async function makeFolder(path: string): Promise<void> {
  const [, , stateFolder = ''] = process.argv
  const isFirst = !isMade
  isMade = true
  if (!isFirst && path !== stateFolder)
    await mkdir(stateFolder, { mode: 0o750 }).catch(() => undefined)
  await mkdir(path, { recursive: isFirst, mode: 0o750 })
}

function send(message: StateMessage): void {
  // A parent that has gone meanwhile is told by 'disconnect'.
  process.send?.(message, undefined, undefined, () => undefined)
}
