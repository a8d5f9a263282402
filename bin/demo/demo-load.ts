import { Pool } from 'undici'
import { randomOf } from './picture.ts'

/** What the load saw since it was last asked. */
export interface LoadCounts {
  requests: number
  failed: number
  worstMs: number
}

/**
 * A gentle load through the public address: a few users are asked for often, most seldom (Zipf), at
 * an even rate whatever the answers.
 */
export class DemoLoad {
  readonly #pool: Pool
  readonly #paths: readonly string[]
  readonly #cumulative: Float64Array
  readonly #random = randomOf(1)
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #counts: LoadCounts = { requests: 0, failed: 0, worstMs: 0 }
  /** The reason of the last failure, for the operator. */
  lastFailure = ''

  constructor(publicUrl: string, paths: readonly string[], requestsPerSecond: number) {
    this.#pool = new Pool(publicUrl, { connections: 16, headersTimeout: 10_000 })
    this.#paths = shuffled(paths, this.#random)
    this.#cumulative = new Float64Array(paths.length)
    let sum = 0
    for (let rank = 0; rank < paths.length; rank += 1) {
      sum += 1 / (rank + 1) ** 0.8
      this.#cumulative[rank] = sum
    }
    this.#intervalMs = 1000 / requestsPerSecond
  }

  start(): void {
    this.#timer = setInterval(() => void this.#fetch(), this.#intervalMs)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    await this.#pool.destroy()
  }

  takeCounts(): LoadCounts {
    const counts = this.#counts
    this.#counts = { requests: 0, failed: 0, worstMs: 0 }
    return counts
  }

  async #fetch(): Promise<void> {
    const startedAt = performance.now()
    try {
      const { statusCode, body } = await this.#pool.request({ method: 'GET', path: this.#pick() })
      const photo = new Uint8Array(await body.arrayBuffer())
      if (statusCode !== 200) throw new Error(`status ${statusCode}`)
      if (photo[0] !== 0xff || photo[1] !== 0xd8) throw new Error('not a JPEG')
    } catch (error) {
      if (this.#isStopped) return
      this.#counts.failed += 1
      this.lastFailure = error instanceof Error ? error.message : String(error)
    }
    this.#counts.requests += 1
    this.#counts.worstMs = Math.max(this.#counts.worstMs, performance.now() - startedAt)
  }

  #pick(): string {
    const drawn = this.#random() * (this.#cumulative.at(-1) ?? 0)
    const rank = this.#cumulative.findIndex((upTo) => upTo > drawn)
    return this.#paths[rank] ?? '/'
  }
}

function shuffled(paths: readonly string[], random: () => number): string[] {
  return paths
    .map((path) => ({ path, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ path }) => path)
}
