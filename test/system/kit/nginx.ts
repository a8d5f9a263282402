import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { until } from './wait.ts'

/** The line of a cache's log: `HIT 200 /u/1/2.jpg`; storage's has `-` for the first word. */
export interface LogLine {
  readonly cacheStatus: string
  readonly status: number
  readonly target: string
}

/** Where one listens, and what it does there. */
export interface NginxInit {
  readonly name: string
  readonly address?: string
  readonly port: number
  readonly folder: string
  readonly serverLines: string
  readonly httpLines?: string
  /** The words that take it to where it runs, by default here. */
  readonly where?: readonly string[]
}

export interface CacheInit {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly folder: string
  /** Where its `proxy_cache` lies, by default in its folder. */
  readonly photoFolder?: string
  readonly storageAddress?: string
  readonly storagePort: number
  /** The words that take it to where it runs, by default here. */
  readonly where?: readonly string[]
}

/** A real nginx, its folder its own: configuration, log, disk. */
export class Nginx {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly #folder: string
  readonly #where: readonly string[]
  #child: ChildProcess | undefined
  #logOffset = 0

  constructor(init: NginxInit) {
    const { name, address = '127.0.0.1', port, folder, where = [] } = init
    this.name = name
    this.address = address
    this.port = port
    this.#folder = folder
    this.#where = where
    for (const kind of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) {
      fs.mkdirSync(path.join(folder, 'temp', kind), { recursive: true })
    }
    fs.writeFileSync(path.join(folder, 'nginx.conf'), configuration(address, init))
  }

  /** Serves `photos` as files. */
  static storage(port: number, folder: string, photos: string, address = '127.0.0.1'): Nginx {
    const serverLines = `location / { root ${photos}; }`
    return new Nginx({ name: 'storage', address, port, folder, serverLines })
  }

  /** Keeps what it fetches under `proxy_cache` on its disk; serves large photos slowly. */
  static cache(init: CacheInit): Nginx {
    const { name, folder, photoFolder = path.join(folder, 'photos') } = init
    const { storageAddress = '127.0.0.1', storagePort } = init
    return new Nginx({
      ...init,
      serverLines: `location = /health { return 200 "healthy\\n"; }
       location / {
         proxy_pass http://storage;
         proxy_http_version 1.1;
         proxy_set_header Connection "";
         proxy_cache photos;
         proxy_cache_key $uri;
         proxy_cache_lock on;
         limit_rate_after 256k; limit_rate 300k;
         add_header X-Cache-Status $upstream_cache_status;
         add_header X-Cache-Name ${name};
       }`,
      httpLines: `proxy_cache_path ${photoFolder} levels=1:2 keys_zone=photos:10m inactive=60m max_size=1g use_temp_path=off;
       proxy_cache_valid 200 60m;
       upstream storage { server ${storageAddress}:${storagePort}; keepalive 8; }`,
    })
  }

  /** Resolves when it accepts; what is on its disk stays from the last time. */
  async start(): Promise<void> {
    const files = ['-p', this.#folder, '-c', path.join(this.#folder, 'nginx.conf')]
    const [program, ...args] = [...this.#where, 'nginx', ...files, '-e', 'stderr']
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    this.#child = child
    await until(`${this.name} on port ${this.port}`, 5000, async () => {
      if (child.exitCode !== null) throw new Error(said)
      return (await fetch(`http://${this.address}:${this.port}/health`)).status
    })
  }

  /** Nothing is on its disk any more; only while it does not run. */
  wipe(): void {
    fs.rmSync(path.join(this.#folder, 'photos'), { recursive: true, force: true })
  }

  /** The master and its workers; none when it does not run. */
  pids(): number[] {
    const master = this.#child?.pid
    return master === undefined ? [] : [master, ...childrenOf(master)]
  }

  /** SIGKILL to worker and master, as a power cut. */
  async kill(): Promise<void> {
    if (this.#child === undefined || this.#child.exitCode !== null) return
    const gone = once(this.#child, 'exit')
    this.signal('SIGKILL')
    await gone
    this.#child = undefined
  }

  signal(signal: NodeJS.Signals): void {
    // The master first: it would start another worker.
    for (const pid of this.pids()) process.kill(pid, signal)
  }

  /** What it has logged since the last call. */
  takeLog(): LogLine[] {
    const text = fs.readFileSync(path.join(this.#folder, 'access.log'), 'latin1')
    const lines = text.slice(this.#logOffset, text.lastIndexOf('\n') + 1)
    this.#logOffset += lines.length
    return lines
      .split('\n')
      .filter((line) => line.includes('/u/'))
      .map((line) => {
        const [cacheStatus = '', status = '', target = ''] = line.split(' ')
        return { cacheStatus, status: Number(status), target }
      })
  }
}

/** Process ids of the children of a process. */
export function childrenOf(pid: number): number[] {
  try {
    const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    return children.trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

function configuration(address: string, { port, serverLines, httpLines = '' }: NginxInit): string {
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `daemon off; ${user}
pid nginx.pid;
worker_processes 1;
error_log error.log warn;
events { worker_connections 2048; }
http {
  log_format counted '$upstream_cache_status $status $request_uri';
  access_log access.log counted;
  client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi;
  uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
  types { image/jpeg jpg; }
  sendfile on; tcp_nopush on;
  keepalive_timeout 75s; keepalive_requests 100000;
  ${httpLines}
  server { listen ${address}:${port} backlog=1024; ${serverLines} }
}
`
}
