import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { cellTitle, type Cell } from './cells.ts'
import type { LoadClient } from './load/load-client.ts'
import type { PhotoSet } from './photos.ts'
import type { Peer, PeerGround } from './peers/peer.ts'
import { startPhotoedge } from './peers/photoedge.ts'
import { cpuTimeNs, processTree } from './process-tree.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WARM_UP_MS = 2000
const MEASURED_MS = 4000
const SHOWN = 25

/** What V8 writes with --cpu-prof, as far as it is read here; times in µs of the monotonic clock. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: {
      readonly functionName: string
      readonly url: string
      readonly lineNumber: number
    }
  }[]
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

interface SelfTime {
  readonly where: string
  readonly us: number
}

let runs = 0

/**
 * Runs a router of its own under V8's profiler, then `plain` (one that runs already) under the
 * kernel's where `perf` is installed; the text names where the worker's time goes in one cell.
 */
export async function profileCell(
  cell: Cell,
  set: PhotoSet,
  ground: PeerGround,
  load: LoadClient,
  plain: Peer,
  untilReady: (peer: Peer) => Promise<void>,
): Promise<string> {
  const { stage } = ground
  const name = `profiled-${runs++}`
  const folder = stage.file(`${name}-profiles`)
  const nodeFlags = ['--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=500']
  const peer = await startPhotoedge(ground, { name, root: ROOT, nodeFlags })
  await untilReady(peer)
  const port = cell.isTls ? peer.httpsPort : peer.httpPort
  await load.open(name, { port, isTls: cell.isTls }, set, 64)
  await load.runClosed(name, WARM_UP_MS)
  const fromUs = monotonicUs()
  let photos = 0
  const { pid, us } = await busiestOf(peer, async () => {
    photos = (await load.runClosed(name, MEASURED_MS)).photos
  })
  const toUs = monotonicUs()
  await load.close(name)
  await stage.stop(peer.child)

  const lines = [
    `${cellTitle(cell)}: the worker's CPU time per photo by function (${photos} photos)`,
  ]
  const profile = profileOf(folder, pid)
  if (profile === undefined) lines.push('The worker wrote no profile: it did not end by itself')
  else {
    const times = selfTimes(profile, fromUs, toUs, us)
    for (const { where, us } of times.slice(0, SHOWN)) {
      lines.push(`${(us / photos).toFixed(2).padStart(8)} µs  ${where}`)
    }
  }
  const kernelText = await perfText(ground, load, plain, cell, set)
  return `${lines.join('\n')}\n${kernelText}`
}

const monotonicUs = (): number => Number(process.hrtime.bigint() / 1000n)

/** The process of the tree that spent most CPU time while `run` ran (the worker), and how much. */
async function busiestOf(
  peer: Peer,
  run: () => Promise<unknown>,
): Promise<{ readonly pid: number; readonly us: number }> {
  const tree = processTree(peer.child.pid ?? -1)
  const before = tree.map((pid) => cpuTimeNs([pid]))
  await run()
  const spent = tree.map((pid, i) => ({ pid, us: (cpuTimeNs([pid]) - (before[i] ?? 0)) / 1000 }))
  return spent.reduce((most, one) => (one.us > most.us ? one : most))
}

function profileOf(folder: string, pid: number): CpuProfile | undefined {
  if (!existsSync(folder)) return undefined
  // CPU.<date>.<time>.<pid>.<thread>.<sequence>.cpuprofile
  const file = readdirSync(folder).find((one) => one.split('.')[3] === String(pid))
  if (file === undefined) return undefined
  return JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as CpuProfile
}

/**
 * Self time by function between two moments, the dearest first, together `totalUs`: samples count
 * by their number, since the time between two of them may be a neighbour's on the core.
 */
function selfTimes(profile: CpuProfile, fromUs: number, toUs: number, totalUs: number): SelfTime[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const file = url.replace(/^file:\/\//, '').replace(ROOT, '')
      return [id, `${functionName || '(anonymous)'}  ${file}${file ? `:${lineNumber + 1}` : ''}`]
    }),
  )
  const counts = new Map<string, number>()
  let total = 0
  let at = profile.startTime
  profile.samples.forEach((node, index) => {
    at += profile.timeDeltas[index] ?? 0
    const where = names.get(node) ?? '?'
    if (at < fromUs || at > toUs || where.startsWith('(idle)')) return
    counts.set(where, (counts.get(where) ?? 0) + 1)
    total++
  })
  return [...counts]
    .map(([where, count]) => ({ where, us: (count / total) * totalUs }))
    .sort((a, b) => b.us - a.us)
}

/** The kernel's view: which libraries and kernel functions the worker spends its time in. */
async function perfText(
  { stage }: PeerGround,
  load: LoadClient,
  peer: Peer,
  cell: Cell,
  set: PhotoSet,
): Promise<string> {
  if (!existsSync('/usr/bin/perf')) return 'No perf here: the kernel is not broken down\n'
  const target = `perf-${runs}`
  const data = stage.file(`${target}.data`)
  const port = cell.isTls ? peer.httpsPort : peer.httpPort
  await load.open(target, { port, isTls: cell.isTls }, set, 64)
  const { pid } = await busiestOf(peer, () => load.runClosed(target, WARM_UP_MS / 4))
  const record = ['perf', 'record', '-q', '-e', 'cpu-clock', '-F', '1999', '-p', String(pid)]
  const perf = stage.start(target, [...record, '-o', data], { core: 'load' })
  await load.runClosed(target, MEASURED_MS)
  await load.close(target)
  perf.kill('SIGINT')
  await new Promise((resolve) => perf.once('exit', resolve))
  const report = (sort: string): string =>
    execFileSync('perf', ['report', '-i', data, '--stdio', '-q', '--no-children', '--sort', sort], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 64 << 20,
    })
  const top = (text: string, count: number): string =>
    text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(0, count)
      .map((line) => line.trimEnd().slice(0, 80))
      .join('\n')
  return `By program part:\n${top(report('dso'), 6)}\nBy symbol:\n${top(report('symbol'), 30)}\n`
}
