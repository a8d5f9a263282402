/**
 * The one file that knows Node's internals: a connection's libuv handle (`socket._handle`) and
 * `stream_wrap`, as lib/internal/stream_base_commons.js of Node 24 uses them. Reads land in a
 * buffer of ours and writes tell at once whether they are done, which spares the stream machinery.
 * Over TCP the kernel is asked directly: what it takes at once costs no allocation, and only what
 * it leaves goes to libuv.
 *
 * `isStreamWrapUsable` looks for each thing used here; where one is missing the router runs on
 * `socket-transport.ts`, which needs public API only.
 */
import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { BufferPool } from './buffer-pool.ts'
import { canPassOn, leftBytes, passOn, takeLeft } from './pass-on.ts'
import { canSendNow, hasUnread, pushNow, sendNow, untakenBytes } from './send-now.ts'
import { WRITE } from './transport.ts'
import type { Transport, TransportOwner, WriteOutcome } from './transport.ts'

interface StreamHandle {
  onread: (this: StreamHandle) => Buffer | undefined
  transport: StreamWrapTransport | undefined
  /** Where reads land: libuv holds its bare address, so the object must live here. */
  landing: Buffer | undefined
  reading: boolean
  readonly fd: number
  readonly writeQueueSize: number
  useUserBuffer(buffer: Buffer): void
  readStart(): number
  readStop(): number
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number
}

interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void
  transport: StreamWrapTransport | undefined
  /** Kept until the write is done, for the same reason as `landing`. */
  rest: Buffer | undefined
  bytes: number
}

type WriteRequestConstructor = new () => WriteRequest

interface StreamWrapBinding {
  readonly WriteWrap: WriteRequestConstructor
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
}

/** Whether this Node, and this connection, have all that `openStreamWrap` uses. */
export function isStreamWrapUsable(socket: Socket): boolean {
  if (binding === undefined || !canSendNow()) return false
  const handle = (socket as unknown as { _handle: Partial<StreamHandle> | null })._handle
  if (handle === null) return true
  return (
    typeof handle.useUserBuffer === 'function' &&
    typeof handle.writeBuffer === 'function' &&
    typeof handle.readStart === 'function' &&
    typeof handle.fd === 'number' &&
    typeof handle.readStop === 'function'
  )
}

/** Takes a connected socket's reads and writes away from `net.Socket`; see `OpenTransport`. */
export function openStreamWrap(
  socket: Socket,
  owner: TransportOwner,
  landing: Buffer,
  rests: BufferPool,
): Transport {
  return new StreamWrapTransport(socket, owner, landing, rests)
}

class StreamWrapTransport implements Transport {
  readonly socket: Socket
  pendingBytes = 0
  #owner: TransportOwner
  #handle: StreamHandle | undefined
  #pendingWrites = 0
  #isGone = false
  #fd = -1
  readonly #rests: BufferPool

