import { Socket } from 'node:net'
import { getSystemErrorMessage, getSystemErrorName } from 'node:util'
import { parseIp } from '../../common/net/address.ts'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { listenFailure } from '../../common/runtime/listen-failure.ts'
import {
  AF_INET,
  AF_INET6,
  attachProgram,
  bindTo,
  closeFd,
  errno,
  listenOn,
  openTcp,
  PROGRAM_OPTION,
  setOption,
  setV6Only,
  SOCKET_OPTION,
} from './socket-calls.ts'
import type { Instruction } from './socket-calls.ts'

/** The kernel cuts it to net.core.somaxconn. */
const BACKLOG = 4096

/** Where to listen. `[::]` without `isV6Only` takes IPv4 too. */
export interface ListeningPlace {
  /** Canonical, without brackets. */
  readonly address: string
  readonly port: number
  readonly isV6Only: boolean
}

/** The sockets of one place: one per worker, all with SO_REUSEPORT, so that the kernel shares out. */
export interface ListeningGroup {
  /** Names the place: `0.0.0.0:80`, `[::]:80 v6only`. */
  readonly name: string
  /** What a worker is sent: its socket's handle. The group keeps its own descriptor of it. */
  handle(index: number): object
  readonly count: number
  /**
   * Adds sockets, or sends no new connection to the last ones any more; those stay open, so that
   * what waits in their queues is still taken, until `closeFrom`.
   */
  resize(count: number): void
  /** Closes the sockets that `resize` left over. */
  closeRest(): void
  /**
   * From now on the kernel drops every new SYN unseen; clients send it again after a second.
   * What is already in the queues can be taken until `close`, so that nobody is reset.
   */
  refuse(): void
  close(): void
}

/**
 * Opens the first socket of a place. It binds without SO_REUSEPORT, so that whoever listens there
 * already, even this user's own, is found; throws `RTR_LISTEN_FAILED`, naming the owner.
 * `isOurs`: another socket of this process is known to have the port; sharing it is meant.
 */
export function openListeningGroup(
  place: ListeningPlace,
  { isOurs = false }: { readonly isOurs?: boolean } = {},
): ListeningGroup {
  const name = placeName(place)
  const handles = [openHandle(place, isOurs)]
  let used = 1
  return {
    name,
    get count() {
      return used
    },
    handle: (index) => {
      const handle = handles[index]
      if (handle === undefined) throw new RangeError(`${name} has no socket ${index}`)
      return handle._handle
    },
    resize(count) {
      while (handles.length < count) handles.push(openHandle(place, true))
      used = count
      const [first] = handles
      if (first === undefined) return
      if (count < handles.length) steer(first, count)
      else unsteer(first)
    },
    closeRest() {
      // Backwards: the kernel fills a gap with the last one, and a worker's place must not change.
      while (handles.length > used) handles.pop()?._handle.close()
      const [first] = handles
      if (first !== undefined) unsteer(first)
    },
    refuse() {
      for (const handle of handles) attachProgram(handle._handle.fd, PROGRAM_OPTION.filter, NO_SYN)
    },
    close() {
      for (const handle of handles.splice(0)) handle._handle.close()
      used = 0
    },
  }
}

/** Different places have different names, wherever they are written. */
export function placeName({ address, port, isV6Only }: ListeningPlace): string {
  if (!address.includes(':')) return `${address}:${port}`
  return `[${address}]:${port}${isV6Only ? ' v6only' : ''}`
}

/**
 * The places of a configuration's listeners, in their order: `[::]` takes IPv4 too unless an IPv4
 * listener has that port; any other IPv6 address takes none.
 */
export function listeningPlaces(
  listeners: readonly { readonly address: string; readonly port: number }[],
): ListeningPlace[] {
  return listeners.map(({ address, port }) => ({
    address,
    port,
    isV6Only:
      address.includes(':') &&
      (address !== '::' ||
        listeners.some((other) => other.port === port && !other.address.includes(':'))),
  }))
}

/** `net.Socket` owns the descriptor; its handle is what IPC can carry and `listen` can take. */
interface SocketWithHandle {
  readonly _handle: { readonly fd: number; close(): void }
}

function openHandle(place: ListeningPlace, isShared: boolean): SocketWithHandle {
  const fd = openSocket(place, isShared)
  // Neither readable nor writable: nothing touches the descriptor here.
  const socket = new Socket({ fd, readable: false, writable: false })
  return socket as unknown as SocketWithHandle
}

function openSocket(place: ListeningPlace, isShared: boolean): number {
  const isIpv6 = place.address.includes(':')
  const fd = openTcp(isIpv6 ? AF_INET6 : AF_INET)
  if (fd < 0) throw listenError(place)
  const isOpen =
    setOption(fd, SOCKET_OPTION.reuseAddress, 1) === 0 &&
    (!isIpv6 || setV6Only(fd, place.isV6Only) === 0) &&
    (!isShared || setOption(fd, SOCKET_OPTION.reusePort, 1) === 0) &&
    bindTo(fd, socketAddress(place)) === 0 &&
    (isShared || setOption(fd, SOCKET_OPTION.reusePort, 1) === 0) &&
    listenOn(fd, BACKLOG) === 0
  if (isOpen) return fd
  const error = listenError(place)
  closeFd(fd)
  throw error
}

function listenError(place: ListeningPlace): ApplianceError {
  const code = -errno()
  const where = placeName(place).replace(' v6only', '')
  const reason = listenFailure(getSystemErrorName(code), place) ?? getSystemErrorMessage(code)
  return new ApplianceError('RTR_LISTEN_FAILED', `Cannot listen on ${where}: ${reason}`)
}

/** `struct sockaddr_in` or `sockaddr_in6`: family in host order, port and address in network order. */
function socketAddress({ address, port }: ListeningPlace): Uint8Array {
  const isIpv6 = address.includes(':')
  const bytes = new Uint8Array(isIpv6 ? 28 : 16)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, isIpv6 ? AF_INET6 : AF_INET, true)
  view.setUint16(2, port)
  bytes.set(parseIp(address)?.bytes ?? [], isIpv6 ? 8 : 4)
  return bytes
}

/** Byte 13 of the TCP header holds the flags: SYN without ACK gets 0 bytes through, others all. */
const NO_SYN: readonly Instruction[] = [
  [0x30, 0, 0, 13],
  [0x54, 0, 0, 0x12],
  [0x15, 0, 1, 0x02],
  [0x06, 0, 0, 0],
  [0x06, 0, 0, 0xffff_ffff],
]

/** A random number (the ancillary load at -0x1000 + 56) modulo the count is the socket's index. */
const pickAmong = (count: number): readonly Instruction[] => [
  [0x20, 0, 0, -0x1000 + 56],
  [0x94, 0, 0, count],
  [0x16, 0, 0, 0],
]

const steer = ({ _handle: { fd } }: SocketWithHandle, count: number): void => {
  attachProgram(fd, PROGRAM_OPTION.reusePort, pickAmong(count))
}

/** Without one attached it is an error, and none that matters. */
const unsteer = ({ _handle: { fd } }: SocketWithHandle): void => {
  setOption(fd, SOCKET_OPTION.detachReusePortProgram, 0)
}
