import type { EdgeEvent } from '../model/edge-event.ts'

/** The latest events, in bounded memory. */
export interface EventRing {
  add(event: EdgeEvent): void
  /** Newest first. */
  latest(): readonly EdgeEvent[]
}

export function createEventRing(capacity: number): EventRing {
  const events: EdgeEvent[] = []
  return {
    add(event) {
      events.push(event)
      if (events.length > capacity) events.shift()
    },
    latest: () => events.toReversed(),
  }
}
