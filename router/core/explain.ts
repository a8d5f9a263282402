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
  /** Numbers of the workers that suspect it. */
  readonly suspectIn: readonly number[]
  /** The verdict's state and reason, in words: `up`, `down: connect refused`. */
  readonly verdict: string
}

/** The workers that serve, by their numbers, and how many there are to be. */
export interface ReadyWorkers {
  readonly ready: readonly number[]
  readonly count: number
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
 * takes turns, so it should be one of its own. What all workers suspect is passed by, as they do.
 */
export function explainChoice(
  chooser: CacheChooser,
  standings: readonly ServerStanding[],
  user: UserBytes,
  workers: ReadyWorkers,
): ChoiceExplanation {
  chooser.locate(user.bytes, user.length)
  const isSuspect = standings.map(
    ({ suspectIn }) =>
      workers.ready.length > 0 && workers.ready.every((worker) => suspectIn.includes(worker)),
  )
  const order = chooser.order()
  const servers = order.map((index, rank) => {
    const standing = standings[index]!
    const isTaken = chooser.isUsableHere(index)
    const { name, weight, share } = standing
    const factor = standing.factor * share
    const reason = reasonOf(standing, isTaken, chooser.isNotBackYet(index))
    return { rank, name, weight, factor, usable: isTaken && !isSuspect[index]!, reason }
  })
  const chosen = choose(chooser, (server) => isSuspect[server]!)
  const { rank, fallback } = chooser
  const choice = chosen < 0 ? undefined : standings[chosen]!.name
  const why = whyOf(servers[0], {
    choice,
    isUsable: chosen >= 0 && chooser.isUsableHere(chosen) && !isSuspect[chosen]!,
    isHomeSuspect: order.length > 0 && chooser.isUsableHere(order[0]!) && isSuspect[order[0]!]!,
    rank,
    fallback,
  })
  return {
    slot: chooser.slot,
    isExplicitHome: chooser.isExplicitHome,
    servers,
    choice,
    why: why + otherwise(chooser, standings, chosen, workers),
  }
}

/** As a worker does: a suspect one is asked where nobody better is left. */
function choose(chooser: CacheChooser, isSuspect: (server: number) => boolean): number {
  const server = chooser.next(isSuspect)
  return server >= 0 ? server : chooser.next(() => false)
}

/** Where the workers go that suspect the chosen one, and others do not. */
function otherwise(
  chooser: CacheChooser,
  standings: readonly ServerStanding[],
  chosen: number,
  { ready, count }: ReadyWorkers,
): string {
  const isTurn = chooser.fallback === 'scatter'
  if (chosen < 0 || (isTurn && chosen !== chooser.home)) return ''
  const workersTo = new Map<number, number[]>()
  for (const worker of ready) {
    const isSuspect = (server: number): boolean => standings[server]!.suspectIn.includes(worker)
    const other = isSuspect(chosen) ? choose(chooser, isSuspect) : chosen
    if (other === chosen) continue
    const to = isTurn ? -1 : other
    workersTo.set(to, [...(workersTo.get(to) ?? []), worker])
  }
  const words = Array.from(workersTo, ([to, numbers]) => {
    const where = `worker${numbers.length === 1 ? '' : 's'} ${numbers.join(', ')} of ${count}`
    const name = standings[to]?.name ?? 'the others in turn'
    return `; in ${where} requests go to ${name}, as ${standings[chosen]!.name} is suspect there`
  })
  return words.join('')
}

function reasonOf(standing: ServerStanding, usable: boolean, isNotBackYet: boolean): string {
  if (standing.isDrained) return 'drained'
  if (standing.share < 1 && (usable || isNotBackYet)) {
    const which = usable ? 'this one too' : "this one's slot is not back yet"
    return `${standing.verdict}, returning: ${percent(standing.share)} of its users are back, ${which}`
  }
  if (usable) return standing.verdict
  if (standing.factor <= 0) {
    const isUp = standing.verdict.startsWith('up')
    return isUp ? `${standing.verdict}, but its checks tell a weight of 0` : standing.verdict
  }
  if (standing.weight === 0) return 'its weight is 0: it gets no new requests'
  if (standing.factor >= 1)
    return `${standing.verdict}, but its lowered weight leaves this slot out`
  return `${standing.verdict}, but not for this slot: it takes ${percent(standing.factor)} of its slots`
}

const percent = (factor: number): string => `${Math.round(factor * 1000) / 10} %`

interface Chosen {
  readonly choice: string | undefined
  /** Not only for want of a better one. */
  readonly isUsable: boolean
  /** It would serve, but all workers suspect it. */
  readonly isHomeSuspect: boolean
  readonly rank: number
  readonly fallback: CacheChooser['fallback']
}

function whyOf(home: ExplainedServer | undefined, chosen: Chosen): string {
  const { choice, fallback } = chosen
  if (home === undefined) return 'No server has a weight'
  const homeText = `The user's home ${home.name}`
  if (choice === home.name && home.usable) return `${homeText} is usable: ${home.reason}`
  if (chosen.isHomeSuspect) return suspectHome(home, chosen)
  const absent = `${homeText} is not usable (${home.reason})`
  if (choice === undefined)
    return fallback === 'backup'
      ? `${absent}, and neither is the backup`
      : `${absent}, and neither is any other`
  if (!chosen.isUsable) {
    return choice === home.name
      ? `${absent}; it serves all the same, as no other is`
      : `${absent}, and neither is any other; ${choice} serves all the same, as it is up`
  }
  return `${absent}; ${standsIn(chosen)}`
}

function suspectHome({ name, reason }: ExplainedServer, chosen: Chosen): string {
  const { choice = name, isUsable } = chosen
  const passedBy = `The user's home ${name} is passed by (${reason})`
  if (isUsable) return `${passedBy}; ${standsIn(chosen)}`
  return choice === name
    ? `${passedBy}, but it is asked all the same, as nobody better is left`
    : `${passedBy}; no other is usable, and ${choice} serves all the same, as it is up`
}

const standsIn = ({ choice = '', fallback, rank }: Chosen): string =>
  ({
    spread: `${choice} is the first usable one in the user's list, at rank ${rank}`,
    scatter: `${choice} has its turn; the next request may go elsewhere`,
    backup: `${choice} is the backup`,
  })[fallback]
