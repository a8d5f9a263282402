import { Buffer } from 'node:buffer'
import { AnswerReader, type Catalogue } from './exchange.ts'
import { Epoll } from './libc.ts'
import type { Tls } from './libssl.ts'
import { ENDED, NOTHING_NOW, openPlain, openSecure, type Transport } from './transport.ts'

/** Nothing at all for so long ends the run: a proxy that hangs is a fault, not a slow one. */
const SILENCE_MS = 5000

interface Connection {
  transport: Transport
  readonly reader: AnswerReader
  /** When its request was to be sent, on performance.now()'s clock. */
  intendedAt: number
  isBusy: boolean
}

export interface LoadReport {
  readonly photos: number
  readonly bytes: number
  readonly wallMs: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** How a target's connections are made. */
export interface Endpoint {
  readonly port: number
  /** Undefined: plain HTTP. */
  readonly tls: Tls | undefined
}

const INBOX = Buffer.allocUnsafeSlow(256 * 1024)

/** Keep-alive connections to one proxy and what is asked over them; everything is synchronous. */
export class Target {
  readonly #endpoint: Endpoint
  readonly #catalogue: Catalogue
  readonly #connections: Connection[] = []
  readonly #epoll = new Epoll(256)
  #random = 0x2545f491

  constructor(endpoint: Endpoint, catalogue: Catalogue, connectionCount: number) {
    this.#endpoint = endpoint
    this.#catalogue = catalogue
    for (let i = 0; i < connectionCount; i++) this.#openConnection()
  }

  /** Asks over every connection again and again for `durationMs`, then lets all answers end. */
  runClosed(durationMs: number): LoadReport {
    const latenciesMs: number[] = []
    const startedAt = performance.now()
    const endAt = startedAt + durationMs
    for (const connection of this.#connections) this.#ask(connection, startedAt)
    let asked = this.#connections.length
    while (latenciesMs.length < asked) {
      this.#waitAndServe(SILENCE_MS, (connection) => {
        const now = performance.now()
        latenciesMs.push(now - connection.intendedAt)
        if (now < endAt) {
          this.#ask(connection, now)
          asked++
        }
      })
    }
    return this.#report(latenciesMs, performance.now() - startedAt)
  }

  /**
   * Asks at a constant rate, whatever the answers do; a latency runs from the moment at which
   * the request was due, so that waiting for a free connection counts (no coordinated omission).
   */
  runOpen(durationMs: number, photosPerSecond: number): LoadReport {
    const latenciesMs: number[] = []
    const intervalMs = 1000 / photosPerSecond
    const startedAt = performance.now()
    const total = Math.max(1, Math.floor(durationMs / intervalMs))
    const idle = [...this.#connections]
    let idleHead = 0
    let due = 0
    let asked = 0
    while (latenciesMs.length < total) {
      const now = performance.now()
      while (due < total && startedAt + due * intervalMs <= now) due++
      while (asked < due && idleHead < idle.length) {
        const connection = idle[idleHead++]
        if (connection === undefined) break
        this.#ask(connection, startedAt + asked * intervalMs)
        asked++
      }
      if (idleHead > 4096) {
        idle.splice(0, idleHead)
        idleHead = 0
      }
      const isWaitingForTime = due < total && idleHead < idle.length
      const untilDueMs = startedAt + due * intervalMs - performance.now()
      this.#waitAndServe(
        isWaitingForTime ? untilDueMs : SILENCE_MS,
        (connection) => {
          latenciesMs.push(performance.now() - connection.intendedAt)
          idle.push(connection)
        },
        isWaitingForTime,
      )
    }
    return this.#report(latenciesMs, performance.now() - startedAt)
  }

  /** Opens `count` connections more and fetches one photo over each, 64 at a time. */
  addWithOnePhoto(count: number): LoadReport {
    const latenciesMs: number[] = []
    const startedAt = performance.now()
    let asked = 0
    const askOne = (): void => {
      this.#ask(this.#openConnection(), performance.now())
      asked++
    }
    while (asked < Math.min(64, count)) askOne()
    while (latenciesMs.length < asked) {
      this.#waitAndServe(SILENCE_MS, (connection) => {
        latenciesMs.push(performance.now() - connection.intendedAt)
        if (asked < count) askOne()
      })
    }
    return this.#report(latenciesMs, performance.now() - startedAt)
  }

  close(): void {
    for (const { transport } of this.#connections) transport.close()
    this.#epoll.close()
  }

  #openConnection(): Connection {
    const connection = {
      transport: this.#connect(),
      reader: new AnswerReader(this.#catalogue),
      intendedAt: 0,
      isBusy: false,
    }
    this.#epoll.add(connection.transport.fd, this.#connections.length)
    this.#connections.push(connection)
    return connection
  }

  #connect(): Transport {
    const { port, tls } = this.#endpoint
    return tls === undefined ? openPlain(port) : openSecure(port, tls)
  }

  #ask(connection: Connection, intendedAt: number): void {
    const { requests } = this.#catalogue
    const user = this.#draw(requests.length)
    connection.reader.begin(user)
    connection.intendedAt = intendedAt
    connection.isBusy = true
    const request = requests[user]
    if (request === undefined) throw new Error(`There is no user ${user}`)
    connection.transport.send(request)
  }

  /** Waits for readable connections, reads each; `onWhole` is told of each whole photo. */
  #waitAndServe(
    timeoutMs: number,
    onWhole: (connection: Connection) => void,
    isTimeoutExpected = false,
  ): void {
    const count = this.#epoll.wait(timeoutMs)
    if (count === 0 && !isTimeoutExpected) {
      const stuck = this.#connections.find(({ isBusy }) => isBusy)
      throw stuck?.reader.fault(`nothing came for ${SILENCE_MS} ms`) ?? new Error('Nothing came')
    }
    for (let i = 0; i < count; i++) {
      const key = this.#epoll.key(i)
      const connection = this.#connections[key]
      if (connection !== undefined) this.#read(connection, key, onWhole)
    }
  }

  #read(connection: Connection, key: number, onWhole: (connection: Connection) => void): void {
    // A TLS session may hold decrypted bytes that no event tells of: it is read till it is empty.
    do {
      const count = connection.transport.receive(INBOX)
      if (count === NOTHING_NOW) return
      if (!connection.isBusy) {
        if (count !== ENDED) throw connection.reader.fault('bytes came that nobody asked for')
        this.#reconnect(connection, key)
        return
      }
      if (count === ENDED) throw connection.reader.fault('the connection ended within the answer')
      if (!connection.reader.take(INBOX, count)) continue
      connection.isBusy = false
      if (connection.reader.isLast) this.#reconnect(connection, key)
      onWhole(connection)
    } while (this.#endpoint.tls !== undefined)
  }

  #reconnect(connection: Connection, key: number): void {
    connection.transport.close()
    connection.transport = this.#connect()
    this.#epoll.add(connection.transport.fd, key)
  }

  /** Xorshift: the same users in the same order for every proxy. */
  #draw(below: number): number {
    let x = this.#random
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#random = x
    return (x >>> 0) % below
  }

  #report(latenciesMs: number[], wallMs: number): LoadReport {
    const sorted = Float64Array.from(latenciesMs).sort()
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
    return {
      photos: sorted.length,
      bytes: sorted.length * this.#catalogue.sizeBytes,
      wallMs,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
    }
  }
}
