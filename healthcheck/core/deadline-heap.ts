/** What a heap holds: something due at a time. */
export interface Due<T> {
  readonly at: number
  readonly item: T
}

interface Entry<T> extends Due<T> {
  readonly order: number
}

/** A binary heap by time: the earliest first, equal times in the order pushed. */
export class DeadlineHeap<T> {
  readonly #entries: Entry<T>[] = []
  #pushed = 0

  get size(): number {
    return this.#entries.length
  }

  /** The earliest entry, left in place. */
  peek(): Due<T> | undefined {
    return this.#entries[0]
  }

  push(at: number, item: T): void {
    const entries = this.#entries
    const entry = { at, item, order: this.#pushed }
    this.#pushed += 1
    let index = entries.push(entry) - 1
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = entries[parentIndex]
      if (parent === undefined || !isBefore(entry, parent)) break
      entries[index] = parent
      index = parentIndex
    }
    entries[index] = entry
  }

  /** Takes the earliest entry out. */
  pop(): Due<T> | undefined {
    const entries = this.#entries
    const first = entries[0]
    const last = entries.pop()
    if (last === undefined || entries.length === 0) return first
    let index = 0
    for (;;) {
      const leftIndex = 2 * index + 1
      const left = entries[leftIndex]
      if (left === undefined) break
      const right = entries[leftIndex + 1]
      const isRight = right !== undefined && isBefore(right, left)
      const child = isRight ? right : left
      if (!isBefore(child, last)) break
      entries[index] = child
      index = isRight ? leftIndex + 1 : leftIndex
    }
    entries[index] = last
    return first
  }
}

const isBefore = (a: Entry<unknown>, b: Entry<unknown>): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order)
