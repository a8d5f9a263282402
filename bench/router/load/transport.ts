import {
  close,
  connect,
  EAGAIN,
  EINPROGRESS,
  EINTR,
  errno,
  IPPROTO_TCP,
  loopbackAddress,
  MSG_NOSIGNAL,
  POLLIN,
  POLLOUT,
  recv,
  send,
  setsockopt,
  socket,
  AF_INET,
  SOCK_STREAM_NONBLOCK,
  TCP_NODELAY,
  waitForOne,
} from './libc.ts'
import {
  SSL_ERROR_SYSCALL,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_WRITE,
  SSL_ERROR_ZERO_RETURN,
  type Tls,
} from './libssl.ts'

/** What `receive` returns beside a count of bytes. */
export const NOTHING_NOW = -1
export const ENDED = 0

/** One connection to a proxy, plain or TLS. */
export interface Transport {
  readonly fd: number
  /** Sends all of it; a request always fits the socket's buffer. */
  send(bytes: Uint8Array): void
  /** Bytes put at the start of `into`, or ENDED, or NOTHING_NOW. */
  receive(into: Uint8Array): number
  close(): void
}

const ON = Uint8Array.of(1, 0, 0, 0)
const CONNECT_MS = 5000

function openSocket(port: number): number {
  const fd = socket(AF_INET, SOCK_STREAM_NONBLOCK, 0)
  if (fd < 0) throw new Error(`Cannot open a socket: errno ${errno()} (24: see ulimit -n)`)
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ON, ON.length)
  if (connect(fd, loopbackAddress(port), 16) < 0 && errno() !== EINPROGRESS) {
    throw new Error(`Cannot connect to 127.0.0.1:${port}: errno ${errno()}`)
  }
  if (!waitForOne(fd, POLLOUT, CONNECT_MS)) {
    throw new Error(`Cannot connect to 127.0.0.1:${port}: no answer in ${CONNECT_MS} ms`)
  }
  return fd
}

/** A plain TCP connection to a port of this machine. */
export function openPlain(port: number): Transport {
  const fd = openSocket(port)
  return {
    fd,
    send(bytes) {
      if (send(fd, bytes, bytes.length, MSG_NOSIGNAL) !== bytes.length) {
        throw new Error(`Cannot send a request to port ${port}: errno ${errno()}`)
      }
    },
    receive(into) {
      const count = recv(fd, into, into.length, 0)
      if (count >= 0) return count
      const reason = errno()
      if (reason === EAGAIN || reason === EINTR) return NOTHING_NOW
      throw new Error(`Connection to port ${port} broke: errno ${reason}`)
    },
    close: () => {
      close(fd)
    },
  }
}

/** A TLS connection to a port of this machine, its handshake done. */
export function openSecure(port: number, tls: Tls): Transport {
  const fd = openSocket(port)
  const session = tls.open(fd)
  for (;;) {
    const result = tls.handshake(session)
    if (result === 1) break
    const reason = tls.error(session, result)
    const isReading = reason === SSL_ERROR_WANT_READ
    if (!isReading && reason !== SSL_ERROR_WANT_WRITE) {
      throw new Error(`Cannot shake hands with port ${port}: OpenSSL error ${reason}`)
    }
    if (!waitForOne(fd, isReading ? POLLIN : POLLOUT, CONNECT_MS)) {
      throw new Error(`Cannot shake hands with port ${port}: silent for ${CONNECT_MS} ms`)
    }
  }
  return {
    fd,
    send(bytes) {
      if (tls.write(session, bytes, bytes.length) !== bytes.length) {
        throw new Error(`Cannot send a request to port ${port} over TLS`)
      }
    },
    receive(into) {
      const count = tls.read(session, into, into.length)
      if (count > 0) return count
      const reason = tls.error(session, count)
      if (reason === SSL_ERROR_WANT_READ) return NOTHING_NOW
      if (reason === SSL_ERROR_ZERO_RETURN) return ENDED
      const detail = reason === SSL_ERROR_SYSCALL ? `errno ${errno()}` : `OpenSSL error ${reason}`
      throw new Error(`TLS connection to port ${port} broke: ${detail}`)
    },
    close: () => {
      tls.free(session)
      close(fd)
    },
  }
}
