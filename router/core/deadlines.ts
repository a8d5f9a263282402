import type { MonotonicMs } from '../../common/net/units.ts'

/** Someone with one deadline at a time. */
export interface DeadlineOwner {
  /** Called by `sweep`, once, after the deadline was taken away. */
  onDeadline(now: MonotonicMs): void
}

/** An owner's place in `Deadlines`; `NO_PLACE` once it is closed. */
export type DeadlinePlace = number
export const NO_PLACE: DeadlinePlace = -1

/**
 * The deadlines of all that one worker does, a number each in one array: setting and clearing one
 * is one store, and a sweep reads the array from end to end, ten thousand of them in some 10 µs.
 * Nothing is late by more than the sweep's interval.
 */
export class Deadlines {
  #at = new Float64Array(PLACES_AT_FIRST).fill(Infinity)
  readonly #owners: (DeadlineOwner | undefined)[] = []
  readonly #free: DeadlinePlace[] = []

  /** A place without a deadline, until `close`. */
  open(owner: DeadlineOwner): DeadlinePlace {
    const place = this.#free.pop() ?? this.#owners.length
    if (place === this.#at.length) {
      const longer = new Float64Array(2 * place).fill(Infinity)
      longer.set(this.#at)
      this.#at = longer
    }
    this.#owners[place] = owner
    return place
  }

  /** Gives the place back, with any deadline; gives `NO_PLACE`, which takes no deadline. */
  close(place: DeadlinePlace): DeadlinePlace {
    if (place !== NO_PLACE) {
      this.#at[place] = Infinity
      this.#owners[place] = undefined
      this.#free.push(place)
    }
    return NO_PLACE
  }

  /** Sets the deadline, in place of any there was. */
  arm(place: DeadlinePlace, at: number): void {
    this.#at[place] = at
  }

  disarm(place: DeadlinePlace): void {
    this.#at[place] = Infinity
  }

  /** Tells everyone who is due at `now`; they may open, close, arm and disarm any place meanwhile. */
  sweep(now: MonotonicMs): void {
    for (let place = 0; place < this.#owners.length; place++) {
      if ((this.#at[place] ?? Infinity) > now) continue
      this.#at[place] = Infinity
      this.#owners[place]?.onDeadline(now)
    }
  }
}

const PLACES_AT_FIRST = 1024
