import http from 'node:http'
import { cpus } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCaches } from './caches.ts'
import { createCertificate } from './certificate.ts'
import { LoadClient } from './load/load-client.ts'
import type { CellResult } from './cell-result.ts'
import { measureCell, PhotoTally, type CellGround } from './measure-cell.ts'
import { measureIdle, type IdleResult } from './measure-idle.ts'
import { HELP, parseOptions, type BenchOptions, type PeerName } from './options.ts'
import { startHaproxy } from './peers/haproxy.ts'
import { startNginx } from './peers/nginx.ts'
import type { Peer, PeerGround } from './peers/peer.ts'
import { startPhotoedge } from './peers/photoedge.ts'
import { startReplyFrom } from './peers/reply-from.ts'
import { createPhotos, photoPath, type PhotoLibrary } from './photos.ts'
import { profileCell } from './profile.ts'
import { Stage } from './stage.ts'
import { cellTable, idleBoundKb, idleTable, verdictsOf, verdictTable } from './tables.ts'
import { Witness } from './witness.ts'

export const OURS = 'photoedge'
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const READY_MS = 20_000

const STARTERS: Readonly<Record<PeerName, (ground: PeerGround) => Promise<Peer>>> = {
  nginx: startNginx,
  haproxy: startHaproxy,
  'reply-from': startReplyFrom,
}

