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
  /** Of the files read, as they were before they were read. */
  readonly certificatesSeen: string
  readonly ticketKeysSeen: string
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
      const certificatesSeen = fingerprint(certificateFiles(listener))
      const ticketKeysSeen = fingerprint(ticketKeyFiles(listener))
      const loaded = listener.tls.map((files) =>
        collect(problems, () => loadCertificate(files, this.#nowMs())),
      )
      const ticketKeys = collect(problems, () => this.#readTicketKeys(listener))
      secrets.push({
        listener: listener.name,
        pairs: loaded.flatMap((one) => one?.pair ?? []),
        ticketKeys: ticketKeys ?? this.#ownTicketKeys,
        warnings: loaded.flatMap((one) => one?.warnings ?? []),
        certificatesSeen,
        ticketKeysSeen,
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

  /** Looks for changed files; each change is told once, whether it can be used or not. */
  poll(): SecretsChange[] {
    return [...this.#current.values()].flatMap((watched) => this.#pollOne(watched))
  }

  #pollOne(watched: Watched): SecretsChange[] {
    const { listener, secrets } = watched
    const certificatesSeen = fingerprint(certificateFiles(listener))
    const ticketKeysSeen = fingerprint(ticketKeyFiles(listener))
    if (certificatesSeen === secrets.certificatesSeen && ticketKeysSeen === secrets.ticketKeysSeen)
      return []
    const loaded = this.load([listener])
    if (!loaded.ok) {
      watched.secrets = { ...secrets, certificatesSeen, ticketKeysSeen }
      return [{ ok: false, listener: listener.name, problems: loaded.problems }]
    }
    const [fresh] = loaded.secrets
    if (fresh === undefined) return []
    watched.secrets = fresh
    return [{ ok: true, listener: listener.name, secrets: fresh }]
  }

  #readTicketKeys({ ticketKeys }: ListenerConfig): Uint8Array {
    return ticketKeys === undefined ? this.#ownTicketKeys : readTicketKeys(ticketKeys)
  }
}

export type SecretsChange =
  | { readonly ok: true; readonly listener: string; readonly secrets: ListenerSecrets }
  | { readonly ok: false; readonly listener: string; readonly problems: readonly string[] }

interface Watched {
  readonly listener: ListenerConfig
  secrets: ListenerSecrets
}

const certificateFiles = ({ tls }: ListenerConfig): string[] =>
  tls.flatMap(({ certificate, key }) => [certificate, key])

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
