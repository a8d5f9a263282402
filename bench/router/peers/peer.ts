import type { ChildProcess } from 'node:child_process'
import type { CertificateFiles } from '../certificate.ts'
import type { Stage } from '../stage.ts'

/** What every proxy under test is given. */
export interface PeerGround {
  readonly stage: Stage
  readonly cachePorts: readonly number[]
  readonly certificate: CertificateFiles
}

/** A proxy under test, running and serving. */
export interface Peer {
  /** Column heading, 11 characters at most. */
  readonly name: string
  readonly version: string
  readonly child: ChildProcess
  readonly httpPort: number
  readonly httpsPort: number
  /** Scraped now and then, as an operator's Prometheus would. */
  readonly metricsUrl: string | undefined
  /** The access log that it appends to; it must grow by a line a photo. */
  readonly logFile: string
}
