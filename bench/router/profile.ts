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
 * Runs a router of its own under V8's profiler and, where `perf` is installed, under the
 * kernel's; the text names where the worker's time goes in one saturated cell.
 */
export async function profileCell(
  cell: Cell,
  set: PhotoSet,
  ground: PeerGround,
  load: LoadClient,
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
  const tree = processTree(peer.child.pid ?? -1)
  const before = tree.map((pid) => cpuTimeNs([pid]))
  const fromUs = Number(process.hrtime.bigint() / 1000n)
  const { photos } = await load.runClosed(name, MEASURED_MS)
  const toUs = Number(process.hrtime.bigint() / 1000n)
  const spent = tree.map((pid, index) => ({ pid, ns: cpuTimeNs([pid]) - (before[index] ?? 0) }))
  const worker = spent.reduce((most, one) => (one.ns > most.ns ? one : most))
  const kernelText = await perfText(ground, load, name, worker.pid)
  await load.close(name)
  await stage.stop(peer.child)

  const lines = [
    `${cellTitle(cell)}: the worker's CPU time per photo by function (${photos} photos)`,
  ]
  const profile = profileOf(folder, worker.pid)
  if (profile === undefined) lines.push('The worker wrote no profile: it did not end by itself')
  else {
    const times = selfTimes(profile, fromUs, toUs)
    for (const { where, us } of times.slice(0, SHOWN)) {
      lines.push(`${(us / photos).toFixed(2).padStart(8)} µs  ${where}`)
    }
  }
  return `${lines.join('\n')}\n${kernelText}`
}

function profileOf(folder: string, pid: number): CpuProfile | undefined {
  if (!existsSync(folder)) return undefined
  // CPU.<date>.<time>.<pid>.<thread>.<sequence>.cpuprofile
  const file = readdirSync(folder).find((one) => one.split('.')[3] === String(pid))
  if (file === undefined) return undefined
  return JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as CpuProfile
}

/** Self time by function between two moments, the dearest first; idle time is left out. */
function selfTimes(profile: CpuProfile, fromUs: number, toUs: number): SelfTime[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const file = url.replace(/^file:\/\//, '').replace(ROOT, '')
      return [id, `${functionName || '(anonymous)'}  ${file}${file ? `:${lineNumber + 1}` : ''}`]
    }),
  )
  const sums = new Map<string, number>()
  let at = profile.startTime
  profile.samples.forEach((node, index) => {
    const delta = profile.timeDeltas[index] ?? 0
    at += delta
    const where = names.get(node) ?? '?'
    if (at < fromUs || at > toUs || where.startsWith('(idle)')) return
    sums.set(where, (sums.get(where) ?? 0) + delta)
  })
  return [...sums].map(([where, us]) => ({ where, us })).sort((a, b) => b.us - a.us)
}

/** The kernel's view: which libraries and kernel functions the worker spends its time in. */
async function perfText(
  { stage }: PeerGround,
  load: LoadClient,
  target: string,
  pid: number,
): Promise<string> {
  if (!existsSync('/usr/bin/perf')) return 'No perf here: the kernel is not broken down\n'
  const data = stage.file(`${target}.perf`)
  const record = ['perf', 'record', '-q', '-e', 'cpu-clock', '-F', '1999', '-p', String(pid)]
  const perf = stage.start(`${target}-perf`, [...record, '-o', data], { core: 'load' })
  await load.runClosed(target, MEASURED_MS)
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
