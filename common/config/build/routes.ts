import type { RouteAction, RouteConfig } from '../config.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'
import type { SourceRoute } from '../schema/config-schema.ts'
import type { BuildContext } from './context.ts'

/** The routes in order; each does exactly one thing. */
export function buildRoutes(
  source: readonly SourceRoute[],
  groups: ReadonlyMap<string, unknown>,
  context: BuildContext,
): readonly RouteConfig[] {
  const routes = source.map((entry, index) =>
    buildRoute(entry, ['router', 'routes', index], groups, context),
  )
  for (const [index, route] of routes.entries()) {
    const before = routes.findIndex((earlier, at) => at < index && covers(earlier, route))
    if (before < 0) continue
    const path = ['router', 'routes', index]
    context.warning(
      path,
      `${label(path)} is never reached: ${label(['router', 'routes', before])} matches all that it matches`,
    )
  }
  return routes
}

function buildRoute(
  entry: SourceRoute,
  path: Path,
  groups: ReadonlyMap<string, unknown>,
  context: BuildContext,
): RouteConfig {
  return { host: entry.host, path: entry.path, action: actionOf(entry, path, groups, context) }
}

function actionOf(
  entry: SourceRoute,
  path: Path,
  groups: ReadonlyMap<string, unknown>,
  context: BuildContext,
): RouteAction {
  const { group, redirect, respond } = entry
  const given = [group, redirect, respond].filter((action) => action !== undefined)
  if (given.length !== 1) {
    const has = given.length === 0 ? 'has none of' : 'has more than one of'
    context.problem(path, `${label(path)} ${has} group, redirect and respond: write exactly one`)
  }
  if (redirect !== undefined) return redirectOf(redirect, [...path, 'redirect'], context)
  if (respond !== undefined) return respondOf(respond, [...path, 'respond'], context)
  if (group !== undefined) context.isKnown([...path, 'group'], 'group', group, groups.keys())
  return { type: 'group', group: group ?? '' }
}

function redirectOf(
  redirect: NonNullable<SourceRoute['redirect']>,
  path: Path,
  context: BuildContext,
): RouteAction {
  if (redirect.status === 304)
    context.problem(
      [...path, 'status'],
      `${label([...path, 'status'])} is "304", which is no redirect: 301, 302, 303, 307 and 308 are`,
    )
  context.placeholders([...path, 'to'], redirect.to, ['target'])
  return { type: 'redirect', status: redirect.status, to: redirect.to }
}

function respondOf(
  respond: NonNullable<SourceRoute['respond']>,
  path: Path,
  context: BuildContext,
): RouteAction {
  const { status, body } = respond
  if ((status === 204 || status === 205 || status === 304) && body !== '') {
    context.problem(
      [...path, 'body'],
      `${label(path)} has the status ${status}, which has no body: remove the body or take another status`,
    )
  }
  return { type: 'respond', status, contentType: respond.type, body }
}

function covers(earlier: RouteConfig, later: RouteConfig): boolean {
  // What is wrong is blank here, and said already.
  if (earlier.host === '' || earlier.path === '') return false
  if (earlier.host !== undefined && earlier.host !== later.host) return false
  if (earlier.path === undefined || earlier.path === later.path) return true
  return earlier.path.endsWith('*') && (later.path ?? '').startsWith(earlier.path.slice(0, -1))
}
