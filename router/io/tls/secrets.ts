import { randomBytes } from 'node:crypto'
import type { ListenerConfig } from '../../../common/config/config.ts'
import { FileQueue, NoAnswer } from '../../../common/runtime/file-queue.ts'
import { loadCertificate } from './certificates.ts'
import type { CertificatePair } from '../messages.ts'
import { fingerprint } from './secret-files.ts'
import { readTicketKeys, TICKET_KEYS_BYTES } from './ticket-keys.ts'

/** What a TLS listener shows and hides; read by the primary, handed to every worker. */
export interface ListenerSecrets {
  readonly listener: string
  readonly pairs: readonly CertificatePair[]
  readonly ticketKeys: Uint8Array
  /** A sentence each, for the operator. */
  readonly warnings: readonly string[]
  /** Fingerprints of each part's files, as they were before they were read; by the part's name. */
  readonly seen: Readonly<Record<string, string>>
}

export type LoadedSecrets =
  | { readonly ok: true; readonly secrets: readonly ListenerSecrets[] }
  | { readonly ok: false; readonly problems: readonly string[] }

/** What has changed in a listener's files: a pair, or the ticket keys. */
export type SecretsChange = {
  readonly listener: string
  readonly what: 'certificate' | 'ticket keys'
  readonly files: readonly string[]
} & (
  | {
      readonly ok: true
      readonly warnings: readonly string[]
      /** All of the listener's, as they are now. */
      readonly secrets: ListenerSecrets
    }
  | { readonly ok: false; readonly problem: string }
)

export interface SecretsTaker {
  /** Does this while nobody calls `use`: what was read must not come into another configuration. */
  readonly inTurn: (act: () => void) => Promise<void>
  /** Within a turn. */
  readonly onChange: (change: SecretsChange) => void
}

/**
 * Keeps the certificates and ticket keys of the TLS listeners, and notices changed files. A change
 * that can't be used leaves in place what is there.
 */
export class TlsSecrets {
  readonly #nowMs: () => number
  readonly #queue: FileQueue
  /** Listeners without a key file share this one, for the primary's whole life. */
  readonly #ownTicketKeys = new Uint8Array(randomBytes(TICKET_KEYS_BYTES))
  #current = new Map<string, Watched>()
  #told: NoAnswer | undefined

  constructor(nowMs: () => number, queue = new FileQueue()) {
    this.#nowMs = nowMs
    this.#queue = queue
  }

  /** Reads everything that the listeners name: all of it, or every problem. Changes nothing yet. */
  async load(listeners: readonly ListenerConfig[]): Promise<LoadedSecrets> {
    const problems = new Set<string>()
    const secrets: ListenerSecrets[] = []
    for (const listener of listeners.filter(({ tls }) => tls.length > 0)) {
      let read = this.#noneOf(listener)
      for (const part of this.#partsOf(listener)) {
        const { seen, loaded } = await this.#read(part).catch(unanswered)
        if (loaded.ok)
          read = loaded.into({ ...read, warnings: [...read.warnings, ...loaded.warnings] })
        else problems.add(loaded.problem)
        read = withSeen(read, part, seen)
      }
      secrets.push(read)
    }
    return problems.size > 0 ? { ok: false, problems: [...problems] } : { ok: true, secrets }
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
   * change is told once, whether it can be used or not. Resolves with what does not answer, once.
   */
  async poll(taker: SecretsTaker): Promise<NoAnswer | undefined> {
    try {
      for (const watched of this.#current.values())
        for (const part of this.#partsOf(watched.listener))
          await this.#pollPart(watched, part, taker)
      return undefined
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
      if (error === this.#told) return undefined
      this.#told = error
      return error
    }
  }

  async #pollPart(watched: Watched, part: Part, { inTurn, onChange }: SecretsTaker): Promise<void> {
    const before = watched.secrets.seen[part.name]
    if ((await fingerprint(part.files, this.#queue)) === before) return
    const { seen, loaded } = await this.#read(part)
    await inTurn(() => {
      const { listener, secrets } = watched
      // A reload came first: it has read them, too.
      if (this.#current.get(listener.name) !== watched) return
      watched.secrets = withSeen(loaded.ok ? loaded.into(secrets) : secrets, part, seen)
      const change = { listener: listener.name, what: part.what, files: part.files }
      const { secrets: now } = watched
      onChange(
        loaded.ok
          ? { ...change, ok: true, warnings: loaded.warnings, secrets: now }
          : { ...change, ok: false, problem: loaded.problem },
      )
    })
  }

  /** Rejects with `NoAnswer` only. */
  async #read(part: Part): Promise<{ readonly seen: string; readonly loaded: Loaded }> {
    const seen = await fingerprint(part.files, this.#queue)
    try {
      return { seen, loaded: { ok: true, ...(await part.load()) } }
    } catch (error) {
      if (error instanceof NoAnswer) throw error
      return { seen, loaded: { ok: false, problem: (error as Error).message } }
    }
  }

  #partsOf({ tls, ticketKeys }: ListenerConfig): Part[] {
    const parts = tls.map((files, index): Part => ({
      what: 'certificate',
      name: `pair ${index}`,
      files: [files.certificate, files.key],
      load: async () => {
        const { pair, warnings } = await loadCertificate(files, this.#nowMs(), this.#queue)
        const into = (secrets: ListenerSecrets): ListenerSecrets => {
          const pairs = [...secrets.pairs]
          pairs[index] = pair
          return { ...secrets, pairs }
        }
        return { warnings, into }
      },
    }))
    if (ticketKeys === undefined) return parts
    const load = async (): Promise<Read> => {
      const keys = await readTicketKeys(ticketKeys, this.#queue)
      return { warnings: [], into: (secrets) => ({ ...secrets, ticketKeys: keys }) }
    }
    return [...parts, { what: 'ticket keys', name: 'ticket keys', files: [ticketKeys], load }]
  }

  #noneOf({ name }: ListenerConfig): ListenerSecrets {
    return { listener: name, pairs: [], ticketKeys: this.#ownTicketKeys, warnings: [], seen: {} }
  }
}

interface Watched {
  readonly listener: ListenerConfig
  secrets: ListenerSecrets
}

/** Of a listener's files those that are judged together. */
interface Part {
  readonly what: SecretsChange['what']
  readonly name: string
  readonly files: readonly string[]
  readonly load: () => Promise<Read>
}

interface Read {
  readonly warnings: readonly string[]
  readonly into: (secrets: ListenerSecrets) => ListenerSecrets
}

type Loaded = ({ readonly ok: true } & Read) | { readonly ok: false; readonly problem: string }

const withSeen = (secrets: ListenerSecrets, { name }: Part, seen: string): ListenerSecrets => ({
  ...secrets,
  seen: { ...secrets.seen, [name]: seen },
})

const unanswered = (error: unknown) => ({
  seen: '',
  loaded: { ok: false as const, problem: (error as Error).message },
})
