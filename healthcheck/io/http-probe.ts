import { createHash } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import type { Duplex } from 'node:stream'
import type { HttpCheckConfig, PhotoCheckConfig } from '../../common/config/config.ts'
import { LONGEST_BODY_BYTES, LOOKED_AT_BYTES } from '../../common/model/health.ts'
import { isTrusted, judgeAnswer } from '../core/answer.ts'
import type { Outcome } from '../core/outcome.ts'
import type { ProbeTarget } from '../core/probe-plan.ts'
import { ProbeRun } from './probe-run.ts'
import type { ProbeComponents, RunningProbe } from './probe-run.ts'

type HttpTarget = ProbeTarget & { readonly check: HttpCheckConfig | PhotoCheckConfig }

/** Asks over HTTP or HTTPS; keeps the connections of checks with `reuse`. */
export interface HttpProber {
  run(target: HttpTarget, done: (outcome: Outcome) => void): RunningProbe
  /** Closes the kept connections of all targets but these (by key). */
  retain(keys: ReadonlySet<string>): void
}

export function createHttpProber(components: ProbeComponents): HttpProber {
  const agents = new Map<string, http.Agent>()

  function agentFor(target: HttpTarget): http.Agent | false {
    const { check, key } = target
    if (check.type === 'photo' || !check.reuse) return false
    const known = agents.get(key)
    if (known !== undefined) return known
    const options = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1 }
    const agent = check.type === 'https' ? new https.Agent(options) : new http.Agent(options)
    agents.set(key, agent)
    return agent
  }

  return {
    run: (target, done) => {
      const run = new ProbeRun(components, { done })
      const request = (agent: http.Agent | false): void => {
        ask(components, target, run, agent, () => {
          request(false)
        })
      }
      request(agentFor(target))
      return run
    },
    retain(keys) {
      for (const [key, agent] of agents) {
        if (keys.has(key)) continue
        agent.destroy()
        agents.delete(key)
      }
    },
  }
}

/** One request; `again` asks anew when a kept connection turns out to have been closed meanwhile. */
function ask(
  components: ProbeComponents,
  target: HttpTarget,
  run: ProbeRun,
  agent: http.Agent | false,
  again: () => void,
): void {
  const { check } = target
  const limits = limitsOf(check)
  run.enter('connect', limits.connectMs)
  const options = requestOptions(components, target, agent)
  const request = check.type === 'https' ? https.request(options) : http.request(options)
  run.onRelease(() => request.destroy())
  // Not `reusedSocket`, which says no where the connection became free only after the request.
  let isKept = false
  let isAnswering = false
  let headBytes = 0
  request.on('error', (error: NodeJS.ErrnoException) => {
    const isStale = isKept && !isAnswering && STALE.has(error.code ?? '')
    if (isStale && !run.isOver) again()
    else run.failByError(error)
  })
  request.on('socket', (socket) => {
    isKept = !socket.connecting
    followConnection(socket, check.type === 'https', run, limits)
    // Interim answers and empty lines are read by Node without a bound of its own.
    const onData = ({ length }: Buffer): void => {
      if (!isAnswering) run.enter('lastByte', limits.lastByteMs)
      isAnswering = true
      headBytes += length
      if (headBytes > LONGEST_HEADS_BYTES) run.fail({ reason: 'head too large', blame: 'server' })
    }
    socket.on('data', onData)
    request.once('response', () => socket.off('data', onData))
    request.once('close', () => socket.off('data', onData))
  })
  request.on('upgrade', (response, socket: Duplex) => {
    socket.destroy()
    run.fail({ reason: `status ${response.statusCode ?? 101}`, blame: 'server' })
  })
  request.on('response', (response) => {
    if (isKept && isFarewell(response, check)) {
      request.destroy()
      again()
    } else readAnswer(response, check, run)
  })
  request.end()
}

/** A server's word as it closes a connection that was kept too long: ask again (RFC 9110 section 15.5.9). */
function isFarewell(
  { statusCode }: http.IncomingMessage,
  check: HttpCheckConfig | PhotoCheckConfig,
): boolean {
  const isMeant = check.type !== 'photo' && [...check.status, ...check.trustStatus].includes(408)
  return statusCode === 408 && !isMeant
}

/** Enters the phases as the connection comes about. */
function followConnection(
  socket: net.Socket,
  isTls: boolean,
  run: ProbeRun,
  limits: ReturnType<typeof limitsOf>,
): void {
  const { firstByteMs } = limits
  if (!socket.connecting) {
    run.enter('firstByte', firstByteMs)
    return
  }
  socket.once('connect', () => {
    run.enter(isTls ? 'tls' : 'firstByte', firstByteMs)
  })
  socket.once('secureConnect', () => {
    run.enter('firstByte', firstByteMs)
  })
}

