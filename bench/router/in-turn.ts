/** Forwards in even rounds, backwards in odd ones: no proxy is always the first. */
export const inTurn = <T>(entries: readonly T[], round: number): readonly T[] =>
  round % 2 === 0 ? entries : [...entries].reverse()
