import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ListenerConfig } from '../../common/config/config.ts'
import { GLOBAL } from '../core/counters.ts'
import type { Counters } from '../core/counters.ts'
import type { ShardTable } from '../core/shard-table.ts'
import type {
  CertificatePair,
  ConfigureMessage,
  ListenMessage,
  PrimaryMessage,
  TableNote,
  WorkerMessage,
} from './messages.ts'
import type { Peer, PhotoServer, PhotoServerHooks, Tables } from './photo-serving.ts'
import { createNodeTlsListener } from './tls/node-listener.ts'
import { createOpenSslListener } from './tls/openssl-listener.ts'
import { openSsl } from './tls/openssl.ts'
import { readPreamble } from './proxy-preamble.ts'
import type { SecureListener, SecureListenerInit } from './tls/listener.ts'
import type { Transport, TransportOwner } from './transport.ts'

export interface WorkerComponents {
  readonly counters: Counters
  readonly createPhotoServer: (hooks: PhotoServerHooks) => PhotoServer
  readonly loadSlotTable: (note: TableNote) => Promise<Uint16Array>
  readonly loadShardTable: (note: TableNote) => Promise<ShardTable>
  readonly send: (message: WorkerMessage) => void
  /** The worker's work is over; the process is to end. */
  readonly onEnd: () => void
}

/** The listening socket's handle, as it came with a message: `net.Server.listen` takes it. */
export type ListeningHandle = object

const STATS_INTERVAL_MS = 1000
const LATENESS_RESOLUTION_MS = 50
const HANDSHAKE_POLL_MS = 20

/** A listening socket in use, and the listener that it is for. */
interface Listening {
  readonly server: Server
  readonly listener: string
}

interface Listener {
  config: ListenerConfig
  /** The configuration leaves it out; it serves on until its socket is taken away. */
  isGivenUp: boolean
  /** Accepted, and not with the photo server yet. */
  arrivingCount: number
}

/**
 * A worker without its process: applies the primary's messages, accepts, does TLS, and hands each
 * connection to the photo server.
 */
export class Worker {
  readonly #components: WorkerComponents
  readonly #photos: PhotoServer
  readonly #servers = new Map<string, Listening>()
  readonly #listeners = new Map<string, Listener>()
  readonly #certificates = new Map<string, readonly CertificatePair[]>()
  readonly #ticketKeys = new Map<string, Uint8Array>()
  readonly #secure = new Map<string, SecureListener>()
  readonly #lateness = monitorEventLoopDelay({ resolution: LATENESS_RESOLUTION_MS })
  readonly #statsTimer: NodeJS.Timeout
  #tables: Tables = { slots: new Map(), shards: new Map() }
  #loaded = new Map<string, Uint16Array | ShardTable>()
  #generation = 0
  #drainDeadlineMs = 0
  #handshakes = 0
  #stopping: Promise<void> | undefined
  #last: Promise<void> = Promise.resolve()

