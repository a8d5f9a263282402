import { shortageInWords } from '../../common/model/shortage.ts'
import type { ShortageCode } from '../../common/model/shortage.ts'

/**
 * Ports run out towards one address: another cache may still be reached. Descriptors and memory
 * lack for every connection.
 */
export const isTowardsOneServer = (code: ShortageCode): boolean =>
  code === 'EADDRNOTAVAIL' || code === 'EAGAIN'

/** Tells what this process lacks, at most once a minute however many requests meet it. */
export class ShortageTeller {
  readonly #openFilesLimit: number | undefined
  #silentUntilMs = -Infinity

  /** `openFilesLimit`: how many files the process may have open, where that is known. */
  constructor(openFilesLimit: number | undefined) {
    this.#openFilesLimit = openFilesLimit
  }

  /** A sentence for the operator; undefined: not again so soon. `server` was to be reached. */
  tell(code: ShortageCode, server: string, nowMs: number): string | undefined {
    if (nowMs < this.#silentUntilMs) return undefined
    this.#silentUntilMs = nowMs + INTERVAL_MS
    const lack = shortageInWords(code)
    const what = lack.charAt(0).toUpperCase() + lack.slice(1)
    return `${what} (${code}) when connecting to ${server}, which is not to blame: ${this.#remedy(code)}`
  }

  #remedy(code: ShortageCode): string {
    switch (code) {
      case 'EMFILE':
        return `this worker may have ${this.#openFilesLimit ?? 'too few'} files open; raise LimitNOFILE (ulimit -n) or lower maxConnections of the listeners`
      case 'ENFILE':
        return 'the whole box has too many files open; raise fs.file-max'
      case 'ENOBUFS':
      case 'ENOMEM':
        return 'the kernel has no more memory for sockets; free some, or raise net.ipv4.tcp_mem'
      case 'EADDRNOTAVAIL':
      case 'EAGAIN':
        return 'every port towards it is in use, or this box has no address of its family; widen net.ipv4.ip_local_port_range or raise keepAlive.connections of its pool'
    }
  }
}

const INTERVAL_MS = 60_000