/** Runs what the command line asks for; 0 when all that was measured keeps its bound. */
export async function runBench(args: readonly string[]): Promise<number> {
  let options: BenchOptions | 'help'
  try {
    options = parseOptions(args)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
    return 2
  }
  if (options === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  const stage = new Stage(options.cores)
  const onSignal = (): void => {
    progress('')
    void stage.close().then(() => process.exit(130))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // Whoever read our output has gone (`| head`): nobody waits for the rest.
  process.stdout.on('error', onSignal)
  process.once('exit', () => {
    stage.abandon()
  })
  try {
    return await measure(stage, options)
  } catch (error) {
    if (stage.isClosing) return 130
    progress('')
    process.stderr.write(`${describe(error)}\n`)
    return 1
  } finally {
    await stage.close()
  }
}

async function measure(stage: Stage, options: BenchOptions): Promise<number> {
  const startedAt = performance.now()
  progress('writes the photos')
  const sizes = new Set(options.cells.map(({ sizeKb }) => sizeKb))
  if (options.idleConnections > 0) sizes.add(options.idlePhotoKb)
  const library = createPhotos(stage.folder, [...sizes])
  const certificate = createCertificate(stage.folder)
  const caches = await startCaches(stage, library.root)
  const ground: PeerGround = { stage, cachePorts: caches.ports, certificate }
  const load = new LoadClient(stage, library)
  const tally = new PhotoTally(caches)
  const starters = peerStarters(options)

  const peers: Peer[] = []
  if (options.cells.length > 0) {
    for (const start of starters) peers.push(await startAndWait(start, ground, library))
  }
  const witnesses = [new Witness(stage, 'proxy'), new Witness(stage, 'load')]
  const cellGround: CellGround = { caches, load, peers, witnesses, options, progress }
  const print = (text: string): void => {
    progress('')
    if (!options.isJson && text !== '') process.stdout.write(`${text}\n`)
  }
  print(introduction(peers, stage, options))

  const results: CellResult[] = []
  for (const [index, cell] of options.cells.entries()) {
    const left = startedAt + options.budgetMs - performance.now()
    const time = {
      warmUpMs: index === 0 ? options.firstWarmUpMs : options.warmUpMs,
      budgetMs: left / (options.cells.length - index),
    }
    const set = setOf(library, cell.sizeKb)
    await settle(tally)
    const result = await measureCell(cell, set, tally, cellGround, time)
    results.push(result)
    print(cellTable(result, OURS))
    const ours = peers.find(({ name }) => name === OURS)
    if (options.isProfiling && ours !== undefined) {
      print(
        await profileCell(cell, set, ground, load, ours, (peer) =>
          untilReady(peer, stage, library),
        ),
      )
    }
  }
  for (const peer of peers) await stage.stop(peer.child)

  const idle: IdleResult[] = []
  if (options.idleConnections > 0) {
    const set = setOf(library, options.idlePhotoKb)
    for (const isTls of [false, true]) {
      for (const start of starters) {
        const peer = await startAndWait(start, ground, library)
        await settle(tally)
        idle.push(await measureIdle(peer, isTls, set, tally, cellGround))
        await stage.stop(peer.child)
      }
    }
  }

  const verdicts = results.flatMap((result) => verdictsOf(result, OURS))
  print(idleTable(idle, OURS))
  print(verdictTable(verdicts))
  const counted = [...results.flatMap((result) => result.peers), ...idle]
  const photos = counted.reduce((sum, { photos: count }) => sum + count, 0)
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  print(
    `${photos.toLocaleString('en-US')} photos compared byte by byte, each counted by its cache; ${seconds} s`,
  )
  if (options.isJson) {
    const versions = Object.fromEntries(peers.map(({ name, version }) => [name, version]))
    process.stdout.write(
      `${JSON.stringify({ versions, cells: results, idle, verdicts }, null, 2)}\n`,
    )
  }
  const isIdleKept = idle.every(
    ({ peer, isTls, bytesPerConnection }) =>
      peer !== OURS || bytesPerConnection <= idleBoundKb(isTls) * 1024,
  )
  return isIdleKept && verdicts.every(({ isKept }) => isKept) ? 0 : 1
}

type Starter = (ground: PeerGround) => Promise<Peer>

function peerStarters(options: BenchOptions): Starter[] {
  const starters: Starter[] = []
  if (options.isOursIn)
    starters.push((ground) => startPhotoedge(ground, { name: OURS, root: ROOT }))
  const { before } = options
  if (before !== undefined) {
    const root = path.resolve(before)
    starters.push((ground) => startPhotoedge(ground, { name: 'before', root }))
  }
  for (const name of options.peers) starters.push(STARTERS[name])
  return starters
}

async function startAndWait(
  start: Starter,
  ground: PeerGround,
  library: PhotoLibrary,
): Promise<Peer> {
  const peer = await start(ground)
  progress(`${peer.name} starts`)
  await untilReady(peer, ground.stage, library)
  return peer
}

/** Waits for the first photo; where none comes, says what the proxy said. */
async function untilReady(peer: Peer, stage: Stage, library: PhotoLibrary): Promise<void> {
  const [set] = library.sets.values()
  const target = photoPath(set?.sizeBytes ?? 0, 0)
  const deadline = performance.now() + READY_MS
  while (peer.child.exitCode === null && performance.now() < deadline) {
    if ((await statusOf(peer.httpPort, target)) === 200) return
    await sleep(50)
  }
  const state = peer.child.exitCode === null ? 'does not serve' : 'ended'
  const said = stage.messagesOf(peer.name.toLowerCase())
  throw new Error(`${peer.name} ${state}; it said:\n${said}`)
}

function statusOf(port: number, target: string): Promise<number> {
  return new Promise((resolve) => {
    const request = http.get(
      { host: '127.0.0.1', port, path: target, agent: false },
      (response) => {
        response.resume()
        response.once('close', () => {
          resolve(response.statusCode ?? 0)
        })
      },
    )
    request.once('error', () => {
      resolve(0)
    })
  })
}

/** Lets the caches write down the photos of the start, which nobody counted. */
async function settle(tally: PhotoTally): Promise<void> {
  await sleep(200)
  tally.rebase()
}

function setOf(library: PhotoLibrary, sizeKb: number): { sizeBytes: number; users: number } {
  const set = library.sets.get(sizeKb * 1024)
  if (set === undefined) throw new Error(`There are no photos of ${sizeKb} KB`)
  return set
}

function introduction(peers: readonly Peer[], stage: Stage, options: BenchOptions): string {
  if (peers.length === 0) return ''
  const names = peers.map(({ name, version }) => `${name} ${version}`).join(', ')
  const where = stage.isPinned
    ? `proxy on core ${options.cores.proxy}, caches and client on core ${options.cores.load}`
    : 'no core of its own for the proxy'
  const { connections, pairs, sliceMs } = options
  return `${names}
${cpus()[0]?.model ?? 'unknown CPU'}, ${where}
${connections} keep-alive connections, ${pairs} slices of ${sliceMs / 1000} s each, in turn
`
}

function progress(text: string): void {
  if (!process.stderr.isTTY && text === '') return
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `: ${describe(error.cause)}`
  return `${error.message}${cause}`
}
