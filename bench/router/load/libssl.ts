/**
 * The few calls of OpenSSL that the load generator makes itself; see libc.ts for why. They are those
 * of Node's own binary: the system's libssl would find Node's libcrypto and crash.
 */
import koffi from 'koffi'

type Pointer = bigint | object | null

const TLS1_3_VERSION = 0x0304
const SSL_CTRL_SET_READ_AHEAD = 41
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123
export const SSL_ERROR_WANT_READ = 2
export const SSL_ERROR_WANT_WRITE = 3
export const SSL_ERROR_SYSCALL = 5
export const SSL_ERROR_ZERO_RETURN = 6

export interface Tls {
  /** A client session on a connected socket, not yet shaken hands. */
  open(fd: number): Pointer
  handshake(session: Pointer): number
  read(session: Pointer, bytes: Uint8Array, length: number): number
  write(session: Pointer, bytes: Uint8Array, length: number): number
  error(session: Pointer, result: number): number
  cipher(session: Pointer): string
  free(session: Pointer): void
}

/** Makes one client context: TLS 1.3 with exactly one cipher. */
export function openTls(cipherSuite: string): Tls {
  const libssl = koffi.load(null)
  const call = (prototype: string): unknown => libssl.func(prototype)
  const clientMethod = call('void *TLS_client_method()') as () => Pointer
  const newContext = call('void *SSL_CTX_new(void *)') as (method: Pointer) => Pointer
  const control = call('long SSL_CTX_ctrl(void *, int, long, void *)') as (
    context: Pointer,
    command: number,
    value: number,
    more: null,
  ) => number
  const setSuites = call('int SSL_CTX_set_ciphersuites(void *, const char *)') as (
    context: Pointer,
    suites: string,
  ) => number
  const setReadBuffer = call('void SSL_CTX_set_default_read_buffer_len(void *, size_t)') as (
    context: Pointer,
    bytes: number,
  ) => void
  const newSession = call('void *SSL_new(void *)') as (context: Pointer) => Pointer
  const setFd = call('int SSL_set_fd(void *, int)') as (session: Pointer, fd: number) => number
  const setConnect = call('void SSL_set_connect_state(void *)') as (session: Pointer) => void
  const currentCipher = call('void *SSL_get_current_cipher(void *)') as (
    session: Pointer,
  ) => Pointer
  const cipherName = call('const char *SSL_CIPHER_get_name(void *)') as (cipher: Pointer) => string

  const context = newContext(clientMethod())
  control(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_3_VERSION, null)
  control(context, SSL_CTRL_SET_READ_AHEAD, 1, null)
  setReadBuffer(context, 65_536)
  if (setSuites(context, cipherSuite) !== 1) {
    throw new Error(`Cannot use the cipher suite "${cipherSuite}": OpenSSL does not know it`)
  }
  return {
    open(fd) {
      const session = newSession(context)
      setFd(session, fd)
      setConnect(session)
      return session
    },
    handshake: call('int SSL_do_handshake(void *)') as Tls['handshake'],
    read: call('int SSL_read(void *, void *, int)') as Tls['read'],
    write: call('int SSL_write(void *, void *, int)') as Tls['write'],
    error: call('int SSL_get_error(void *, int)') as Tls['error'],
    cipher: (session) => cipherName(currentCipher(session)),
    free: call('void SSL_free(void *)') as Tls['free'],
  }
}
