import koffi from 'koffi'

/**
 * libc's socket calls, as far as listening sockets need them. Each throws nothing: it returns what
 * the call returned, and `errno()` says why it was -1.
 */
const libc = koffi.load('libc.so.6')

const socket = libc.func('int socket(int domain, int type, int protocol)')
const bind = libc.func('int bind(int fd, const uint8_t *address, uint32_t length)')
const listen = libc.func('int listen(int fd, int backlog)')
const close = libc.func('int close(int fd)')
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
)
const prctl = libc.func('int prctl(int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d)')

export const AF_INET = 2
export const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000

const SOL_SOCKET = 1
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26

/** Socket options of SOL_SOCKET with an int for a value. */
export const SOCKET_OPTION = { reuseAddress: 2, reusePort: 15, detachReusePortProgram: 68 } as const

/** Options that take a classic BPF program. */
export const PROGRAM_OPTION = { filter: 26, reusePort: 51 } as const

/** An instruction of classic BPF: code, jump if true, jump if false, operand. */
export type Instruction = readonly [code: number, jt: number, jf: number, k: number]

export const errno = (): number => koffi.errno()

/** A TCP socket that is not inherited and does not block, or -1. */
export const openTcp = (family: number): number =>
  socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number

/** `address` is a `struct sockaddr`, as `socketAddress` makes it. */
export const bindTo = (fd: number, address: Uint8Array): number =>
  bind(fd, address, address.length) as number

export const listenOn = (fd: number, backlog: number): number => listen(fd, backlog) as number

export const closeFd = (fd: number): number => close(fd) as number

export const setOption = (fd: number, option: number, value: number): number =>
  setsockopt(fd, SOL_SOCKET, option, new Uint8Array(Int32Array.of(value).buffer), 4) as number

export const setV6Only = (fd: number, isV6Only: boolean): number =>
  setsockopt(
    fd,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    new Uint8Array(Int32Array.of(isV6Only ? 1 : 0).buffer),
    4,
  ) as number

/** Attaches a program (`struct sock_fprog`: a count, and a pointer to 8 bytes per instruction). */
export function attachProgram(
  fd: number,
  option: number,
  instructions: readonly Instruction[],
): number {
  const code: unknown = koffi.alloc('uint8_t', instructions.length * 8)
  const bytes = new DataView(koffi.view(code, instructions.length * 8))
  instructions.forEach(([operation, jt, jf, k], index) => {
    bytes.setUint16(index * 8, operation, true)
    bytes.setUint8(index * 8 + 2, jt)
    bytes.setUint8(index * 8 + 3, jf)
    bytes.setUint32(index * 8 + 4, k >>> 0, true)
  })
  const program = new Uint8Array(16)
  const fields = new DataView(program.buffer)
  fields.setUint16(0, instructions.length, true)
  fields.setBigUint64(8, koffi.address(code), true)
  const result = setsockopt(fd, SOL_SOCKET, option, program, program.length) as number
  koffi.free(code)
  return result
}

/**
 * Programs that this process starts from now on inherit none of its ambient capabilities; its own
 * stay. (A kernel without them has none to inherit.)
 */
export const dropAmbientCapabilities = (): void => {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

const PR_CAP_AMBIENT = 47
const PR_CAP_AMBIENT_CLEAR_ALL = 4