  constructor(components: WorkerComponents) {
    this.#components = components
    const { counters, send } = components
    this.#photos = components.createPhotoServer({
      counters,
      onSuspect: (pool, server) => {
        send({ type: 'suspect', pool, server })
      },
      onEvent: (event) => {
        send({ type: 'event', event })
      },
    })
    this.#lateness.enable()
    this.#statsTimer = setInterval(() => {
      this.#sendStats()
    }, STATS_INTERVAL_MS)
  }

  /** How long exchanges may take once the worker is told to end, as configured last. */
  get drainDeadlineMs(): number {
    return this.#drainDeadlineMs
  }

  /** Takes the primary's messages, one after the other; the promise is for the one given. */
  receive(message: PrimaryMessage, handle?: ListeningHandle): Promise<void> {
    this.#last = this.#last.then(() => this.#apply(message, handle))
    return this.#last
  }

  async #apply(message: PrimaryMessage, handle: ListeningHandle | undefined): Promise<void> {
    switch (message.type) {
      case 'configure':
        await this.#configure(message)
        return
      case 'listen':
        await this.#listen(message, handle)
        return
      case 'unlisten':
        this.#unlisten(message.socket)
        return
      case 'verdicts':
        this.#photos.setVerdicts(message.verdicts, message.returning)
        return
      case 'overrides':
        this.#tables = await this.#load(message.tables)
        this.#photos.setOverrides(message.overrides, this.#tables)
        return
      case 'certificates':
        this.#certificates.set(message.listener, message.pairs)
        this.#secure.delete(message.listener)
        return
      case 'ticketKeys':
        this.#ticketKeys.set(message.listener, message.keys)
        this.#secure.delete(message.listener)
        return
      case 'reopenLog':
        this.#photos.reopenLog()
        return
      case 'synchronize':
        this.#components.send({ type: 'ready', generation: this.#generation })
        return
      case 'stop':
        // Not awaited: the primary may still have the log reopened.
        void this.stop(message.deadlineMs, message.tailMs)
    }
  }

  async #configure({ generation, config, box, tables }: ConfigureMessage): Promise<void> {
    this.#tables = await this.#load(tables)
    this.#photos.configure(config, box, generation, this.#tables)
    this.#generation = generation
    this.#drainDeadlineMs = config.router?.drainDeadlineMs ?? 0
    this.#secure.clear()
    this.#configureListeners(config.router?.listeners ?? [])
  }

  #configureListeners(configs: readonly ListenerConfig[]): void {
    for (const listener of this.#listeners.values()) listener.isGivenUp = true
    for (const config of configs) {
      const known = this.#listeners.get(config.name)
      if (known === undefined)
        this.#listeners.set(config.name, { config, isGivenUp: false, arrivingCount: 0 })
      else Object.assign(known, { config, isGivenUp: false })
    }
    this.#forgetListeners()
    // Not sooner: those of a listener to come are here before its configuration is.
    for (const secrets of [this.#certificates, this.#ticketKeys])
      for (const name of secrets.keys()) if (!this.#listeners.has(name)) secrets.delete(name)
  }

  /** Of those that are given up, all that no connection can come from any more. */
  #forgetListeners(): void {
    const listening = new Set([...this.#servers.values()].map(({ listener }) => listener))
    for (const [name, { isGivenUp, arrivingCount }] of this.#listeners) {
      if (!isGivenUp || arrivingCount > 0 || listening.has(name)) continue
      this.#listeners.delete(name)
      this.#secure.delete(name)
      this.#photos.forgetListener(name)
    }
  }

  /** Reads the tables that are new; those that are not named any more are let go. */
  async #load(notes: readonly TableNote[]): Promise<Tables> {
    const { loadSlotTable, loadShardTable } = this.#components
    const loaded = new Map<string, Uint16Array | ShardTable>()
    const slots = new Map<string, Uint16Array>()
    const shards = new Map<string, ShardTable>()
    for (const note of notes) {
      const known = loaded.get(note.digest) ?? this.#loaded.get(note.digest)
      if (note.kind === 'slots') {
        const table = known instanceof Uint16Array ? known : await loadSlotTable(note)
        loaded.set(note.digest, table)
        slots.set(note.key, table)
      } else {
        const table =
          known === undefined || known instanceof Uint16Array ? await loadShardTable(note) : known
        loaded.set(note.digest, table)
        shards.set(note.key, table)
      }
    }
    this.#loaded = loaded
    return { slots, shards }
  }

  async #listen(
    { socket, listener }: ListenMessage,
    handle: ListeningHandle | undefined,
  ): Promise<void> {
    // It was closed on the way here: the primary has given it up.
    if (handle === undefined) return
    const server = createServer({ noDelay: true }, (connection) => {
      this.#accept(connection, listener)
    })
    this.#unlisten(socket)
    this.#servers.set(socket, { server, listener })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(handle, resolve)
    })
    // Out of descriptors, say: libuv goes on with the next connection by itself.
    server.on('error', () => undefined)
  }

  #unlisten(socket: string): void {
    this.#servers.get(socket)?.server.close()
    this.#servers.delete(socket)
    this.#forgetListeners()
  }

  #accept(socket: Socket, name: string): void {
    const listener = this.#listeners.get(name)
    if (listener === undefined) {
      socket.destroy()
      return
    }
    listener.arrivingCount++
    const { config } = listener
    if (config.proxyProtocol === 'off') {
      this.#admit(socket, config, undefined)
      return
    }
    readPreamble(socket, config, (preamble) => {
      if (preamble.ok) {
        this.#admit(socket, config, preamble.peer)
        return
      }
      this.#components.counters.add(GLOBAL.proxyHeadersRefused, 1)
      socket.destroy()
      this.#arrived(name)
    })
  }

  #admit(socket: Socket, listener: ListenerConfig, peer: Peer | undefined): void {
    if (listener.tls.length === 0) {
      const { openTransport } = this.#photos
      const open = (owner: TransportOwner, landing: Buffer): Transport =>
        openTransport(socket, owner, landing)
      this.#photos.accept({ socket, tls: undefined, open }, listener.name, peer)
      this.#arrived(listener.name)
      return
    }
    this.#handshakes++
    this.#secureListener(listener).accept(socket, peer)
  }

  /** One that was accepted is with the photo server, or gone. */
  #arrived(name: string): void {
    const listener = this.#listeners.get(name)
    if (listener === undefined) return
    listener.arrivingCount--
    if (listener.isGivenUp) this.#forgetListeners()
  }

  #secureListener(listener: ListenerConfig): SecureListener {
    const known = this.#secure.get(listener.name)
    if (known !== undefined) return known
    const { counters } = this.#components
    const init: SecureListenerInit = {
      listener,
      pairs: this.#certificates.get(listener.name) ?? [],
      ticketKeys: this.#ticketKeys.get(listener.name),
      openTransport: this.#photos.openTransport,
      onSecure: (arrival, peer) => {
        this.#handshakes--
        counters.add(GLOBAL.tlsHandshakes, 1)
        if (arrival.tls?.isResumed === true) counters.add(GLOBAL.tlsResumptions, 1)
        this.#photos.accept(arrival, listener.name, peer)
        this.#arrived(listener.name)
      },
      onFailure: () => {
        this.#handshakes--
        counters.add(GLOBAL.tlsFailures, 1)
        this.#arrived(listener.name)
      },
    }
    const made =
      openSsl === undefined || this.#photos.isPlain
        ? createNodeTlsListener(init)
        : createOpenSslListener(openSsl, init)
    // It may be one that a reload has changed since this connection came.
    if (this.#listeners.get(listener.name)?.config === listener)
      this.#secure.set(listener.name, made)
    return made
  }

  /** Ends it as a `stop` message does; a second call only waits for the first. */
  stop(deadlineMs: number, tailMs: number): Promise<void> {
    this.#stopping ??= this.#stop(deadlineMs, tailMs)
    return this.#stopping
  }

  async #stop(deadlineMs: number, tailMs: number): Promise<void> {
    const endsAt = performance.now() + deadlineMs
    this.#photos.drain()
    if (tailMs > 0) await sleep(tailMs)
    for (const socket of this.#servers.keys()) this.#unlisten(socket)
    while (this.#handshakes > 0 && performance.now() < endsAt) await sleep(HANDSHAKE_POLL_MS)
    await this.#photos.close(Math.max(0, endsAt - performance.now()))
    clearInterval(this.#statsTimer)
    this.#sendStats()
    this.#components.onEnd()
  }

  #sendStats(): void {
    const lateMs = Math.max(0, this.#lateness.max / 1e6 - LATENESS_RESOLUTION_MS)
    this.#lateness.reset()
    this.#components.send({
      type: 'stats',
      generation: this.#generation,
      snapshot: this.#photos.snapshot(),
      lateMs,
    })
  }
}
