import type { Buffer } from 'node:buffer'
import koffi from 'koffi'

/**
 * Sends bytes `start` to `end` of a long-lived buffer on a socket, as many as the kernel takes at
 * once (send(2)): how many, 0 where it takes none now or the connection is broken. A call by
 * address makes no object at all, and tells what is left over before anybody must keep it.
 */
export function sendNow(fd: number, buffer: Buffer, start: number, end: number): number {
  const from = addressOf(buffer) + start
  return Math.max(0, calls?.send(fd, from, end - start, MSG_DONTWAIT | MSG_NOSIGNAL) ?? 0)
}

/** Whether this system has the calls. */
export const canSendNow = (): boolean => calls !== undefined

/** Bytes that the kernel holds of a socket's until its peer has taken them (SIOCOUTQ). */
export function untakenBytes(fd: number): number {
  const out = new Int32Array(1)
  return calls?.ioctl(fd, SIOCOUTQ, out) === 0 ? (out[0] ?? 0) : 0
}

/** Where the buffer lies; remembered for the few that most is sent from. */
function addressOf(buffer: Buffer): number {
  for (let i = 0; i < KNOWN; i++) {
    const at = (latest + i) % KNOWN
    if (buffers[at] !== buffer) continue
    latest = at
    return addresses[at] ?? 0
  }
  latest = (latest + KNOWN - 1) % KNOWN
  buffers[latest] = buffer
  return (addresses[latest] = Number(koffi.address(buffer)))
}

type Send = (fd: number, address: number, length: number, flags: number) => number

interface Calls {
  readonly send: Send
  readonly ioctl: (fd: number, request: number, value: Int32Array) => number
}

function loadCalls(): Calls | undefined {
  try {
    const libc = koffi.load('libc.so.6')
    return {
      send: libc.func('intptr_t send(int fd, intptr_t bytes, size_t length, int flags)') as Send,
      ioctl: libc.func('int ioctl(int fd, unsigned long request, int *value)') as Calls['ioctl'],
    }
  } catch {
    return undefined
  }
}

const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const KNOWN = 4
const SIOCOUTQ = 0x5411
const calls = loadCalls()
const buffers: (Buffer | undefined)[] = Array.from({ length: KNOWN })
const addresses: number[] = Array.from({ length: KNOWN }, () => 0)
let latest = 0
