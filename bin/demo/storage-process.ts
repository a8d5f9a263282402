// The demo's storage: every photo, from a folder. Arguments: the folder, the port.

import '../../common/runtime/first.ts'
import fs from 'node:fs/promises'
import path from 'node:path'
import { leaveWithParent, serveOnLoopback } from './child.ts'
import type { ChildCounts } from './child.ts'

const [, , folder = '.', port = '0'] = process.argv
const counts: ChildCounts = { requests: 0, hits: 0 }

leaveWithParent()
serveOnLoopback(
  (request, response) => {
    counts.requests += 1
    readPhoto(request.url ?? '/').then(
      (photo) => {
        response.writeHead(200, { 'Content-Type': 'image/jpeg', 'Content-Length': photo.length })
        response.end(request.method === 'HEAD' ? undefined : photo)
      },
      () => {
        response.writeHead(404, { 'Content-Type': 'text/plain' }).end('No such photo\n')
      },
    )
  },
  Number(port),
  false,
  counts,
)

async function readPhoto(target: string): Promise<Buffer> {
  const { pathname } = new URL(target, 'http://storage')
  return fs.readFile(path.join(folder, path.posix.normalize(decodeURIComponent(pathname))))
}
