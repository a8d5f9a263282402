import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import type { Config } from '../../common/config/config.ts'
import { parseConfig } from '../../common/config/parse-config.ts'
import type { EdgeEvent } from '../../common/model/edge-event.ts'
import type { Verdict } from '../../common/model/health.ts'
import { Counters } from '../../router/core/counters.ts'
import type { Returning } from '../../router/core/returns.ts'
import { buildSlotTable, tableKey } from '../../router/core/slot-table.ts'
import { loadCertificate } from '../../router/io/tls/certificates.ts'
import { createPhotoServer } from '../../router/io/photo-server.ts'
import type { PhotoServer } from '../../router/io/photo-serving.ts'
import { Worker } from '../../router/io/worker.ts'

/** Built once: a table follows from the servers' names and weights alone. */
const TABLES = new Map<string, Uint16Array>()

/** What an origin does with one connection. */
export type OriginScript = (socket: Socket, requestHead: string) => void

/** A cache that answers as its script says; requests are counted by their heads. */
export interface Origin {
  readonly port: number
  readonly heads: string[]
  connectionCount: number
  readonly openCount: number
  script: OriginScript
  close(): Promise<void>
}

export async function startOrigin(script: OriginScript): Promise<Origin> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    origin.connectionCount++
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end + 4)
        text = text.slice(end + 4)
        origin.heads.push(head)
        origin.script(socket, head)
        if (!/^(GET|HEAD) /.test(head)) text = ''
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin: Origin = {
    port: (server.address() as AddressInfo).port,
    heads: [],
    connectionCount: 0,
    get openCount() {
      return sockets.size
    },
    script,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        for (const socket of sockets) socket.destroy()
      }),
  }
  return origin
}

export interface Edge {
  readonly port: number
  readonly photos: PhotoServer
  readonly counters: Counters
  readonly events: EdgeEvent[]
  readonly suspects: string[]
  readonly logFile: string
  /** `returning`: milliseconds since each cache's return, by `caches/NAME`. */
  setVerdict(server: string, change?: Partial<Verdict>, returning?: Returning): void
  /** A reload with other keys. */
  reconfigure(change: Partial<EdgeOptions>): void
  /** The same by way of the worker; the listening socket stays, and is its old listener's. */
  reload(change: Partial<EdgeOptions>): Promise<void>
  /** The listening socket is taken away. */
  unlisten(): Promise<void>
  close(): Promise<void>
}

export interface EdgeOptions {
  readonly ports: readonly number[]
  readonly folder: string
  readonly isPlain: boolean
  /** YAML of further keys of the group, as a flow mapping's inside. */
  readonly group?: string
  readonly pool?: string
  /** YAML of further keys of the listener. */
  readonly listener?: string
  /** The listener's name: where this edge listens in truth is its `port`. */
  readonly address?: string
  readonly workers?: number
  readonly routes?: string
  readonly check?: string
}

/** A worker in this process, its caches all up. */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const config = configOf(options)
  const pool = config.pools['caches']!
  const key = tableKey(pool.servers)
  const table = TABLES.get(key) ?? buildSlotTable(pool.servers)
  TABLES.set(key, table)

  const counters = new Counters()
  const events: EdgeEvent[] = []
  const suspects: string[] = []
  let made: PhotoServer | undefined
  const worker = new Worker({
    counters,
    createPhotoServer: (hooks) =>
      (made = createPhotoServer({ ...hooks, isPlain: options.isPlain })),
    loadSlotTable: () => Promise.resolve(table),
    loadShardTable: () => Promise.reject(new Error('no group here has a shard table')),
    send: (message) => {
      if (message.type === 'event') events.push(message.event)
      else if (message.type === 'suspect') suspects.push(`${message.pool}/${message.server}`)
    },
    onEnd: () => undefined,
  })
  if (made === undefined) throw new Error('the worker made no photo server')
  const photos = made
  const notes = [{ kind: 'slots', key, file: key, digest: key } as const]
  const configure = async (config: Config, generation: number): Promise<void> => {
    for (const { name, tls } of config.router?.listeners ?? [])
      await worker.receive({
        type: 'certificates',
        listener: name,
        pairs: await Promise.all(tls.map(async (files) => (await loadCertificate(files, 0)).pair)),
      })
    const message = { type: 'configure', box: 'router-1', tables: notes } as const
    await worker.receive({ ...message, generation, config })
  }
  await configure(config, 1)
  const setVerdict: Edge['setVerdict'] = (server, change = {}, returning = {}) => {
    photos.setVerdicts([{ ...UP, server, ...change }], returning)
  }
  for (const { name } of pool.servers) setVerdict(name)
  // Somebody else's listening socket, as a worker always has it.
  const socket = createServer().listen(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address() as AddressInfo
  await worker.receive({ type: 'listen', socket: LISTENER, listener: LISTENER }, socket)
  return {
    port,
    photos,
    counters,
    events,
    suspects,
    logFile: join(options.folder, 'access.log'),
    setVerdict,
    reconfigure: (change) => {
      const tables = { slots: new Map([[key, table]]), shards: new Map() }
      photos.configure(configOf({ ...options, ...change }), 'router-1', 2, tables)
    },
    reload: (change) => configure(configOf({ ...options, ...change }), 2),
    unlisten: () => worker.receive({ type: 'unlisten', socket: LISTENER }),
    close: () => worker.stop(50, 0),
  }
}

