import type { Config } from './config.ts'

/** The services; `{part}` in a name stands for one of these. */
export type Part = 'director' | 'router' | 'mountcheck'

export const PARTS: readonly Part[] = ['director', 'router', 'mountcheck']

/** The parts that the box plays. */
export function partsOf(config: Config, box: string): readonly Part[] {
  return PARTS.filter((part) => config[part]?.boxes.includes(box) === true)
}

/**
 * The configuration as one part of one box sees it: `{box}` and `{part}` have their names; without
 * a part `{part}` stands.
 */
export function forBox(config: Config, box: string, part?: Part): Config {
  const named = <T>(value: T): T => substitute(value, { box, part: part ?? '{part}' }) as T
  const { router } = config
  return {
    ...config,
    router: router && {
      ...router,
      accessLog: named(router.accessLog),
      listeners: router.listeners.map((listener) => ({
        ...listener,
        tls: named(listener.tls),
        ticketKeys: named(listener.ticketKeys),
      })),
      groups: Object.fromEntries(
        Object.entries(router.groups).map(([name, group]) => [
          name,
          { ...group, shards: named(group.shards) },
        ]),
      ),
    },
    director: named(config.director),
    alerts: named(config.alerts),
    admin: named(config.admin),
  }
}

function substitute(value: unknown, names: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') {
    return value.replace(/\{(box|part)\}/g, (_, word: string) => names[word]!)
  }
  if (Array.isArray(value)) return value.map((item) => substitute(item, names))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, substitute(inner, names)]),
  )
}
