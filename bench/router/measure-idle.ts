import { setTimeout as sleep } from 'node:timers/promises'
import type { CellGround, PhotoTally } from './measure-cell.ts'
import type { PhotoSet } from './photos.ts'
import type { Peer } from './peers/peer.ts'
import { processTree, residentBytes } from './process-tree.ts'

const IDLE_MS = 5000
const WARM_UP_MS = 1500

export interface IdleResult {
  readonly peer: string
  readonly isTls: boolean
  readonly connections: number
  /** Growth of the whole process tree's resident memory, per connection. */
  readonly bytesPerConnection: number
  /** The same with what the process took to get warm: 1.5 s of load before the connections. */
  readonly bytesSinceStart: number
  readonly photos: number
}

/**
 * Memory of idle client connections: one photo each, then 5 s of silence. `peer` must be fresh,
 * since memory that an earlier cell left free would hide what the connections take.
 */
export async function measureIdle(
  peer: Peer,
  isTls: boolean,
  set: PhotoSet,
  tally: PhotoTally,
  { load, options, progress }: CellGround,
): Promise<IdleResult> {
  const connections = options.idleConnections
  progress(`idle connections: ${peer.name}, ${isTls ? 'HTTPS' : 'HTTP'}`)
  const port = isTls ? peer.httpsPort : peer.httpPort
  const cold = residentBytes(processTree(peer.child.pid ?? -1))
  await load.open(peer.name, { port, isTls }, set, options.connections)
  const warm = await load.runClosed(peer.name, WARM_UP_MS)
  await tally.add(peer.name, warm.photos)
  await sleep(1000)
  const before = residentBytes(processTree(peer.child.pid ?? -1))
  const report = await load.addWithOnePhoto(peer.name, connections)
  await sleep(IDLE_MS)
  const after = residentBytes(processTree(peer.child.pid ?? -1))
  await tally.add(peer.name, report.photos)
  await load.close(peer.name)
  return {
    peer: peer.name,
    isTls,
    connections,
    bytesPerConnection: (after - before) / connections,
    bytesSinceStart: (after - cold) / connections,
    photos: warm.photos + report.photos,
  }
}
