import type { Socket } from 'node:net'

/** Its number in this process; -1 once it is closed. */
export const descriptorOf = (socket: Socket): number =>
  (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1
