/** A worker that lived this long did its work: its death says nothing about its successor's. */
const HEALTHY_LIFE_MS = 500

const FIRST_DELAY_MS = 100
const LONGEST_DELAY_MS = 5_000

/** How many workers of one place died young, one after the other. */
export interface RestartBackoff {
  readonly youngDeaths: number
}

export const NO_DEATHS: RestartBackoff = { youngDeaths: 0 }

/**
 * What a death means for the successor: the first is replaced at once, also the first after a
 * healthy life; each that dies young makes the next one wait twice as long, up to 5 s.
 */
export function afterDeath(
  backoff: RestartBackoff,
  lifeMs: number,
  wasReady: boolean,
): { readonly backoff: RestartBackoff; readonly delayMs: number } {
  if (wasReady && lifeMs >= HEALTHY_LIFE_MS) return { backoff: NO_DEATHS, delayMs: 0 }
  const { youngDeaths } = backoff
  const delayMs =
    youngDeaths === 0 ? 0 : Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (youngDeaths - 1))
  return { backoff: { youngDeaths: youngDeaths + 1 }, delayMs }
}
