import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import tls from 'node:tls'
import { AnswerReader } from './answer-reader.ts'

/**
 * How a request ended. `ok`: every byte is the original's. `wrong`: it looked whole and was not, or
 * bytes differ. `cut`: the connection ended within the answer, all before it right. `no answer`: it
 * ended before the answer's first byte. `status`: another status than 200.
 */
export type Outcome = 'ok' | 'wrong' | 'cut' | 'no answer' | 'refused' | 'status' | 'timeout'

export interface Sample {
  readonly target: string
  /** Monotonic milliseconds; it is due at this time, connecting included in what follows. */
  readonly startMs: number
  /** NaN when none came. */
  readonly firstByteMs: number
  readonly endMs: number
  readonly outcome: Outcome
  readonly detail: string
  readonly cacheName: string
  readonly cacheStatus: string
}

export interface LoadOptions {
  readonly address?: string
  readonly port: number
  /** The Host field. */
  readonly host?: string
  readonly requestsPerSecond: number
  readonly originals: ReadonlyMap<string, Buffer>
  readonly draw: () => string
  readonly tls?: tls.ConnectionOptions
  /** The share of requests that ask for their connection's end, 0 to 1: new connections all along. */
  readonly freshShare?: number
  readonly timeoutMs?: number
}

/**
 * Open-loop load: requests are due at an even rate, whatever becomes of those before. Each takes an
 * idle connection or opens one.
 */
export class LoadClient {
  readonly samples: Sample[] = []
  /** Times that bytes came while nothing was asked. */
  strayCount = 0
  readonly #options: LoadOptions
  readonly #idle: net.Socket[] = []
  readonly #under = new Set<Promise<void>>()
  #isStopped = false
  #running: Promise<void> = Promise.resolve()
  #count = 0

  constructor(options: LoadOptions) {
    this.#options = options
  }

  start(): this {
    this.#running = this.#run()
    return this
  }

