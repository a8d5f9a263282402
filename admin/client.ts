import { Client } from 'undici'
import { ApplianceError } from '../common/runtime/appliance-error.ts'
import type {
  CacheRequest,
  Changed,
  Event,
  ExplainQuery,
  Explanation,
  Refusal,
  Reloaded,
  ReloadRequest,
  RouterStatus,
  SimulateRequest,
  Simulation,
  WeightRequest,
} from './schemas.ts'

/** The service refused: `problems` says why, each a sentence. */
export class AdminRefusal extends ApplianceError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super('ADM_REFUSED', problems.join('\n'))
    this.problems = problems
  }
}

/**
 * The admin API of one running router, over its socket. A call rejects with `AdminRefusal` when the
 * router says no, and with an `ApplianceError` of one sentence when it can't be asked.
 */
export class AdminClient {
  readonly #client: Client
  readonly #socket: string

  constructor(socket: string) {
    this.#socket = socket
    this.#client = new Client('http://admin', {
      socketPath: socket,
      connect: { timeout: 2_000 },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
    })
  }

  status(): Promise<RouterStatus> {
    return this.#ask('GET', '/status')
  }

  async events(): Promise<Event[]> {
    return (await this.#ask<{ events: Event[] }>('GET', '/events')).events
  }

  explain(query: ExplainQuery): Promise<Explanation> {
    return this.#ask('GET', `/explain?${new URLSearchParams(query).toString()}`)
  }

  simulate(body: SimulateRequest): Promise<Simulation> {
    return this.#ask('POST', '/simulate', body)
  }

  drain(body: CacheRequest): Promise<Changed> {
    return this.#ask('POST', '/drain', body)
  }

  undrain(body: CacheRequest): Promise<Changed> {
    return this.#ask('POST', '/undrain', body)
  }

  weight(body: WeightRequest): Promise<Changed> {
    return this.#ask('POST', '/weight', body)
  }

  reload(body: ReloadRequest): Promise<Reloaded> {
    return this.#ask('POST', '/reload', body)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #ask<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    let status: number
    let text: string
    try {
      const answer = await this.#client.request({
        method,
        path,
        ...(body !== undefined && {
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      })
      status = answer.statusCode
      text = await answer.body.text()
    } catch (error) {
      throw this.#cannotAsk(error)
    }
    if (status === 200) return JSON.parse(text) as T
    throw new AdminRefusal(problemsOf(text, status))
  }

  #cannotAsk(error: unknown): ApplianceError {
    const { code, message } = error as NodeJS.ErrnoException
    const why = WORDS[code ?? ''] ?? message
    return new ApplianceError(
      'ADM_UNREACHABLE',
      `Cannot ask the router on ${this.#socket}: ${why}`,
      { cause: error },
    )
  }
}

function problemsOf(text: string, status: number): readonly string[] {
  try {
    const { problems } = JSON.parse(text) as Partial<Refusal>
    if (problems !== undefined && problems.length > 0) return problems
  } catch {
    // Something else than our API answered: its status is all there is to tell.
  }
  return [`The service answered with status ${status}`]
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket, so no router runs here with that configuration',
  ECONNREFUSED: 'the socket is there and nobody serves it; the router is not running',
  EACCES: 'permission denied; its owner and group may',
  ENOTSOCK: 'that file is no socket',
  UND_ERR_HEADERS_TIMEOUT: 'no answer within 60 s',
  UND_ERR_BODY_TIMEOUT: 'no whole answer within 60 s',
}
/** A reload waits for its workers, and a large pool's table takes seconds. */
const ANSWER_TIMEOUT_MS = 60_000
