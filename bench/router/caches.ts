import { statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { nginxCommand, nginxGround, nginxTemporaries } from './nginx-common.ts'
import { freePorts, type Stage } from './stage.ts'

export const CACHE_COUNT = 4
/** Answered by each cache and not counted: for checks. */
export const CACHE_HEALTH_PATH = '/health'
const FLUSH_MS = 20
const COUNT_DEADLINE_MS = 2000

/** Four static caches, each with a port and a count of photos of its own. */
export interface Caches {
  readonly ports: readonly number[]
  /** How many photos each cache has given so far. */
  counts(): number[]
  /** Waits until the caches' counts together are `total`; throws where they are not. */
  expectTotal(total: number): Promise<void>
}

/** One nginx, four servers; a cache's log has one line of one letter per photo: its count. */
export async function startCaches(stage: Stage, root: string): Promise<Caches> {
  const ports = await freePorts(CACHE_COUNT)
  const logs = ports.map((_, index) => stage.file(`cache-${index}.log`))
  const servers = ports.map(
    (port, index) => `  server {
    listen 127.0.0.1:${port} backlog=4096;
    access_log ${logs[index] ?? ''} tally buffer=64k flush=${FLUSH_MS}ms;
    location /u/ { }
    location ~ "/(1|16)k\\.jpg$" { sendfile off; }
    location = ${CACHE_HEALTH_PATH} { access_log off; return 200 "ok\\n"; }
  }
`,
  )
  const config = `${nginxGround(stage, 'caches')}pcre_jit on;
http {
  ${nginxTemporaries(stage)}
  log_format tally 'x';
  root ${root};
  types { image/jpeg jpg; }
  sendfile on;
  tcp_nopush on;
  output_buffers 1 32k;
  open_file_cache max=20000 inactive=1h;
  open_file_cache_valid 1h;
  keepalive_timeout 1h;
  keepalive_requests 100000000;
  add_header Cache-Control "public, max-age=31536000";
${servers.join('')}}
`
  const configFile = stage.file('caches.conf')
  writeFileSync(configFile, config)
  stage.start('caches', nginxCommand(stage, configFile), { core: 'load' })

  const counts = (): number[] =>
    logs.map((log) => (statSync(log, { throwIfNoEntry: false })?.size ?? 0) / 2)
  const sum = (): number => counts().reduce((total, count) => total + count, 0)
  return {
    ports,
    counts,
    async expectTotal(total) {
      const deadline = performance.now() + COUNT_DEADLINE_MS
      while (sum() < total && performance.now() < deadline) await sleep(FLUSH_MS)
      // A photo too many would come with the next flush.
      if (sum() === total) await sleep(2 * FLUSH_MS)
      if (sum() === total) return
      throw new Error(
        `The caches gave ${sum()} photos (${counts().join(' + ')}), the client got ${total}`,
      )
    },
  }
}