  constructor(socket: Socket, owner: TransportOwner, landing: Buffer, rests: BufferPool) {
    this.socket = socket
    this.#owner = owner
    this.#rests = rests
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#gone(error.code ?? 'EUNKNOWN')
    })
    socket.on('close', () => {
      this.#gone('')
    })
    const handle = (socket as unknown as { _handle: StreamHandle | null })._handle
    if (handle === null || socket.destroyed) return
    this.#handle = handle
    this.#fd = handle.fd
    handle.transport = this
    handle.landing = landing
    handle.useUserBuffer(landing)
    handle.onread = onRead
    handle.readStart()
    // Or net.Socket starts it again after 'connect', which is an error.
    handle.reading = true
    if (socket.readableLength > 0) process.nextTick(deliverEarly, this, landing)
  }

  get queuedBytes(): number {
    const handle = this.#handle
    if (handle === undefined || this.socket.destroyed) return 0
    // libuv goes on only when a third of the kernel's buffer is free: megabytes, to a slow client.
    return handle.writeQueueSize + untakenBytes(handle.fd)
  }

  write(buffer: Buffer, start: number, end: number, isMoreToCome = false): WriteOutcome {
    const handle = this.#writable
    if (handle === undefined) return WRITE.failed
    if (this.#pendingWrites > 0) return this.#writeRest(handle, buffer, start, end)
    const sent = sendNow(this.#fd, buffer, start, end, isMoreToCome)
    if (start + sent === end) return WRITE.done
    return this.#writeRest(handle, buffer, start + sent, end)
  }

  push(): void {
    if (this.#writable !== undefined) pushNow(this.#fd)
  }

  get canTake(): boolean {
    return canPassOn()
  }

  takeFrom(source: Transport, length: number): number {
    const handle = this.#writable
    if (handle === undefined || this.#pendingWrites > 0) return 0
    if (!(source instanceof StreamWrapTransport) || source.#writable === undefined) return 0
    const taken = passOn(source.#fd, this.#fd, length)
    const left = leftBytes()
    if (left === 0) return taken
    const rest = this.#rests.take(left)
    takeLeft(rest)
    return this.#write(handle, rest, left) === WRITE.failed ? -1 : taken
  }

  /** Of a socket that is destroyed the descriptor may be another connection's by now. */
  get #writable(): StreamHandle | undefined {
    return this.socket.destroyed ? undefined : this.#handle
  }

  /** Leaves to libuv what the kernel does not take now; an error comes to light there too. */
  #writeRest(handle: StreamHandle, buffer: Buffer, start: number, end: number): WriteOutcome {
    const rest = this.#rests.take(end - start)
    buffer.copy(rest, 0, start, end)
    return this.#write(handle, rest, end - start)
  }

  #write(handle: StreamHandle, rest: Buffer, length: number): WriteOutcome {
    const request = spareRequest ?? new WriteWrap()
    spareRequest = undefined
    // Not `subarray`: making a Buffer takes three times as long.
    const bytes = new Uint8Array(rest.buffer, rest.byteOffset, length)
    const error = handle.writeBuffer(request, bytes)
    const isDone = error === 0 && state[lastWriteWasAsync] === 0
    if (isDone || error !== 0) this.#rests.give(rest)
    if (error !== 0) {
      this.#fail(error)
      return WRITE.failed
    }
    if (isDone) {
      spareRequest = request
      return WRITE.done
    }
    request.oncomplete = onWritten
    request.transport = this
    request.rest = rest
    request.bytes = length
    this.#pendingWrites++
    this.pendingBytes += length
    return WRITE.waits
  }

  hasUnread(): boolean {
    const handle = this.#writable
    return handle !== undefined && hasUnread(handle.fd)
  }

  pause(): void {
    this.#handle?.readStop()
  }

  resume(): void {
    this.#handle?.readStart()
  }

  end(): void {
    if (this.#handle !== undefined) this.socket.end()
  }

  destroy(): void {
    this.#release()
    this.socket.destroy()
  }

  reset(): void {
    this.#release()
    this.socket.resetAndDestroy()
  }

  /** Bytes that `net.Socket` had read before the connection came to us. */
  deliver(landing: Buffer): void {
    const early = this.socket.read() as Buffer | null
    for (let at = 0; early !== null && at < early.length;) {
      const length = early.copy(landing, 0, at)
      at += length
      this.read(length)
    }
  }

  /** Called by `onRead` below, on the handle's behalf. */
  read(lengthOrError: number): Buffer | undefined {
    if (lengthOrError > 0) return this.#owner.onBytes(lengthOrError)
    if (lengthOrError === 0) return undefined
    if (lengthOrError === UV_EOF) {
      this.#handle?.readStop()
      this.#owner.onEnd()
    } else {
      this.#fail(lengthOrError)
    }
    return undefined
  }

  /** Called by `onWritten` below. */
  written(bytes: number, rest: Buffer | undefined, status: number): void {
    this.pendingBytes -= bytes
    this.#pendingWrites--
    if (rest !== undefined) this.#rests.give(rest)
    if (this.#handle === undefined) return
    if (status !== 0) this.#fail(status)
    else if (this.#pendingWrites === 0) this.#owner.onDrained()
  }

  #fail(error: number): void {
    const code = errorName(error)
    this.#release()
    this.socket.destroy()
    this.#gone(code)
  }

  /** After this no callback of the handle reaches the owner. */
  #release(): void {
    const handle = this.#handle
    if (handle === undefined) return
    this.#handle = undefined
    handle.transport = undefined
    handle.readStop()
  }

  #gone(code: string): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#release()
    this.#owner.onGone(code)
  }
}

function onRead(this: StreamHandle): Buffer | undefined {
  const next = this.transport?.read(state[readBytesOrError] ?? 0)
  if (next !== undefined) this.landing = next
  return next
}

function deliverEarly(transport: StreamWrapTransport, landing: Buffer): void {
  transport.deliver(landing)
}

function onWritten(this: WriteRequest, status: number): void {
  const { transport, rest } = this
  this.transport = undefined
  this.rest = undefined
  transport?.written(this.bytes, rest, status)
}

function errorName(error: number): string {
  try {
    return getSystemErrorName(error)
  } catch {
    return 'EUNKNOWN'
  }
}

function unusable(): never {
  throw new TypeError('stream_wrap is missing: ask isStreamWrapUsable first')
}

function loadBinding(): StreamWrapBinding | undefined {
  try {
    const host = process as unknown as { binding(name: string): StreamWrapBinding }
    const found = host.binding('stream_wrap')
    const isWhole =
      typeof found.WriteWrap === 'function' &&
      found.streamBaseState instanceof Int32Array &&
      typeof found.kReadBytesOrError === 'number' &&
      typeof found.kLastWriteWasAsync === 'number'
    return isWhole ? found : undefined
  } catch {
    return undefined
  }
}

const UV_EOF = -4095
const binding = loadBinding()
const WriteWrap = binding?.WriteWrap ?? (unusable as unknown as WriteRequestConstructor)
const state = binding?.streamBaseState ?? new Int32Array(8)
const readBytesOrError = binding?.kReadBytesOrError ?? 0
const lastWriteWasAsync = binding?.kLastWriteWasAsync ?? 0
/** A request object that no pending write owns: a write done at once leaves it untouched. */
let spareRequest: WriteRequest | undefined
