// One photo cache of the demo, a caching proxy in a few lines: a photo that is not on its disk is
// fetched from storage, kept, and served from the disk from then on. For the demo only; a site runs
// nginx or Varnish here. Arguments: name, folder, storage's address, port, `fixed` or `any`.

import '../../common/runtime/first.ts'
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import type http from 'node:http'
import path from 'node:path'
import { request as fetchFrom } from 'undici'
import { leaveWithParent, serveOnLoopback } from './child.ts'
import type { ChildCounts } from './child.ts'

const [, , name = '', folder = '.', storage = '', port = '0', portRule = 'any'] = process.argv
const counts: ChildCounts = { requests: 0, hits: 0 }
const fetches = new Map<string, Promise<Photo>>()

interface Photo {
  readonly status: number
  readonly bytes: Buffer
}

leaveWithParent()
serveOnLoopback(
  (request, response) => {
    if (request.url === '/health') {
      response.end('healthy\n')
      return
    }
    serve(request, response).catch(() => {
      response.writeHead(502, { 'Content-Type': 'text/plain' }).end('Storage does not answer\n')
    })
  },
  Number(port),
  portRule === 'fixed',
  counts,
)

async function serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const target = request.url ?? '/'
  const kept = await fs.readFile(fileOf(target)).catch(() => undefined)
  const { status, bytes } =
    kept === undefined ? await fetchOnce(target) : { status: 200, bytes: kept }
  counts.requests += 1
  if (kept !== undefined) counts.hits += 1
  response.writeHead(status, {
    'Content-Type': status === 200 ? 'image/jpeg' : 'text/plain',
    'Content-Length': bytes.length,
    'X-Cache': kept === undefined ? 'MISS' : 'HIT',
    'X-Cache-Name': name,
  })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

/** Several clients that miss one photo at a time cost storage one request. */
function fetchOnce(target: string): Promise<Photo> {
  const under = fetches.get(target)
  if (under !== undefined) return under
  const fetched = fetchAndKeep(target).finally(() => fetches.delete(target))
  fetches.set(target, fetched)
  return fetched
}

async function fetchAndKeep(target: string): Promise<Photo> {
  const { statusCode, body } = await fetchFrom(`http://${storage}${target}`)
  const bytes = Buffer.from(await body.arrayBuffer())
  if (statusCode === 200) {
    const file = fileOf(target)
    await fs.mkdir(path.dirname(file), { recursive: true })
    await fs.writeFile(`${file}.part`, bytes)
    await fs.rename(`${file}.part`, file)
  }
  return { status: statusCode, bytes }
}

function fileOf(target: string): string {
  const digest = createHash('sha256').update(target).digest('hex')
  return path.join(folder, digest.slice(0, 2), digest)
}
