import { Buffer } from 'node:buffer'
import type { Arrival, Transport, TransportOwner } from './transport.ts'

/**
 * Answers a client that nobody serves with the bytes up to `end` and ends its connection; what it
 * sends meanwhile is dropped, so that the answer arrives (RFC 9112 section 9.6).
 */
export function refuseClient(arrival: Arrival, answer: Buffer, end: number): void {
  new RefusedClient(arrival, answer, end)
}

class RefusedClient implements TransportOwner {
  readonly #transport: Transport
  readonly #timer: NodeJS.Timeout
  #dropped = 0

  constructor(arrival: Arrival, answer: Buffer, end: number) {
    this.#timer = setTimeout(() => {
      this.#transport.destroy()
    }, LINGER_MS)
    this.#transport = arrival.open(this, LANDING)
    this.#transport.write(answer, 0, end)
    this.#transport.end()
  }

  onBytes(length: number): undefined {
    this.#dropped += length
    if (this.#dropped > MOST_DROPPED_BYTES) this.#transport.destroy()
  }

  onEnd(): void {
    this.#transport.destroy()
  }

  onDrained(): void {
    // FIN is behind it already.
  }

  onGone(): void {
    clearTimeout(this.#timer)
  }
}

const LANDING = Buffer.allocUnsafeSlow(16 * 1024)
const LINGER_MS = 1000
const MOST_DROPPED_BYTES = 64 * 1024