/** The listener, unless `EdgeOptions.address` names it otherwise. */
export const LISTENER = '127.0.0.1:9300'

/** What an edge with these options is configured with. */
export function configOf(options: EdgeOptions): Config {
  const servers = options.ports.map((port, i) => `c${i}: "127.0.0.1:${port}"`).join(', ')
  const text = `edge: test
boxes: { router-1: { address: 127.0.0.1 } }
pools: { caches: { check: caches, servers: { ${servers} }, ${options.pool ?? ''} } }
router:
  boxes: [router-1]
  workers: ${options.workers ?? 1}
  listen: [{ address: ${options.address ?? LISTENER}, ${options.listener ?? ''} }]
  accessLog: { file: ./access.log, format: json }
  groups: { photos: { user: "/u/{user}/{photo}", pool: caches, ${options.group ?? ''} } }
  routes: ${options.routes ?? '[{ path: /u/*, group: photos }]'}
checks: { caches: { ${options.check ?? 'type: tcp'} } }
admin: { socket: /run/unused.sock }
`
  const parsed = parseConfig(text, { file: 'router.yaml', folder: options.folder })
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems, null, 2))
  return parsed.config
}

const UP: Verdict = {
  pool: 'caches',
  server: '',
  state: 'up',
  factor: 1,
  reason: 'connected',
  sinceMs: 0,
  clearsSuspicion: false,
  held: 'no',
  outageCount: 0,
  returned: 'no',
  boot: undefined,
  cache: undefined,
}

/** What a client got until the router closed, or until `isEnough`. */
export interface Exchanged {
  readonly text: string
  /** `end`, `close` without FIN before, an errno name, or `enough`. */
  readonly how: string
}

/** Sends bytes on a connection of its own and reads the answer. */
export function ask(
  port: number,
  request: string,
  isEnough: (text: string) => boolean = () => false,
): Promise<Exchanged> {
  return new Promise((resolve) => {
    let text = ''
    let how = 'close'
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    const done = (): void => {
      socket.destroy()
      resolve({ text, how })
    }
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      if (isEnough(text)) {
        how = 'enough'
        done()
      }
    })
    socket.on('end', () => {
      how = 'end'
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      how = error.code ?? 'error'
    })
    socket.on('close', done)
    socket.write(request, 'latin1')
  })
}

/** A request head; `close` unless told otherwise. */
export function get(path: string, ...fields: readonly string[]): string {
  const lines = fields.length === 0 ? ['Connection: close'] : fields
  return `GET ${path} HTTP/1.1\r\nHost: photos.example\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
}

/** The body of an answer's text. */
export const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)

/** Bytes that no two places of which look alike. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let x = 1
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    bytes[i] = x >>> 16
  }
  return bytes
}

/** An answer framed by its length. */
export const whole = (body: Buffer | string, ...fields: readonly string[]): Buffer =>
  Buffer.concat([
    Buffer.from(
      `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${fields.map((line) => `${line}\r\n`).join('')}\r\n`,
    ),
    Buffer.from(body),
  ])
