/**
 * The few calls of libc that the load generator makes itself: a socket that is read and written
 * without streams costs the client less than the proxy under test, so the proxy is what saturates.
 * Every call is synchronous and returns what libc returns; `errno()` tells why it was -1.
 */
import koffi from 'koffi'

const libc = koffi.load('libc.so.6')

export const AF_INET = 2
export const SOCK_STREAM_NONBLOCK = 1 | 0o4000
export const IPPROTO_TCP = 6
export const TCP_NODELAY = 1
export const MSG_NOSIGNAL = 0x4000
export const EPOLL_CTL_ADD = 1
export const EPOLLIN = 1
export const POLLIN = 1
export const POLLOUT = 4
export const EAGAIN = 11
export const EINTR = 4
export const EINPROGRESS = 115
const PR_SET_TIMERSLACK = 29

type Call<A extends unknown[]> = (...args: A) => number
const call = <A extends unknown[]>(prototype: string): Call<A> => libc.func(prototype) as Call<A>

export const socket = call<[number, number, number]>('int socket(int, int, int)')
export const connect = call<[number, Uint8Array, number]>('int connect(int, void *, uint32_t)')
export const send = call<[number, Uint8Array, number, number]>(
  'long send(int, void *, size_t, int)',
)
export const recv = call<[number, Uint8Array, number, number]>(
  'long recv(int, void *, size_t, int)',
)
export const close = call<[number]>('int close(int)')
export const poll = call<[Uint8Array, number, number]>('int poll(void *, unsigned long, int)')
export const setsockopt = call<[number, number, number, Uint8Array, number]>(
  'int setsockopt(int, int, int, void *, uint32_t)',
)
export const epollCreate = call<[number]>('int epoll_create1(int)')
export const epollCtl = call<[number, number, number, Uint8Array]>(
  'int epoll_ctl(int, int, int, void *)',
)
/** glibc 2.35 and later: the time-out is a struct timespec, so waits end to the microsecond. */
export const epollPwait2 = call<[number, Uint8Array, number, Uint8Array, null]>(
  'int epoll_pwait2(int, void *, int, void *, void *)',
)
const prctl = call<[number, number, number, number, number]>(
  'int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)',
)

/** Why the last call failed. */
export const errno = (): number => koffi.errno()

/** Lets timed waits end when asked instead of up to 50 µs later. */
export function sharpenTimers(): void {
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

/** struct sockaddr_in of 127.0.0.1. */
export function loopbackAddress(port: number): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, AF_INET, true)
  view.setUint16(2, port)
  bytes.set([127, 0, 0, 1], 4)
  return bytes
}

/** struct epoll_event is packed on x64 only. */
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16
const EVENT_DATA = process.arch === 'x64' ? 4 : 8

/** Waits on many sockets, each known by a small number. */
export class Epoll {
  readonly #fd: number
  readonly #events: DataView
  readonly #bytes: Uint8Array
  readonly #timeout = new BigInt64Array(2)
  readonly #timeoutBytes = new Uint8Array(this.#timeout.buffer)

  constructor(capacity: number) {
    this.#fd = epollCreate(0)
    if (this.#fd < 0) throw new Error(`Cannot create an epoll set: errno ${errno()}`)
    this.#bytes = new Uint8Array(EVENT_BYTES * capacity)
    this.#events = new DataView(this.#bytes.buffer)
  }

  add(fd: number, key: number): void {
    const event = new Uint8Array(EVENT_BYTES)
    const view = new DataView(event.buffer)
    view.setUint32(0, EPOLLIN, true)
    view.setUint32(EVENT_DATA, key, true)
    if (epollCtl(this.#fd, EPOLL_CTL_ADD, fd, event) < 0) {
      throw new Error(`Cannot watch a socket: errno ${errno()}`)
    }
  }

  /** How many are ready; `key` tells which. */
  wait(timeoutMs: number): number {
    const ns = BigInt(Math.round(Math.max(timeoutMs, 0) * 1e6))
    this.#timeout[0] = ns / 1_000_000_000n
    this.#timeout[1] = ns % 1_000_000_000n
    const capacity = this.#bytes.length / EVENT_BYTES
    const count = epollPwait2(this.#fd, this.#bytes, capacity, this.#timeoutBytes, null)
    if (count < 0 && errno() !== EINTR) throw new Error(`Cannot wait: errno ${errno()}`)
    return Math.max(count, 0)
  }

  key(index: number): number {
    return this.#events.getUint32(index * EVENT_BYTES + EVENT_DATA, true)
  }

  close(): void {
    close(this.#fd)
  }
}

/** Blocks until one socket is readable or writable; false when the time is over. */
export function waitForOne(fd: number, events: number, timeoutMs: number): boolean {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  view.setInt32(0, fd, true)
  view.setInt16(4, events, true)
  return poll(bytes, 1, timeoutMs) > 0
}
