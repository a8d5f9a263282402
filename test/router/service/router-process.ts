import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const PROGRAM = new URL('../../../bin/photoedge.ts', import.meta.url).pathname
export const PHOTO_BYTES = 200_000

/** One line of the service's log. */
export interface LogLine {
  readonly msg: string
  readonly event?: string
  readonly reason?: string
  readonly generation?: number
}

export interface RouterProcessInit {
  readonly openFiles?: number
  readonly environment?: NodeJS.ProcessEnv
  readonly node?: string
}

/** A router as a process of its own, started the way an operator does. */
export class RouterProcess {
  readonly child: ChildProcess
  readonly #lines: LogLine[] = []
  #errors = ''
  #rest = ''
  #look: (() => void)[] = []

  /** `openFiles`: how many it may have open at a time, its workers too. */
  constructor(configFile: string, init: RouterProcessInit = {}) {
    const { openFiles, environment, node = process.execPath } = init
    const limit = openFiles === undefined ? '' : `ulimit -n ${openFiles} && `
    const args = [node, PROGRAM, 'router', '-c', configFile, '--box', 'r1']
    this.child = spawn('sh', ['-c', `${limit}exec "$0" "$@"`, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    })
    this.child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (this.#rest + String(chunk)).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.#lines.push(JSON.parse(line) as LogLine)
      this.#wake()
    })
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.#errors += String(chunk)
    })
    this.child.on('exit', () => {
      this.#wake()
    })
  }

  get errors(): string {
    return this.#errors
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get lineCount(): number {
    return this.#lines.length
  }

  /** Since its first statement it is not ended by a SIGHUP; everything else is yet to be loaded. */
  async hearsHangUp(): Promise<void> {
    const caught = /^SigCgt:\s*[0-9a-f]*[13579bdf]$/m
    while (!caught.test(readFileSync(`/proc/${this.pid}/status`, 'latin1'))) await delay(2)
  }

  /** The first line from `from` on with this message, now or later. */
  said(msg: string, from = 0): Promise<LogLine> {
    return this.until((line) => line.msg === msg, from, msg)
  }

  /** The first line from `from` on that is the wanted one, now or later. */
  async until(isIt: (line: LogLine) => boolean, from = 0, what = 'it'): Promise<LogLine> {
    for (;;) {
      const found = this.#lines.slice(from).find(isIt)
      if (found !== undefined) return found
      if (this.child.exitCode !== null)
        throw new Error(`it ended and never said "${what}": ${this.#errors}`)
      await new Promise<void>((resolve) => this.#look.push(resolve))
    }
  }

  async ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null)
      await once(this.child, 'exit')
    return this.child.exitCode
  }

  /** Pids of the workers that live. */
  workers(): number[] {
    const task = `/proc/${this.pid}/task/${this.pid}/children`
    const children = readFileSync(task, 'utf8').trim().split(' ').filter(Boolean).map(Number)
    // Another one keeps the state folder.
    return children.filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('worker-entry'),
    )
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }

  #wake(): void {
    for (const look of this.#look.splice(0)) look()
  }
}

export async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A cache that answers every path with the same photo; under `/u/slow/` it stops half-way. */
export async function startCache(): Promise<{
  readonly port: number
  readonly server: Server
  readonly goOn: () => void
}> {
  const waiting: (() => void)[] = []
  const server = createServer((request, response) => {
    const photo = Buffer.alloc(PHOTO_BYTES, 'x')
    response.setHeader('Content-Length', PHOTO_BYTES)
    if (request.url?.startsWith('/u/slow/') !== true) {
      response.end(photo)
      return
    }
    response.write(photo.subarray(0, 1000))
    waiting.push(() => response.end(photo.subarray(1000)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const goOn = (): void => {
    for (const answer of waiting.splice(0)) answer()
  }
  return { port: (server.address() as AddressInfo).port, server, goOn }
}

export interface ConfigInit {
  readonly cachePort: number
  readonly ports: readonly number[]
  readonly tlsPort?: number
  readonly workers?: number
  readonly drainDeadline?: string
  /** More caches than the one of `cachePort`: their names, ports and weights. */
  readonly others?: readonly string[]
  readonly maxMoved?: string
  /** A shard table's file, beside the configuration. */
  readonly shards?: string
  readonly maxConnections?: number
}

export function writeConfig(folder: string, init: ConfigInit): string {
  const file = join(folder, 'router.yaml')
  const { cachePort, ports, tlsPort, workers = 1, drainDeadline = '10s' } = init
  const servers = [`c1: "127.0.0.1:${cachePort}"`, ...(init.others ?? [])]
  const shards = init.shards === undefined ? '' : `, shards: { table: ${init.shards} }`
  const most = init.maxConnections ?? 'off'
  const listen = ports.map(
    (port) => `    - { address: 127.0.0.1:${port}, maxConnections: ${most} }`,
  )
  if (tlsPort !== undefined)
    listen.push(
      `    - { address: 127.0.0.1:${tlsPort}, tls: [{ certificate: a.pem, key: a.key }, { certificate: b.pem, key: b.key }] }`,
    )
  writeFileSync(
    file,
    `edge: test
boxes: { r1: { address: 127.0.0.1 } }
pools: { caches: { servers: { ${servers.join(', ')} }, check: tcp } }
checks: { tcp: { type: tcp, interval: 500ms, timeout: 400ms } }
router:
  boxes: [r1]
  workers: ${workers}
  drainDeadline: ${drainDeadline}
  maxMoved: ${init.maxMoved ?? 'off'}
  accessLog: { format: "off" }
  listen:
${listen.join('\n')}
  groups: { photos: { user: "/u/{user}/{photo}", pool: caches${shards} } }
  routes: [{ path: "/u/*", group: photos }]
admin: { socket: ./r.sock, http: off }
`,
  )
  return file
}

/** A self-signed pair `NAME.pem` and `NAME.key`. */
export function makeCertificate(folder: string, name: string, dnsName: string): void {
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.pem`)],
      ...['-days', '30', '-subj', `/CN=${dnsName}`, '-addext', `subjectAltName=DNS:${dnsName}`],
    ],
    { stdio: 'ignore' },
  )
}

/** How a request on a connection of its own ended. */
export type Fetched =
  | { readonly type: 'whole'; readonly head: string; readonly bodyBytes: number }
  | { readonly type: 'broken'; readonly code: string; readonly bytes: number }

/** Sends one request and reads to the connection's end. */
export function fetchOnce(port: number, path: string): Promise<Fetched> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    let code = ''
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? error.message
    })
    socket.on('close', () => {
      const bytes = Buffer.concat(chunks)
      const end = bytes.indexOf('\r\n\r\n')
      const head = bytes.toString('latin1', 0, Math.max(0, end))
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? NaN)
      const bodyBytes = bytes.length - end - 4
      resolve(
        code === '' && bodyBytes === length
          ? { type: 'whole', head, bodyBytes }
          : { type: 'broken', code, bytes: bytes.length },
      )
    })
  })
}
