import { Buffer } from 'node:buffer'
import { addressOf } from '../address-of.ts'
import type { Address } from '../address-of.ts'
import { memoryAt } from './openssl.ts'
import type { OpenSsl } from './openssl.ts'
import { WRITE } from '../transport.ts'
import type { Transport, WriteOutcome } from '../transport.ts'

/**
 * The way into OpenSSL and out of it that all of a process's sessions share: a pair of BIOs
 * (BIO_s_bio(3)), rings in memory. Everything is done within one call, so that nothing of a session
 * stays in them when the next one's turn comes, and no session needs buffers of its own.
 */
export class SecureWire {
  /** Where bytes land that came for any session; `feed` takes them. */
  readonly landing = Buffer.allocUnsafeSlow(LANDING_BYTES)
  readonly #landingAt = addressOf(this.landing)
  readonly #ssl: OpenSsl
  /** OpenSSL's end of the pair, and ours. */
  readonly #inside: Address
  readonly #outside: Address
  /** Whose input is in the ring; 0: nobody's. */
  #reader: Address = 0
  /** The ring that OpenSSL writes to. */
  readonly #made: Buffer
  readonly #madeAt: number
  /** Where OpenSSL puts a pointer into it. */
  readonly #pointer = new Uint32Array(Buffer.allocUnsafeSlow(POINTER_BYTES).buffer)
  readonly #pointerAt = addressOf(this.#pointer)

  constructor(ssl: OpenSsl) {
    this.#ssl = ssl
    const inside = new BigInt64Array(1)
    const outside = new BigInt64Array(1)
    if (ssl.BIO_new_bio_pair(inside, MADE_BYTES, outside, LANDING_BYTES) !== 1)
      throw new Error('OpenSSL has no memory for a pair of BIOs')
    this.#inside = Number(inside[0])
    this.#outside = Number(outside[0])
    // Nothing was written yet: the place to write to is the ring's start.
    ssl.BIO_nwrite0(this.#inside, this.#pointerAt)
    const [low = 0, high = 0] = this.#pointer
    this.#made = Buffer.from(memoryAt(high * 2 ** 32 + low, MADE_BYTES))
    this.#madeAt = low
  }

  /** From now on the session reads what is fed, and what it writes is sent by `sendTo`. */
  attach(session: Address): void {
    this.#ssl.BIO_up_ref(this.#inside)
    this.#ssl.SSL_set_bio(session, this.#inside, this.#inside)
  }

  /** Hands what has landed to a session, until `rest`; false: it did not fit, which can't be. */
  feed(session: Address, length: number): boolean {
    this.#reader = session
    // SSL_get_error(3) goes by what OpenSSL's error queue holds, whoever left it there.
    if (this.#ssl.ERR_peek_error() !== 0) this.#ssl.ERR_clear_error()
    return this.#ssl.BIO_write(this.#outside, this.#landingAt, length) === length
  }

  /** Nobody reads; what was fed has been taken, or `dropInput` follows. */
  rest(): void {
    this.#reader = 0
  }

  /**
   * Whether that session may write now: one that is amid renewing its keys reads, too, and what is
   * there may be another's.
   */
  mayWrite(session: Address): boolean {
    const isAlone = this.#reader === 0 || this.#reader === session
    return isAlone || this.#ssl.SSL_in_init(session) === 0
  }

  hasInput(): boolean {
    return this.#ssl.BIO_ctrl_pending(this.#inside) > 0
  }

  /** Nobody else may read what the session that was fed has left. */
  dropInput(): void {
    this.#ssl.BIO_ctrl(this.#outside, BIO_CTRL_RESET, 0, 0)
  }

  /** As little may anybody else send what a session made and could not send. */
  dropOutput(): void {
    this.#ssl.BIO_ctrl(this.#inside, BIO_CTRL_RESET, 0, 0)
  }

  /** What OpenSSL has made and nobody has sent. */
  get outputBytes(): number {
    return this.#ssl.BIO_ctrl_pending(this.#outside)
  }

  /** Sends what the session made; what the kernel does not take is copied before this returns. */
  sendTo(transport: Transport, isMoreToCome: boolean): WriteOutcome {
    let outcome: WriteOutcome = WRITE.done
    for (;;) {
      const length = this.#ssl.BIO_nread(this.#outside, this.#pointerAt, MADE_BYTES)
      if (length <= 0) return outcome
      const start = ((this.#pointer[0] ?? 0) - this.#madeAt) >>> 0
      outcome = transport.write(this.#made, start, start + length, isMoreToCome)
      if (outcome === WRITE.failed) {
        this.dropOutput()
        return outcome
      }
      // What begins at the ring's start is all there is.
      if (start === 0) return outcome
    }
  }
}

const LANDING_BYTES = 64 * 1024
/** For a session's largest write with its records' frames, were they as short as may be. */
const MADE_BYTES = 288 * 1024
const POINTER_BYTES = 8
// openssl/bio.h
const BIO_CTRL_RESET = 1
