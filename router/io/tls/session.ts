import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { addressOf } from '../address-of.ts'
import type { Address } from '../address-of.ts'
import type { OpenSsl } from './openssl.ts'
import { SecureWire } from './wire.ts'
import { nextError } from './contexts.ts'
import type { SecureContexts } from './contexts.ts'
import { WRITE } from '../transport.ts'
import type {
  Arrival,
  OpenTransport,
  TlsFacts,
  Transport,
  TransportOwner,
  WriteOutcome,
} from '../transport.ts'

export interface SecureSessionInit {
  readonly ssl: OpenSsl
  readonly contexts: SecureContexts
  /** What `contexts` opened for this client. */
  readonly session: Address
  readonly socket: Socket
  /** Opens the connection below. */
  readonly openTransport: OpenTransport
  /** TLS is established: whoever wants the connection calls `open`, at once. */
  readonly onSecure: (arrival: Arrival) => void
  /** The handshake came to nothing: an errno name, or OpenSSL's reason as Node codes it. */
  readonly onFailure: (code: string) => void
}

/**
 * TLS by OpenSSL over another transport: records go into OpenSSL as they land, and what it makes of
 * the bytes that are written is sent from where it lies (docs/adr/0008-openssl.md).
 */
export class SecureSession implements Transport, TransportOwner, Arrival {
  readonly socket: Socket
  readonly #ssl: OpenSsl
  readonly #contexts: SecureContexts
  readonly #wire: SecureWire
  readonly #below: Transport
  readonly #onSecure: SecureSessionInit['onSecure']
  readonly #onFailure: SecureSessionInit['onFailure']
  /** 0: over. */
  #session: Address
  #isShaking = true
  /** The peer sent close_notify, or FIN without it. */
  #hasEnded = false
  #isGone = false
  #tls: TlsFacts | undefined
  #owner: TransportOwner | undefined
  /** Of what waits, as much as OpenSSL made by itself. */
  #unaskedBytes = 0
  #landing: Buffer = NO_BYTES
  #landingAt: Address = 0

  constructor(init: SecureSessionInit) {
    this.socket = init.socket
    this.#ssl = init.ssl
    this.#contexts = init.contexts
    this.#onSecure = init.onSecure
    this.#onFailure = init.onFailure
    this.#wire = theWire ??= new SecureWire(init.ssl)
    this.#session = init.session
    this.#wire.attach(this.#session)
    this.#below = init.openTransport(init.socket, this, this.#wire.landing)
  }

  get tls(): TlsFacts | undefined {
    return this.#tls
  }

  open(owner: TransportOwner, landing: Buffer): Transport {
    this.#owner = owner
    this.#land(landing)
    return this
  }

  get pendingBytes(): number {
    return this.#below.pendingBytes
  }

  get queuedBytes(): number {
    return this.#below.queuedBytes
  }

