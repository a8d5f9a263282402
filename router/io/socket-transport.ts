import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { WRITE } from './transport.ts'
import type { Transport, TransportOwner, WriteOutcome } from './transport.ts'

/**
 * A connection over `net.Socket`'s public API alone: the same promises as `openStreamWrap`, at the
 * price of the stream machinery and one copy each way. See `OpenTransport`.
 */
export function openSocket(socket: Socket, owner: TransportOwner, landing: Buffer): Transport {
  return new SocketTransport(socket, owner, landing)
}

class SocketTransport implements Transport {
  readonly socket: Socket
  pendingBytes = 0
  readonly canTake = false
  #unreadBytes = 0
  #landing: Buffer
  #isGone = false
  #isReleased = false
  readonly #owner: TransportOwner

  constructor(socket: Socket, owner: TransportOwner, landing: Buffer) {
    this.socket = socket
    this.#owner = owner
    this.#landing = landing
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#gone(error.code ?? 'EUNKNOWN')
    })
    socket.on('close', () => {
      this.#gone('')
    })
    socket.on('data', (bytes: Buffer) => {
      this.#deliver(bytes)
    })
    socket.on('end', () => {
      if (!this.#isReleased) owner.onEnd()
    })
  }

  get queuedBytes(): number {
    return this.pendingBytes
  }

  write(buffer: Buffer, start: number, end: number): WriteOutcome {
    const { socket } = this
    if (this.#isReleased || !socket.writable) return WRITE.failed
    const length = end - start
    this.pendingBytes += length
    socket.write(Buffer.from(buffer.subarray(start, end)), (error) => {
      this.pendingBytes -= length
      if (error == null && this.pendingBytes === 0 && !this.#isReleased) this.#owner.onDrained()
    })
    return WRITE.waits
  }

  push(): void {
    // Nothing was held back.
  }

  takeFrom(): number {
    return 0
  }

  hasUnread(): boolean {
    return this.#unreadBytes > 0
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  end(): void {
    if (!this.#isReleased) this.socket.end()
  }

  destroy(): void {
    this.#isReleased = true
    this.socket.destroy()
  }

  reset(): void {
    this.#isReleased = true
    if ('encrypted' in this.socket) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  #deliver(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !this.#isReleased;) {
      const length = bytes.copy(this.#landing, 0, at)
      at += length
      this.#unreadBytes = bytes.length - at
      this.#landing = this.#owner.onBytes(length) ?? this.#landing
    }
  }

  #gone(code: string): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#isReleased = true
    this.#owner.onGone(code)
  }
}
