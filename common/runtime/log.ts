import { hostname } from 'node:os'
import pino from 'pino'
import type { Logger } from 'pino'

export type Log = Logger

/** Levels of `PHOTOEDGE_LOG`, the most important first. */
const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const

/**
 * The service's own log: one JSON object a line on stdout, with the part and the box; the service
 * manager keeps it. `PHOTOEDGE_LOG` names the least important level, by default `info`.
 */
export function createLog(part: string, box: string): Log {
  const wanted = process.env['PHOTOEDGE_LOG'] ?? 'info'
  const level = LEVELS.find((known) => known === wanted) ?? 'info'
  // Written at once: what a process says last must not be lost with it.
  const destination = pino.destination({ fd: 1, sync: true })
  // A reader that went away is no reason to stop serving photos.
  destination.on('error', () => undefined)
  return pino(
    {
      level,
      base: { part, box, host: hostname(), pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}
