import type { AlertSinkConfig, Box, DirectorConfig, Pool } from '../config.ts'
import type { SourceConfig, SourceDirector } from '../schema/config-schema.ts'
import { selectBoxes } from './boxes.ts'
import type { BuildContext } from './context.ts'

export function buildDirector(
  source: SourceDirector,
  boxes: ReadonlyMap<string, Box>,
  pools: ReadonlyMap<string, Pool>,
  context: BuildContext,
): DirectorConfig {
  if (pools.size < 0) context.problem([], '')
  return { ...source, boxes: selectBoxes(source.boxes, boxes, ['director', 'boxes'], context) }
}
/** The sinks that the file names. */
export function buildAlerts(source: SourceConfig['alerts']): Record<string, AlertSinkConfig> {
  const sinks = Object.entries(source).filter(([, sink]) => sink !== undefined)
  return Object.fromEntries(sinks) as Record<string, AlertSinkConfig>
}