function readAnswer(
  response: http.IncomingMessage,
  check: HttpCheckConfig | PhotoCheckConfig,
  run: ProbeRun,
): void {
  const chunks: Buffer[] = []
  let keptBytes = 0
  let bodyBytes = 0
  let pieceCount = 0
  const { statusCode: status = 0 } = response
  const isDecided = isTrusted(check, status)
  const hash = !isDecided && wantsDigest(check) ? createHash('sha256') : undefined
  const judge = (): Outcome => {
    const answer = {
      status,
      headers: joined(response.headers),
      body: Buffer.concat(chunks).toString(),
      bodyBytes,
      sha256: hash?.digest('hex'),
      ...run.measure(),
    }
    return judgeAnswer(check, answer, regexOf(check))
  }
  if (isDecided) run.decide(judge)
  response.on('data', (chunk: Buffer) => {
    bodyBytes += chunk.length
    pieceCount += 1
    hash?.update(chunk)
    if (keptBytes < LOOKED_AT_BYTES) {
      const kept = chunk.subarray(0, LOOKED_AT_BYTES - keptBytes)
      // A copy: the rest of a large read is not kept alive for it.
      chunks.push(Buffer.from(kept))
      keptBytes += kept.length
    }
    if (isDecided && keptBytes === LOOKED_AT_BYTES) {
      run.finish(judge())
    } else if (bodyBytes > LONGEST_BODY_BYTES) {
      run.fail({ reason: 'the answer is longer than 16 MB', blame: 'server' })
    } else if (pieceCount > MOST_PIECES) {
      run.fail({ reason: `the answer comes in more than ${MOST_PIECES} pieces`, blame: 'server' })
    }
  })
  response.on('error', (error) => {
    run.failByError(error)
  })
  response.on('end', () => {
    run.finish(judge())
  })
}

function requestOptions(
  components: ProbeComponents,
  target: HttpTarget,
  agent: http.Agent | false,
): https.RequestOptions {
  const { address, port = 80, check } = target
  const { localAddress } = components
  const authority = net.isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
  const host = check.host ?? authority
  const isHttp = check.type !== 'photo'
  const options: https.RequestOptions = {
    host: address,
    port,
    path: check.path,
    method: isHttp ? check.method : 'GET',
    headers: { Host: host, 'User-Agent': 'photoedge-check', Accept: '*/*' },
    agent,
    maxHeaderSize: LONGEST_HEAD_BYTES,
    ...(localAddress && { localAddress }),
  }
  if (check.type !== 'https') return options
  const servername = check.sni ?? hostName(check.host)
  return {
    ...options,
    servername,
    rejectUnauthorized: check.verify,
    checkServerIdentity: (_name, certificate) =>
      tls.checkServerIdentity(servername === '' ? address : servername, certificate),
  }
}

/** TLS names no addresses: without a name of its own the check sends none. */
function hostName(host: string | undefined): string {
  const name = host?.replace(/:\d+$/, '') ?? ''
  return net.isIP(name.replaceAll(/[[\]]/g, '')) === 0 ? name : ''
}

function limitsOf(check: HttpCheckConfig | PhotoCheckConfig) {
  const { timeoutMs } = check
  if (check.type === 'photo') {
    return { connectMs: timeoutMs, firstByteMs: timeoutMs, lastByteMs: timeoutMs }
  }
  const { connectMs, firstByteMs, lastByteMs } = check.timeouts
  return {
    connectMs: Math.min(connectMs, timeoutMs),
    firstByteMs: Math.min(firstByteMs, timeoutMs),
    lastByteMs: Math.min(lastByteMs, timeoutMs),
  }
}

const wantsDigest = (check: HttpCheckConfig | PhotoCheckConfig): boolean =>
  check.type === 'photo' ? check.sha256 !== undefined : check.body?.type === 'sha256'

function regexOf(check: HttpCheckConfig | PhotoCheckConfig): RegExp | undefined {
  if (check.type === 'photo' || check.body?.type !== 'regex') return undefined
  const known = regexes.get(check)
  if (known !== undefined) return known
  const regex = new RegExp(check.body.regex)
  regexes.set(check, regex)
  return regex
}

function joined(headers: http.IncomingHttpHeaders): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(', ') : (value ?? ''),
  ])
  return Object.fromEntries(entries) as Record<string, string>
}

/** Chunks and reads, of 1 KB on average in the longest body: each costs the prober's time. */
const MOST_PIECES = 16 * 1024
const LONGEST_HEAD_BYTES = 32 * 1024
/** All that comes before an answer's body: interim heads, its own, and what was read with that. */
const LONGEST_HEADS_BYTES = 4 * LONGEST_HEAD_BYTES

const regexes = new WeakMap<HttpCheckConfig, RegExp>()

/** How a kept connection shows that its server had closed it. */
const STALE: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])