  /** No new requests; resolves when the last has ended. */
  async stop(): Promise<readonly Sample[]> {
    this.#isStopped = true
    await this.#running
    await Promise.all(this.#under)
    for (const socket of this.#idle) socket.destroy()
    return this.samples
  }

  /** One request of each of `targets`, `width` at a time. */
  async fetchAll(targets: readonly string[], width: number): Promise<void> {
    const queue = targets.values()
    const drain = async (): Promise<void> => {
      for (const target of queue) await this.#request(target, performance.now())
    }
    await Promise.all(Array.from({ length: width }, drain))
  }

  async #run(): Promise<void> {
    const intervalMs = 1000 / this.#options.requestsPerSecond
    let dueMs = performance.now()
    while (!this.#isStopped) {
      for (const nowMs = performance.now(); dueMs <= nowMs; dueMs += intervalMs) {
        const request = this.#request(this.#options.draw(), dueMs)
        this.#under.add(request)
        void request.finally(() => this.#under.delete(request))
      }
      await delay(2)
    }
  }

  async #request(target: string, startMs: number): Promise<void> {
    const { freshShare = 0, timeoutMs = 15_000, host = 'photos.test' } = this.#options
    this.#count += 1
    const isLast = Math.floor(this.#count * freshShare) > Math.floor((this.#count - 1) * freshShare)
    const socket = this.#idle.pop() ?? this.#connect()
    const exchange = Promise.withResolvers<[Outcome, string]>()
    const answer = new AnswerReader()
    let firstByteMs = NaN
    const onData = (bytes: Buffer): void => {
      if (Number.isNaN(firstByteMs)) firstByteMs = performance.now()
      try {
        answer.feed(bytes)
        if (answer.isComplete) exchange.resolve(this.#judge(target, answer))
      } catch (error) {
        exchange.resolve(['wrong', String(error)])
      }
    }
    const onEnd = (): void => {
      answer.end()
      if (answer.isComplete) exchange.resolve(this.#judge(target, answer))
    }
    let failure = 'closed'
    const onError = (error: NodeJS.ErrnoException): void => {
      failure = error.code ?? error.message
    }
    const onClose = (): void => {
      exchange.resolve(this.#judgeBroken(target, answer, failure))
    }
    socket.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose)
    const connection = isLast ? 'Connection: close\r\n' : ''
    socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${connection}\r\n`)
    const timer = setTimeout(() => {
      exchange.resolve(['timeout', `${timeoutMs} ms`])
    }, timeoutMs)
    const [outcome, detail] = await exchange.promise
    clearTimeout(timer)
    socket.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose)
    if (outcome === 'ok' && answer.isKeepAlive && !isLast) this.#keep(socket)
    else socket.on('error', () => undefined).destroy()
    this.samples.push({
      target,
      startMs,
      firstByteMs,
      endMs: performance.now(),
      outcome,
      detail,
      cacheName: answer.headers.get('x-cache-name') ?? '',
      cacheStatus: answer.headers.get('x-cache-status') ?? '',
    })
  }

  #connect(): net.Socket {
    const { address = '127.0.0.1', port, tls: secure } = this.#options
    const target = { host: address, port, noDelay: true }
    return secure === undefined ? net.connect(target) : tls.connect({ ...target, ...secure })
  }

  /** An idle connection that its other side ends is forgotten; one that speaks is counted. */
  #keep(socket: net.Socket): void {
    this.#idle.push(socket)
    if (socket.listenerCount('close') > 0) return
    socket.on('error', () => undefined)
    socket.on('data', () => {
      if (this.#idle.includes(socket)) this.strayCount += 1
    })
    socket.on('end', () => {
      socket.destroy()
    })
    socket.on('close', () => {
      const at = this.#idle.indexOf(socket)
      if (at !== -1) this.#idle.splice(at, 1)
    })
  }

  #judge(target: string, answer: AnswerReader): [Outcome, string] {
    if (answer.status !== 200) return ['status', `${answer.status} ${answer.body.toString()}`]
    const original = this.#options.originals.get(target)
    if (original?.equals(answer.body) === true) return ['ok', '']
    return ['wrong', `${answer.body.length} bytes of ${String(original?.length)}`]
  }

  #judgeBroken(target: string, answer: AnswerReader, failure: string): [Outcome, string] {
    if (failure === 'ECONNREFUSED') return ['refused', failure]
    if (!answer.hasFirstByte) return ['no answer', failure]
    const body = answer.partialBody()
    const original = this.#options.originals.get(target)?.subarray(0, body.length)
    const isRight = answer.status !== 200 || original?.equals(body) === true
    return isRight ? ['cut', failure] : ['wrong', `cut, and its ${body.length} bytes differ`]
  }
}

/** How many of each outcome; outcomes that did not happen are missing. */
export function tally(samples: readonly Sample[]): Partial<Record<Outcome, number>> {
  const counts: Partial<Record<Outcome, number>> = {}
  for (const { outcome } of samples) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

/** The first few that are not `ok`, in words. */
export function troubles(samples: readonly Sample[]): string[] {
  return samples
    .filter(({ outcome }) => outcome !== 'ok')
    .slice(0, 5)
    .map(({ outcome, detail, target, startMs, endMs }) => {
      return `${target}: ${outcome} (${detail}) after ${Math.round(endMs - startMs)} ms`
    })
}

/** The wait for the first byte that `pct` percent of the samples do not exceed, in ms. */
export function waitPercentileMs(samples: readonly Sample[], pct: number): number {
  const waits = samples
    .map(({ startMs, firstByteMs, endMs }) => (firstByteMs || endMs) - startMs)
    .sort((a, b) => a - b)
  return waits[Math.min(waits.length - 1, Math.floor((waits.length * pct) / 100))] ?? NaN
}

/** Samples that started in [fromMs, toMs). */
export function startedIn(samples: readonly Sample[], fromMs: number, toMs: number): Sample[] {
  return samples.filter(({ startMs }) => startMs >= fromMs && startMs < toMs)
}
