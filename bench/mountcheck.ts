/**
 * What a request to the mount check costs: `npm run bench:mountcheck`. A real `photoedge mountcheck`
 * beside an nginx that returns as many bytes, both asked 1,000 times a second over kept connections;
 * prints CPU time a request of each and the median of the ratios of neighbouring slices. What the
 * looks themselves cost is measured without requests, and taken off.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { median, medianRatio } from './router/median.ts'
import { nginxCommand, nginxGround, nginxTemporaries, versionOf } from './router/nginx-common.ts'
import { cpuTimeNs, processTree } from './router/process-tree.ts'
import { Stage, freePorts } from './router/stage.ts'

const PER_SECOND = 1000
const CONNECTIONS = 16
const SLICE_MS = 3000
const PAIRS = 7
/** A mount that everybody may write to. */
const MOUNT = '/dev/shm'
const PROGRAM = fileURLToPath(new URL('../bin/photoedge.ts', import.meta.url))

interface Asked {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly cpuUs: number[]
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS, scheduling: 'fifo' })

/** The whole answer to one GET; anything but 200 ends the run. */
function fetchBody(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body)
        else reject(new Error(`${url} answers ${String(response.statusCode)}: ${body}`))
      })
    })
    request.on('error', reject)
  })
}

async function answering(url: string): Promise<string> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await fetchBody(url)
    } catch (error) {
      if (tries > 100) throw error
      await delay(100)
    }
  }
}

/** Requests at an even rate for so long; how many. */
async function ask(url: string, durationMs: number): Promise<number> {
  const startedAt = performance.now()
  const under: Promise<string>[] = []
  for (;;) {
    const elapsedMs = performance.now() - startedAt
    if (elapsedMs >= durationMs) break
    while (under.length < (elapsedMs * PER_SECOND) / 1000) under.push(fetchBody(url))
    await delay(1)
  }
  await Promise.all(under)
  return under.length
}

const cpuUs = (pid: number): number => cpuTimeNs(processTree(pid)) / 1000

async function slice(one: Asked, idleUsPerMs: number): Promise<void> {
  const [beforeUs, startedAt] = [cpuUs(one.pid), performance.now()]
  const count = await ask(one.url, SLICE_MS)
  const usedUs = cpuUs(one.pid) - beforeUs - idleUsPerMs * (performance.now() - startedAt)
  one.cpuUs.push(usedUs / count)
}

/** CPU time that a process takes when nobody asks it. */
async function idle(pid: number): Promise<number> {
  const [beforeUs, startedAt] = [cpuUs(pid), performance.now()]
  await delay(SLICE_MS)
  return (cpuUs(pid) - beforeUs) / (performance.now() - startedAt)
}

async function measure(stage: Stage): Promise<void> {
  const [port = 0, nginxPort = 0] = await freePorts(2)
  writeFileSync(
    stage.file('edge.yaml'),
    `edge: bench
boxes: { cache-1: { address: 127.0.0.1 } }
mountcheck:
  boxes: [cache-1]
  listen: 127.0.0.1:${port}
  mounts: [{ path: ${MOUNT}, minFree: 0%, minInodes: 0% }]
admin: { socket: ${stage.file('admin.sock')} }
`,
  )
  const command = [process.execPath, PROGRAM, 'mountcheck', '-c', stage.file('edge.yaml')]
  const ours = stage.start('mountcheck', [...command, '--box', 'cache-1'], { core: 'proxy' })
  const url = `http://127.0.0.1:${port}/health`
  const body = await answering(url)
  const configFile = stage.file('nginx.conf')
  writeFileSync(
    configFile,
    `${nginxGround(stage, 'nginx')}http {
  ${nginxTemporaries(stage)}
  access_log off;
  keepalive_requests 1000000;
  server {
    listen 127.0.0.1:${nginxPort};
    location /health {
      default_type application/json;
      add_header Cache-Control no-store;
      return 200 '${body}';
    }
  }
}
`,
  )
  const nginx = stage.start('nginx', nginxCommand(stage, configFile), { core: 'proxy' })
  const nginxUrl = `http://127.0.0.1:${nginxPort}/health`
  if ((await answering(nginxUrl)) !== body) throw new Error('nginx answers other bytes')

  const us: Asked = { name: 'photoedge mountcheck', url, pid: ours.pid ?? 0, cpuUs: [] }
  const them: Asked = {
    name: `nginx ${versionOf('nginx', '-v', /nginx\/([0-9.]+)/)}`,
    url: nginxUrl,
    pid: nginx.pid ?? 0,
    cpuUs: [],
  }
  for (const { url } of [us, them]) await ask(url, SLICE_MS)
  const idleUsPerMs = await idle(us.pid)
  for (let pair = 0; pair < PAIRS; pair += 1) {
    for (const one of pair % 2 === 0 ? [us, them] : [them, us]) {
      await slice(one, one === us ? idleUsPerMs : 0)
    }
  }
  say(`${PER_SECOND} requests/s, ${body.length} bytes, ${PAIRS} pairs of ${SLICE_MS} ms`)
  for (const { name, cpuUs } of [us, them]) {
    const spread = `${Math.min(...cpuUs).toFixed(1)} to ${Math.max(...cpuUs).toFixed(1)}`
    say(`${name}: ${median(cpuUs).toFixed(1)} µs of CPU time a request (${spread})`)
  }
  say(`ratio: ${medianRatio(us.cpuUs, them.cpuUs).toFixed(2)}`)
  say(`looking at the mount: ${(idleUsPerMs / 10).toFixed(2)} % of a core`)
}

const token = `${MOUNT}/photoedge-cache-id`
const hadToken = existsSync(token) && readFileSync(token, 'utf8') !== ''
const stage = new Stage({ proxy: 0, load: 1 })
process.once('SIGINT', () => {
  stage.abandon()
  process.exit(1)
})
try {
  await measure(stage)
} finally {
  agent.destroy()
  await stage.close()
  if (!hadToken) rmSync(token, { force: true })
}
