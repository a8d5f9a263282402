import type { CacheChooser } from './cache-chooser.ts'
import type { UserBytes } from './user-pattern.ts'

/** How a server stands, as the one who asks knows it. */
export interface ServerStanding {
  readonly name: string
  /** The weight in force. */
  readonly weight: number
  readonly factor: number
  /** Of its users that it has back: below 1 while it returns in steps. */
  readonly share: number
  readonly isDrained: boolean
  /** The verdict's state and reason, in words: `up`, `down: connect refused`. */
  readonly verdict: string
}

/** One line of a user's list. */
export interface ExplainedServer {
  readonly rank: number
  readonly name: string
  readonly weight: number
  readonly factor: number
  readonly usable: boolean
  /** Where it stands, and if it is not usable, why. */
  readonly reason: string
}

/** Why a user's photos come from where they come from. */
export interface ChoiceExplanation {
  readonly slot: number
  readonly isExplicitHome: boolean
  /** The whole list, home first. */
  readonly servers: readonly ExplainedServer[]
  readonly choice: string | undefined
  /** One sentence. */
  readonly why: string
}

/**
 * Explains a user's choice. `chooser` has the standings' factors and drains set; with `scatter` it
 * takes a turn, so it should be one of its own.
 */
export function explainChoice(
  chooser: CacheChooser,
  standings: readonly ServerStanding[],
  user: UserBytes,
): ChoiceExplanation {
  chooser.locate(user.bytes, user.length)
  const servers = chooser.order().map((index, rank) => {
    const standing = standings[index]!
    const usable = chooser.isUsableHere(index)
    const { name, weight, share } = standing
    const factor = standing.factor * share
    const reason = reasonOf(standing, usable, chooser.isNotBackYet(index))
    return { rank, name, weight, factor, usable, reason }
  })
  const chosen = chooser.first()
  const choice = chosen < 0 ? undefined : standings[chosen]!.name
  const isUsable = chosen >= 0 && chooser.isUsableHere(chosen)
  const home = servers[0]
  return {
    slot: chooser.slot,
    isExplicitHome: chooser.isExplicitHome,
    servers,
    choice,
    why: whyOf(home, choice, isUsable, chooser),
  }
}

function reasonOf(standing: ServerStanding, usable: boolean, isNotBackYet: boolean): string {
  if (standing.isDrained) return 'drained'
  if (standing.share < 1 && (usable || isNotBackYet)) {
    const which = usable ? 'this one too' : "this one's slot is not back yet"
    return `${standing.verdict}, returning: ${percent(standing.share)} of its users are back, ${which}`
  }
  if (usable || standing.factor <= 0) return standing.verdict
  if (standing.weight === 0) return 'its weight is 0: it gets no new requests'
  if (standing.factor >= 1)
    return `${standing.verdict}, but its lowered weight leaves this slot out`
  return `${standing.verdict}, but not for this slot: it takes ${percent(standing.factor)} of its slots`
}

const percent = (factor: number): string => `${Math.round(factor * 1000) / 10} %`

function whyOf(
  home: ExplainedServer | undefined,
  choice: string | undefined,
  isUsable: boolean,
  { fallback, rank }: Pick<CacheChooser, 'fallback' | 'rank'>,
): string {
  if (home === undefined) return 'No server has a weight'
  const homeText = `The user's home ${home.name}`
  if (choice === home.name && home.usable) return `${homeText} is usable: ${home.reason}`
  const absent = `${homeText} is not usable (${home.reason})`
  if (choice === undefined)
    return fallback === 'backup'
      ? `${absent}, and neither is the backup`
      : `${absent}, and neither is any other`
  if (!isUsable) {
    return choice === home.name
      ? `${absent}; it serves all the same, as no other is`
      : `${absent}, and neither is any other; ${choice} serves all the same, as it is up`
  }
  const stand = {
    spread: `${choice} is the first usable one in the user's list, at rank ${rank}`,
    scatter: `${choice} has its turn; the next request may go elsewhere`,
    backup: `${choice} is the backup`,
  }[fallback]
  return `${absent}; ${stand}`
}
