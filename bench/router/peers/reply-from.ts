import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../stage.ts'
import type { Peer, PeerGround } from './peer.ts'
import type { ReplyFromOptions } from './reply-from-server.ts'

const PROGRAM = fileURLToPath(new URL('reply-from-server.ts', import.meta.url))

/** fastify with @fastify/reply-from, one process, the same log fields, no checks. */
export async function startReplyFrom({
  stage,
  cachePorts,
  certificate,
}: PeerGround): Promise<Peer> {
  const [httpPort = 0, httpsPort = 0] = await freePorts(2)
  const logFile = stage.file('reply-from-access.log')
  const options: ReplyFromOptions = {
    ...{ httpPort, httpsPort, cachePorts, logFile },
    certificate: certificate.certificate,
    key: certificate.key,
  }
  const command = [process.execPath, PROGRAM, JSON.stringify(options)]
  const child = stage.start('reply-from', command, { core: 'proxy' })
  const main = createRequire(import.meta.url).resolve('@fastify/reply-from')
  const text = readFileSync(path.join(path.dirname(main), 'package.json'), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  return {
    ...{ name: 'reply-from', version, child, httpPort, httpsPort },
    metricsUrl: undefined,
    logFile,
  }
}
