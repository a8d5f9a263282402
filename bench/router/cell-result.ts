import type { Cell } from './cells.ts'
import type { Peer } from './peers/peer.ts'

/** What one proxy did in one cell; lists have one value per slice, in the order measured. */
export interface PeerResult {
  readonly peer: string
  readonly cpuUsPerPhoto: number[]
  readonly photosPerSecond: number[]
  /** Share of the proxy's core that it used while saturated. */
  readonly busyShare: number[]
  /** At saturation, where a queue stands before every proxy. */
  readonly saturatedP50Ms: number[]
  /** At half of nginx's saturated rate. */
  readonly p50Ms: number[]
  readonly p99Ms: number[]
  photos: number
  /** Why there are no latencies, if there are none. */
  latencyNote?: string
}

export interface CellResult {
  readonly cell: Cell
  readonly peers: PeerResult[]
  /** Arrivals per second while latencies were measured. */
  latencyRate: number | undefined
  /** Whether no ordinary thread of the machine could stop a program meanwhile. */
  isRealtime: boolean
  /** Slices for p99 that were not counted, as the host had stopped a core meanwhile. */
  disturbedSlices: number
}

/** A proxy, and what it did. */
export interface Entry {
  readonly peer: Peer
  readonly result: PeerResult
}
