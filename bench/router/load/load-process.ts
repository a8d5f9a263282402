/**
 * The load generator's process: obeys the bench over IPC, one request at a time. While a slice
 * runs it does nothing else (its loop is epoll's, not Node's), so its clock is not disturbed.
 */
import { readFileSync } from 'node:fs'
import { CIPHER_SUITE } from '../certificate.ts'
import { createCatalogue, type Catalogue } from './exchange.ts'
import { sharpenTimers } from './libc.ts'
import { openTls, type Tls } from './libssl.ts'
import type { LoadReply, LoadRequest } from './messages.ts'
import { Target } from './target.ts'

const targets = new Map<string, Target>()
const catalogues = new Map<number, Catalogue>()
let tls: Tls | undefined
let pool: Buffer | undefined

function targetOf(name: string): Target {
  const target = targets.get(name)
  if (target === undefined) throw new Error(`No connections are open to "${name}"`)
  return target
}

function obey(request: LoadRequest): LoadReply {
  switch (request.type) {
    case 'open': {
      const { set, port } = request
      pool ??= readFileSync(request.poolFile)
      let catalogue = catalogues.get(set.sizeBytes)
      catalogue ??= createCatalogue(set, pool)
      catalogues.set(set.sizeBytes, catalogue)
      if (request.isTls) tls ??= openTls(CIPHER_SUITE)
      const endpoint = { port, tls: request.isTls ? tls : undefined }
      targets.set(request.target, new Target(endpoint, catalogue, request.connections))
      return { ok: true }
    }
    case 'closed':
      return { ok: true, report: targetOf(request.target).runClosed(request.durationMs) }
    case 'openLoop': {
      const { target, durationMs, photosPerSecond } = request
      return { ok: true, report: targetOf(target).runOpen(durationMs, photosPerSecond) }
    }
    case 'addWithOnePhoto':
      return { ok: true, report: targetOf(request.target).addWithOnePhoto(request.count) }
    case 'close':
      targetOf(request.target).close()
      targets.delete(request.target)
      return { ok: true }
  }
}

function answer(request: LoadRequest): LoadReply {
  try {
    return obey(request)
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) }
  }
}

sharpenTimers()
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit())
process.on('message', (request: LoadRequest) => {
  process.send?.(answer(request))
})