  write(buffer: Buffer, start: number, end: number, isMoreToCome = false): WriteOutcome {
    let outcome: WriteOutcome = WRITE.done
    const address = addressOf(buffer)
    for (let at = start; at < end;) {
      if (this.#session === 0) return WRITE.failed
      const length = Math.min(end - at, MOST_WRITTEN_BYTES)
      if (!this.#encrypt(address + at, length)) {
        this.#fail()
        return WRITE.failed
      }
      at += length
      outcome = this.#send(isMoreToCome || at < end)
      if (outcome === WRITE.failed) return outcome
    }
    return outcome
  }

  #encrypt(from: Address, length: number): boolean {
    if (!this.#wire.mayWrite(this.#session)) return false
    return this.#ssl.SSL_write(this.#session, from, length) === length
  }

  push(): void {
    this.#below.push()
  }

  readonly canTake = false

  takeFrom(): number {
    return 0
  }

  hasUnread(): boolean {
    return this.#below.hasUnread()
  }

  pause(): void {
    this.#below.pause()
  }

  resume(): void {
    this.#below.resume()
  }

  /** close_notify, and FIN behind it. */
  end(): void {
    if (this.#session === 0) return
    this.#ssl.SSL_shutdown(this.#session)
    if (this.#send(false) !== WRITE.failed) this.#below.end()
  }

  destroy(): void {
    this.#release()
    this.#below.destroy()
  }

  reset(): void {
    this.#release()
    this.#below.reset()
  }

  /** Gives up a handshake that takes too long. */
  expire(): void {
    if (this.#isShaking) this.#fail('ERR_TLS_HANDSHAKE_TIMEOUT')
  }

  /** From below: so many bytes stand in the wire's landing. */
  onBytes(length: number): undefined {
    if (this.#session === 0 || this.#hasEnded) return
    const isFed = this.#wire.feed(this.#session, length)
    const isRead = isFed && (!this.#isShaking || this.#shake()) && this.#read()
    this.#wire.rest()
    if (!isRead) this.#wire.dropInput()
    if (!isFed) this.#fail('ENOBUFS')
  }

  onEnd(): void {
    if (this.#isShaking) this.#fail('ECONNRESET')
    else this.#ended()
  }

  onDrained(): void {
    this.#unaskedBytes = 0
    this.#owner?.onDrained()
  }

  onGone(code: string): void {
    this.#gone(code)
  }

  /** Whether TLS is established. */
  #shake(): boolean {
    const result = this.#contexts.shake(this.#session)
    if (result !== 1 && this.#ssl.SSL_get_error(this.#session, result) !== SSL_ERROR_WANT_READ) {
      const code = nextError(this.#ssl)
      // The alert that says why.
      this.#send(false)
      this.#fail(code)
      return false
    }
    if (!this.#sendUnasked() || result !== 1) return false
    this.#isShaking = false
    this.#tls = this.#facts()
    this.#onSecure(this)
    if (this.#owner === undefined) this.destroy()
    return this.#session !== 0
  }

  #facts(): TlsFacts {
    const cipher = this.#ssl.SSL_get_current_cipher(this.#session)
    return {
      protocol: this.#ssl.SSL_get_version(this.#session) ?? '',
      cipher: this.#ssl.SSL_CIPHER_standard_name(cipher) ?? '',
      isResumed: this.#ssl.SSL_session_reused(this.#session) === 1,
    }
  }

  /** Hands on what has come, a record at a time; false: something may be left of it. */
  #read(): boolean {
    let length: number
    do {
      length = this.#ssl.SSL_read(this.#session, this.#landingAt, this.#landing.length)
      if (!this.#sendUnasked()) return false
      if (length <= 0) return this.#readNothing(length)
      const next = this.#owner?.onBytes(length)
      if (next !== undefined) this.#land(next)
      if (this.#session === 0) return false
      // One that is full may have left a part of its record behind.
    } while (this.#wire.hasInput() || length === this.#landing.length)
    return true
  }

  #readNothing(result: number): boolean {
    switch (this.#ssl.SSL_get_error(this.#session, result)) {
      case SSL_ERROR_WANT_READ:
        return true
      case SSL_ERROR_ZERO_RETURN:
        // close_notify: what stands behind it is nobody's.
        this.#below.pause()
        this.#ended()
        return false
      default:
        this.#fail()
        return false
    }
  }

  #ended(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#owner?.onEnd()
  }

  #land(landing: Buffer): void {
    this.#landing = landing
    this.#landingAt = addressOf(landing)
  }

  /**
   * Sends what OpenSSL answers by itself: a handshake's next step, alerts, new keys. Nobody slows
   * down who asks for it, so that a client who reads nothing of it is let go.
   */
  #sendUnasked(): boolean {
    const bytes = this.#wire.outputBytes
    if (bytes === 0) return true
    const outcome = this.#send(false)
    if (outcome !== WRITE.waits) return outcome === WRITE.done
    this.#unaskedBytes += bytes
    if (this.#unaskedBytes <= MOST_UNASKED_BYTES) return true
    this.#fail('ENOBUFS')
    return false
  }

  #send(isMoreToCome: boolean): WriteOutcome {
    return this.#wire.sendTo(this.#below, isMoreToCome)
  }

  #fail(code = nextError(this.#ssl)): void {
    this.destroy()
    this.#gone(code)
  }

  #gone(code: string): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#release()
    if (this.#isShaking) this.#onFailure(code === '' ? 'ECONNRESET' : code)
    else this.#owner?.onGone(code)
  }

  /** After this OpenSSL is not asked any more; what it could not make whole is nobody's. */
  #release(): void {
    if (this.#session === 0) return
    this.#wire.dropOutput()
    this.#ssl.SSL_free(this.#session)
    this.#session = 0
  }
}

const NO_BYTES = Buffer.alloc(0)
/** What one call of SSL_write takes: a landing whole, and with its records' frames a wire's room. */
const MOST_WRITTEN_BYTES = 240 * 1024
/** More than anybody waits for who reads. */
const MOST_UNASKED_BYTES = 64 * 1024
// openssl/ssl.h
const SSL_ERROR_WANT_READ = 2
const SSL_ERROR_ZERO_RETURN = 6

let theWire: SecureWire | undefined
