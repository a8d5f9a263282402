import { randomBytes } from 'node:crypto'
import type { ListenerConfig } from '../../common/config/config.ts'
import { loadCertificate } from './certificates.ts'
import type { CertificatePair } from './messages.ts'
import { fingerprint } from './secret-files.ts'
import { readTicketKeys, TICKET_KEYS_BYTES } from './ticket-keys.ts'

/** What a TLS listener shows and hides; read by the primary, handed to every worker. */
export interface ListenerSecrets {
  readonly listener: string
  readonly pairs: readonly CertificatePair[]
  readonly ticketKeys: Uint8Array
  /** A sentence each, for the operator. */
  readonly warnings: readonly string[]
  /** Fingerprints of the files, as they were before they were read: of each pair, of the keys. */
  readonly seen: { readonly pairs: readonly string[]; readonly ticketKeys: string }
}

export type LoadedSecrets =
  | { readonly ok: true; readonly secrets: readonly ListenerSecrets[] }
  | { readonly ok: false; readonly problems: readonly string[] }

/**
 * Keeps the certificates and ticket keys of the TLS listeners, and notices changed files. A change
 * that can't be used leaves in place what is there.
 */
export class TlsContexts {
  readonly #nowMs: () => number
  /** Listeners without a key file share this one, for the primary's whole life. */
  readonly #ownTicketKeys = new Uint8Array(randomBytes(TICKET_KEYS_BYTES))
  #current = new Map<string, Watched>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Reads everything that the listeners name: all of it, or every problem. Changes nothing yet. */
  load(listeners: readonly ListenerConfig[]): LoadedSecrets {
    const problems: string[] = []
    const secrets: ListenerSecrets[] = []
    for (const listener of listeners.filter(({ tls }) => tls.length > 0)) {
      const seen = {
        pairs: listener.tls.map((files) => fingerprint(filesOf(files))),
        ticketKeys: fingerprint(ticketKeyFiles(listener)),
      }
      const loaded = listener.tls.map((files) =>
        collect(problems, () => loadCertificate(files, this.#nowMs())),
      )
      const ticketKeys = collect(problems, () => this.#readTicketKeys(listener))
      secrets.push({
        listener: listener.name,
        pairs: loaded.flatMap((one) => one?.pair ?? []),
        ticketKeys: ticketKeys ?? this.#ownTicketKeys,
        warnings: loaded.flatMap((one) => one?.warnings ?? []),
        seen,
      })
    }
    return problems.length > 0
      ? { ok: false, problems: [...new Set(problems)] }
      : { ok: true, secrets }
  }

  /** From now on these are watched. */
  use(listeners: readonly ListenerConfig[], secrets: readonly ListenerSecrets[]): void {
    const byName = new Map(listeners.map((listener) => [listener.name, listener]))
    this.#current = new Map(
      secrets.flatMap((one) => {
        const listener = byName.get(one.listener)
        return listener === undefined ? [] : [[one.listener, { listener, secrets: one }]]
      }),
    )
  }

  /**
   * Looks for changed files. Each pair, and the ticket keys, are judged and taken by themselves; a
   * change is told once, whether it can be used or not.
   */
  poll(): SecretsChange[] {
    return [...this.#current.values()].flatMap((watched) => [
      ...watched.listener.tls.flatMap((files, index) => this.#pollPair(watched, files, index)),
      ...this.#pollTicketKeys(watched),
    ])
  }

  #pollPair(watched: Watched, files: CertificateFiles, index: number): SecretsChange[] {
    const { secrets } = watched
    const { pairs, seen } = secrets
    const now = fingerprint(filesOf(files))
    if (now === seen.pairs[index]) return []
    watched.secrets = { ...secrets, seen: { ...seen, pairs: seen.pairs.with(index, now) } }
    return take(watched, 'certificate', () => {
      const { pair, warnings } = loadCertificate(files, this.#nowMs())
      watched.secrets = { ...watched.secrets, pairs: pairs.with(index, pair) }
      return { files: filesOf(files), warnings }
    })
  }

  #pollTicketKeys(watched: Watched): SecretsChange[] {
    const { secrets, listener } = watched
    const files = ticketKeyFiles(listener)
    const now = fingerprint(files)
    if (now === secrets.seen.ticketKeys) return []
    watched.secrets = { ...secrets, seen: { ...secrets.seen, ticketKeys: now } }
    return take(watched, 'ticket keys', () => {
      watched.secrets = { ...watched.secrets, ticketKeys: this.#readTicketKeys(listener) }
      return { files, warnings: [] }
    })
  }

  #readTicketKeys({ ticketKeys }: ListenerConfig): Uint8Array {
    return ticketKeys === undefined ? this.#ownTicketKeys : readTicketKeys(ticketKeys)
  }
}

/** What has changed in a listener's files: a pair, or the ticket keys. */
export type SecretsChange = {
  readonly listener: string
  readonly what: 'certificate' | 'ticket keys'
} & (
  | {
      readonly ok: true
      readonly files: readonly string[]
      readonly warnings: readonly string[]
      /** All of the listener's, as they are now. */
      readonly secrets: ListenerSecrets
    }
  | { readonly ok: false; readonly problem: string }
)

interface Watched {
  readonly listener: ListenerConfig
  secrets: ListenerSecrets
}

type CertificateFiles = ListenerConfig['tls'][number]

const filesOf = ({ certificate, key }: CertificateFiles): string[] => [certificate, key]

const ticketKeyFiles = ({ ticketKeys }: ListenerConfig): string[] =>
  ticketKeys === undefined ? [] : [ticketKeys]

function collect<T>(problems: string[], read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    problems.push((error as Error).message)
    return undefined
  }
}

function take(
  watched: Watched,
  what: SecretsChange['what'],
  load: () => { readonly files: readonly string[]; readonly warnings: readonly string[] },
): SecretsChange[] {
  const change = { listener: watched.listener.name, what }
  try {
    const loaded = load()
    return [{ ...change, ok: true, ...loaded, secrets: watched.secrets }]
  } catch (error) {
    return [{ ...change, ok: false, problem: (error as Error).message }]
  }
}
