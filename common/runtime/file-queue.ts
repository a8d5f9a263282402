import { readRegularFile } from './regular-file.ts'

/** A disk has not answered in time, and may never. */
export class NoAnswer extends Error {
  readonly file: string

  constructor(file: string, withinMs: number) {
    super(`the file ${file} cannot be read: no answer for ${withinMs / 1000} s`)
    this.name = 'NoAnswer'
    this.file = file
  }
}

const ANSWER_WITHIN_MS = 5_000

/** What waits for an answer that is not late yet. */
const asked = new Set<Promise<unknown>>()
let heldCount = 0

/**
 * Whether a thread of this process waits for a disk beyond its time. Node's exit waits for that
 * thread, too: such a process ends by a signal only.
 */
export async function isHeldByDisk(): Promise<boolean> {
  await Promise.allSettled(asked)
  return heldCount > 0
}

/**
 * Asks the file system one thing at a time, off the event loop. Of a disk that hangs one thread of
 * the pool waits, and nobody else: until it answers, everything is refused with the same `NoAnswer`.
 */
export class FileQueue {
  readonly #answerWithinMs: number
  #last: Promise<unknown> = Promise.resolve()
  #held: NoAnswer | undefined

  constructor({ answerWithinMs = ANSWER_WITHIN_MS } = {}) {
    this.#answerWithinMs = answerWithinMs
  }

  /** Does to `file` what `act` does, when its turn has come. */
  ask<T>(file: string, act: (file: string) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#askNow(file, act))
    const end = (): void => void asked.delete(turn)
    asked.add(turn)
    this.#last = turn.then(end, end)
    return turn
  }

  /** The whole of a regular file. */
  read(file: string): Promise<Buffer> {
    return this.ask(file, readRegularFile)
  }

  #askNow<T>(file: string, act: (file: string) => Promise<T>): Promise<T> {
    if (this.#held !== undefined) return Promise.reject(this.#held)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#held = new NoAnswer(file, this.#answerWithinMs)
        heldCount++
        reject(this.#held)
      }, this.#answerWithinMs)
      const end = (): void => {
        clearTimeout(timer)
        if (this.#held === undefined) return
        this.#held = undefined
        heldCount--
      }
      act(file).finally(end).then(resolve, reject)
    })
  }
}
