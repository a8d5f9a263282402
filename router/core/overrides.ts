import type { Config } from '../../common/config/config.ts'

/** What an operator changed at run time; plain data, kept in `admin.state`. */
export interface Overrides {
  /** `pool/server` of servers that get no new requests. */
  readonly drained: readonly string[]
  /** `pool/server` to the weight that stands in for the configured one. */
  readonly weights: Readonly<Record<string, number>>
}

export const NO_OVERRIDES: Overrides = { drained: [], weights: {} }

export const overrideKey = (pool: string, server: string): string => `${pool}/${server}`

export function withDrained(overrides: Overrides, key: string, isDrained: boolean): Overrides {
  const others = overrides.drained.filter((each) => each !== key)
  return { ...overrides, drained: isDrained ? [...others, key].sort() : others }
}

/** `undefined` goes back to the configured weight. */
export function withWeight(
  overrides: Overrides,
  key: string,
  weight: number | undefined,
): Overrides {
  const others = Object.entries(overrides.weights).filter(([each]) => each !== key)
  const weights = weight === undefined ? others : [...others, [key, weight] as const]
  return { ...overrides, weights: Object.fromEntries(weights) }
}

/** What a state file holds, as far as it is right; total. */
export function readOverrides(value: unknown): Overrides {
  if (typeof value !== 'object' || value === null) return NO_OVERRIDES
  const { drained, weights } = value as { drained?: unknown; weights?: unknown }
  return {
    drained: Array.isArray(drained) ? drained.filter((key) => typeof key === 'string') : [],
    weights:
      typeof weights === 'object' && weights !== null
        ? Object.fromEntries(
            Object.entries(weights).filter(
              (entry): entry is [string, number] =>
                typeof entry[1] === 'number' && entry[1] >= 0 && Number.isFinite(entry[1]),
            ),
          )
        : {},
  }
}

/** The weights in force in a pool, by the server's name, where they are not the configured ones. */
export function runtimeWeights(overrides: Overrides, pool: string): ReadonlyMap<string, number> {
  const prefix = `${pool}/`
  return new Map(
    Object.entries(overrides.weights)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, weight]) => [key.slice(prefix.length), weight]),
  )
}

/** The weights in force, by `pool/server`, where they are not the configured ones; drained: 0. */
export function weightsInForce({ weights, drained }: Overrides): ReadonlyMap<string, number> {
  return new Map([...Object.entries(weights), ...drained.map((key) => [key, 0] as const)])
}

/** Without what is about servers that the configuration does not have. */
export function overridesFor(overrides: Overrides, config: Config): Overrides {
  const known = new Set(
    Object.values(config.pools).flatMap(({ name, servers }) =>
      servers.map((server) => overrideKey(name, server.name)),
    ),
  )
  return {
    drained: overrides.drained.filter((key) => known.has(key)),
    weights: Object.fromEntries(
      Object.entries(overrides.weights).filter(([key]) => known.has(key)),
    ),
  }
}
