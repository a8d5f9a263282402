import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { freePorts } from '../stage.ts'
import type { Peer, PeerGround } from './peer.ts'

/** Where a copy of photoedge is, and how to run it. */
export interface PhotoedgeOptions {
  readonly name: string
  /** Folder that holds bin/photoedge.ts. */
  readonly root: string
  /** Flags for Node, `--cpu-prof` for one; its workers inherit them. */
  readonly nodeFlags?: readonly string[]
}

/** Our router with checks, metrics and access log, one worker. */
export async function startPhotoedge(
  { stage, cachePorts, certificate }: PeerGround,
  { name, root, nodeFlags = [] }: PhotoedgeOptions,
): Promise<Peer> {
  const [httpPort = 0, httpsPort = 0, metricsPort = 0] = await freePorts(3)
  const folder = stage.file(name)
  mkdirSync(folder, { recursive: true })
  copyFileSync(certificate.certificate, path.join(folder, 'cdn.pem'))
  copyFileSync(certificate.key, path.join(folder, 'cdn.key'))
  const servers = cachePorts.map((port, index) => `c${index}: "127.0.0.1:${port}"`).join(', ')
  const config = `edge: bench
boxes:
  router-1: { address: 127.0.0.1 }
pools:
  caches:
    check: caches
    servers: { ${servers} }
router:
  boxes: [router-1]
  workers: 1
  listen:
    - { address: 127.0.0.1:${httpPort} }
    - { address: 127.0.0.1:${httpsPort}, tls: [{ certificate: cdn.pem, key: cdn.key }] }
  accessLog: { file: ./access.log, format: json }
  groups:
    photos: { user: "/u/{user}/{photo}", pool: caches, fallback: spread }
  routes:
    - { path: /u/*, group: photos }
checks:
  caches: { type: tcp, interval: 1s, timeout: 500ms, fall: 3, rise: 1 }
admin:
  socket: ./admin.sock
  http: 127.0.0.1:${metricsPort}
`
  const configFile = path.join(folder, 'router.yaml')
  writeFileSync(configFile, config)
  const program = path.join(root, 'bin', 'photoedge.ts')
  const command = [process.execPath, ...nodeFlags, program, 'router', '-c', configFile]
  const child = stage.start(name, [...command, '--box', 'router-1'], { core: 'proxy' })
  const text = readFileSync(path.join(root, 'package.json'), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  const metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`
  const logFile = path.join(folder, 'access.log')
  return { name, version, child, httpPort, httpsPort, metricsUrl, logFile }
}
