import { randomUUID } from 'node:crypto'
import { readProcessStat } from './process-stat.ts'

/** The variable that tells the processes of one run from all others. */
export const MARK = 'PHOTOEDGE_SCRIPT'

/** A mark in an environment, as an extended regular expression. */
export const MARK_PATTERN = `${MARK}=([0-9]+)-([0-9]+)-[0-9a-f-]{36}`

/** The value of one run's: it names the service, so that what is left is known when that is gone. */
export function newMark(): string {
  const self = readProcessStat('self')
  return `${self?.pid ?? 0}-${self?.startTicks ?? 0}-${randomUUID()}`
}
