import type { Box, Pool, RouterConfig } from '../config.ts'
import type { SourceRouter } from '../schema/config-schema.ts'
import { selectBoxes } from './boxes.ts'
import type { BuildContext } from './context.ts'
import { buildGroups } from './groups.ts'
import { buildListeners } from './listeners.ts'
import { buildRoutes } from './routes.ts'

/** The router's section. */
export function buildRouter(
  source: SourceRouter,
  boxes: ReadonlyMap<string, Box>,
  pools: ReadonlyMap<string, Pool>,
  context: BuildContext,
): RouterConfig {
  const groups = buildGroups(source.groups, pools, context)
  return {
    boxes: selectBoxes(source.boxes, boxes, ['router', 'boxes'], context),
    workers: source.workers,
    healthPath: healthPath(source, context),
    drainDeadlineMs: source.drainDeadline,
    maxMovedPct: source.maxMoved,
    accessLog: accessLogOf(source.accessLog, context),
    listeners: buildListeners(source.listen, context),
    groups: Object.fromEntries(groups),
    routes: buildRoutes(source.routes, groups, context),
  }
}

function healthPath(source: SourceRouter, context: BuildContext): string {
  if (source.health.includes('?')) {
    context.problem(
      ['router', 'health'],
      `router.health is "${source.health}": write the path alone, without a query`,
    )
  }
  return source.health
}

function accessLogOf(
  source: SourceRouter['accessLog'],
  context: BuildContext,
): RouterConfig['accessLog'] {
  const path = ['router', 'accessLog']
  if (source.format === 'off') return { format: 'off', file: undefined, samplePct: source.sample }
  const file = context.file([...path, 'file'], source.file)
  return { format: source.format, file, samplePct: source.sample }
}
