import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { quote } from '../../common/config/problem.ts'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { EXIT, UsageError, printError } from '../command.ts'
import type { Command } from '../command.ts'
import { DemoEdge } from '../demo/demo-edge.ts'
import { DemoScreen } from '../demo/demo-screen.ts'
import { parseOptions } from '../options.ts'

const HELP = `Usage: photoedge demo [--photos DIR] [--port PORT] [--rate REQUESTS]

The whole edge on this machine's loopback, without root: storage with JPEG
photos, four caches on disk, the photo router, and a gentle load, so that there
is something to see. Ctrl-C ends it.

  --photos DIR      your own JPEG files: USER/PHOTO.jpg, or PHOTO.jpg
  --port PORT       the public address's port (8080, or another one when that
                    is taken)
  --rate REQUESTS   the load's requests per second (60; 0: none)

Example:
  photoedge demo --photos ~/Pictures --port 9000
`

/** `photoedge demo`, which is `npm start`. */
export const command: Command = {
  name: 'demo',
  summary: 'the whole edge on loopback: storage, caches, router, a load',
  help: HELP,
  run,
}

interface Flags {
  readonly photos: string | undefined
  readonly port: number | undefined
  readonly rate: number
}

async function run(args: string[]): Promise<number> {
  const flags = parseFlags(args)
  const screen = new DemoScreen(process.stdout)
  const visit = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        resolve(0)
      })
    }
  })
  const routerGone = Promise.withResolvers<number>()
  const edge = new DemoEdge({
    folder: fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-demo-')),
    photos: flags.photos,
    publicPort: flags.port,
    loadPerSecond: flags.rate,
    announce: (text) => {
      screen.print(text)
    },
    onRouterGone: (said) => {
      screen.print(`The router ended by itself: ${said}`)
      routerGone.resolve(1)
    },
  })
  try {
    screen.print('Starting storage, four caches and the router ...')
    const ended = await Promise.race([edge.start(), visit])
    if (ended !== undefined) return ended
    screen.print(introduction(edge))
    const table = showTable(edge, screen)
    const keys = listenToKeys(edge)
    const code = await Promise.race([visit, keys.ended, routerGone.promise])
    keys.close()
    clearInterval(table)
    return code
  } catch (error) {
    if (!(error instanceof ApplianceError)) throw error
    printError(`photoedge demo: ${error.message}`)
    return EXIT.failed
  } finally {
    await edge.stop()
    screen.print('The demo has ended, with all its processes.')
  }
}

/** Throws a `UsageError` that names what is wrong. */
function parseFlags(args: string[]): Flags {
  const { values } = parseOptions(args, {
    values: { photos: undefined, port: undefined, rate: undefined },
  })
  return {
    photos: values['photos'],
    port: numberOption('port', values['port'], 1, 65_535),
    rate: numberOption('rate', values['rate'], 0, 2000) ?? 60,
  }
}

function numberOption(
  name: string,
  value: string | undefined,
  least: number,
  most: number,
): number | undefined {
  if (value === undefined) return undefined
  const number = /^[0-9]+$/.test(value) ? Number(value) : NaN
  if (number >= least && number <= most) return number
  throw new UsageError(`--${name} takes a number from ${least} to ${most}, not ${quote(value)}`)
}

function introduction(edge: DemoEdge): string {
  const { publicUrl, adminUrl, photos, storagePort, caches, socket } = edge
  const photo = photos.paths[0] ?? '/'
  const program = relative(path.join(import.meta.dirname, '..', 'photoedge.ts'))
  const operate = `${nodeCommand()} ${program}`
  const { name = '', pid = 0 } = caches[0] ?? {}
  return [
    '',
    `  public address   ${publicUrl}   (the photo router)`,
    ...caches.map(
      ({ name, port, pid }) => `  ${name}          http://127.0.0.1:${port}   pid ${String(pid)}`,
    ),
    `  storage          http://127.0.0.1:${storagePort}   ${photos.paths.length} photos of ${photos.userCount} users`,
    `  metrics          ${adminUrl}/metrics`,
    `  configuration    ${edge.configFile}`,
    '',
    'A photo, through the public address:',
    '',
    `${publicUrl}${photo}`,
    '',
    'What to try, in a browser or another terminal:',
    ...[
      [`curl -o photo.jpg -D - ${publicUrl}${photo}`, 'the photo, and which cache had it'],
      [`kill -9 ${pid}`, `${name} dies (or press 1): its users move, no photo fails`],
      [`kill -STOP ${pid}`, 'it hangs instead, accepts and never answers (then kill -CONT)'],
      [`${operate} status --socket ${socket}`, 'the caches as the router sees them'],
      [`${operate} explain --socket ${socket} ${photo}`, 'which cache, and why'],
    ].map(([command = '', effect = '']) => `  ${command}\n      ${effect}`),
    '  Ctrl-C ends everything',
    '',
  ].join('\n')
}

/** The shell's word for the Node that runs this. */
function nodeCommand(): string {
  const linked = path.join(import.meta.dirname, '..', '..', 'node_modules', '.bin', 'node')
  const isLinked = fs.existsSync(linked) && fs.realpathSync(linked) === process.execPath
  return relative(isLinked ? linked : process.execPath)
}

function relative(file: string): string {
  const fromHere = path.relative(process.cwd(), file)
  return fromHere.startsWith('..') ? file : fromHere
}

function showTable(edge: DemoEdge, screen: DemoScreen): NodeJS.Timeout {
  return setInterval(() => {
    void edge.takeView().then((view) => {
      screen.draw(view)
    })
  }, 1000)
}

/** On a terminal, 1 to 4 end a cache or bring it back; q and Ctrl-C end the demo. */
function listenToKeys(edge: DemoEdge): { readonly ended: Promise<number>; close(): void } {
  const { stdin } = process
  const { promise: ended, resolve } = Promise.withResolvers<number>()
  if (!stdin.isTTY) return { ended, close: () => undefined }
  stdin.setRawMode(true)
  stdin.on('data', (keys: Buffer) => {
    for (const key of keys.toString('latin1')) {
      if (key === '\x03' || key === 'q') resolve(0)
      edge.caches[Number(key) - 1]?.toggle()
    }
  })
  return {
    ended,
    close: () => {
      stdin.setRawMode(false)
      stdin.pause()
    },
  }
}
