import type { Buffer } from 'node:buffer'
import koffi from 'koffi'
import { addressOf } from './address-of.ts'

/**
 * Sends bytes `start` to `end` of a long-lived buffer on a socket, as many as the kernel takes at
 * once (send(2)): how many, 0 where it takes none now or the connection is broken. A call by
 * address makes no object at all, and tells what is left over before anybody must keep it. Where
 * more follows at once the kernel may wait for it, to send both in one packet; `pushNow` ends that.
 */
export function sendNow(
  fd: number,
  buffer: Buffer,
  start: number,
  end: number,
  isMoreToCome: boolean,
): number {
  const from = addressOf(buffer) + start
  const flags = isMoreToCome ? FLAGS | MSG_MORE : FLAGS
  return Math.max(0, calls?.send(fd, from, end - start, flags) ?? 0)
}

/** Sends what waits for more, as every TCP_NODELAY does that is set. */
export function pushNow(fd: number): void {
  calls?.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ONE, ONE.byteLength)
}

/** Whether this system has the calls. */
export const canSendNow = (): boolean => calls !== undefined

/** Bytes that the kernel holds of a socket's until its peer has taken them (SIOCOUTQ). */
export function untakenBytes(fd: number): number {
  const out = new Int32Array(1)
  return calls?.ioctl(fd, SIOCOUTQ, out) === 0 ? (out[0] ?? 0) : 0
}

/** Whether bytes have come on a socket that were not read. */
export const hasUnread = (fd: number): boolean =>
  (calls?.recv(fd, PEEKED, PEEKED.length, MSG_PEEK | FLAGS) ?? 0) > 0

type Send = (fd: number, address: number, length: number, flags: number) => number

interface Calls {
  readonly send: Send
  readonly recv: (fd: number, out: Uint8Array, length: number, flags: number) => number
  readonly setsockopt: (
    fd: number,
    level: number,
    name: number,
    value: Int32Array,
    length: number,
  ) => number
  readonly ioctl: (fd: number, request: number, value: Int32Array) => number
}

function loadCalls(): Calls | undefined {
  try {
    const libc = koffi.load('libc.so.6')
    return {
      send: libc.func('intptr_t send(int fd, intptr_t bytes, size_t length, int flags)') as Send,
      recv: libc.func(
        'intptr_t recv(int fd, uint8_t *out, size_t length, int flags)',
      ) as Calls['recv'],
      setsockopt: libc.func(
        'int setsockopt(int fd, int level, int name, const int *value, uint32_t length)',
      ) as Calls['setsockopt'],
      ioctl: libc.func('int ioctl(int fd, unsigned long request, int *value)') as Calls['ioctl'],
    }
  } catch {
    return undefined
  }
}

/** MSG_DONTWAIT | MSG_NOSIGNAL */
const FLAGS = 0x4040
const MSG_MORE = 0x8000
const MSG_PEEK = 0x2
const IPPROTO_TCP = 6
const TCP_NODELAY = 1
const ONE = Int32Array.of(1)
const PEEKED = new Uint8Array(1)
const SIOCOUTQ = 0x5411
const calls = loadCalls()
