import type { MonotonicMs } from '../../common/net/units.ts'

/**
 * Something with one deadline at a time. A connection is its own node: setting and clearing a
 * deadline moves a few references and allocates nothing.
 */
export interface TimerNode {
  timerList: TimerList | undefined
  timerPrevious: TimerNode | undefined
  timerNext: TimerNode | undefined
  /** When it is due; meaningful while `timerList` is set. */
  timerAt: number
  /** Called by `sweep`, after the node left its list. */
  onTimer(now: MonotonicMs): void
}

/**
 * Deadlines of one span: whoever is armed last is due last, so the list is in order by itself and
 * a sweep looks at what is due and one node more. Lateness is the sweep's interval at most.
 */
export class TimerList {
  readonly spanMs: number
  #first: TimerNode | undefined
  #last: TimerNode | undefined

  constructor(spanMs: number) {
    this.spanMs = spanMs
  }

  /** Sets the node's deadline to `now + spanMs`, in place of any it had in any list. */
  arm(node: TimerNode, now: number): void {
    if (node.timerList !== undefined) disarm(node)
    node.timerList = this
    node.timerAt = now + this.spanMs
    node.timerPrevious = this.#last
    node.timerNext = undefined
    if (this.#last === undefined) this.#first = node
    else this.#last.timerNext = node
    this.#last = node
  }

  /** Fires every node that is due at `now`. A node may arm or disarm any node meanwhile. */
  sweep(now: MonotonicMs): void {
    for (let node = this.#first; node !== undefined && node.timerAt <= now; node = this.#first) {
      disarm(node)
      node.onTimer(now)
    }
  }

  /** Called by `disarm` alone. */
  unlink(node: TimerNode): void {
    if (node.timerPrevious === undefined) this.#first = node.timerNext
    else node.timerPrevious.timerNext = node.timerNext
    if (node.timerNext === undefined) this.#last = node.timerPrevious
    else node.timerNext.timerPrevious = node.timerPrevious
    node.timerPrevious = undefined
    node.timerNext = undefined
  }
}

/** Takes the node's deadline away; a node without one is left as it is. */
export function disarm(node: TimerNode): void {
  const list = node.timerList
  if (list === undefined) return
  node.timerList = undefined
  list.unlink(node)
}

/** One list per span: nodes with the same time-out share it, whatever it is for. */
export class TimerLists {
  readonly #lists = new Map<number, TimerList>()

  /** The list of that span, made at the first call. */
  of(spanMs: number): TimerList {
    let list = this.#lists.get(spanMs)
    if (list === undefined) {
      list = new TimerList(spanMs)
      this.#lists.set(spanMs, list)
    }
    return list
  }

  sweep(now: MonotonicMs): void {
    for (const list of this.#lists.values()) list.sweep(now)
  }
}
