import type { RouteConfig } from '../../common/config/config.ts'

/** Routes ready to be matched on a request's bytes. */
export interface CompiledRoutes {
  /**
   * Index, in the configuration's order, of the first route for this host and path (the target
   * without its query); -1 if none. The host is compared in lower case without its port and last
   * dot; an empty path is `/`.
   */
  match(
    bytes: Uint8Array,
    hostStart: number,
    hostEnd: number,
    targetStart: number,
    pathEnd: number,
  ): number
}

interface Route {
  /** undefined: any. */
  readonly host: Uint8Array | undefined
  readonly path: Uint8Array
  readonly isPrefix: boolean
}

const COLON = 0x3a
const DOT = 0x2e
const BRACKET = 0x5d
const SLASH = 0x2f
const EMPTY_PATH = Uint8Array.of(SLASH)

/** Compiles the routes of a checked configuration. */
export function compileRoutes(
  routes: readonly Pick<RouteConfig, 'host' | 'path'>[],
): CompiledRoutes {
  const compiled = routes.map(compileRoute)
  return {
    match(bytes, hostStart, hostEnd, targetStart, pathEnd) {
      const hostStop = hostNameEnd(bytes, hostStart, hostEnd)
      const isEmpty = targetStart >= pathEnd
      const path = isEmpty ? EMPTY_PATH : bytes
      const pathStart = isEmpty ? 0 : targetStart
      const pathStop = isEmpty ? 1 : pathEnd
      for (let i = 0; i < compiled.length; i++) {
        const route = compiled[i]!
        if (route.host !== undefined && !isHost(bytes, hostStart, hostStop, route.host)) continue
        if (isPath(path, pathStart, pathStop, route)) return i
      }
      return -1
    },
  }
}

function compileRoute({ host, path }: Pick<RouteConfig, 'host' | 'path'>): Route {
  const encoder = new TextEncoder()
  const pattern = path ?? '*'
  const isPrefix = pattern.endsWith('*')
  return {
    host: host === undefined ? undefined : encoder.encode(host),
    path: encoder.encode(isPrefix ? pattern.slice(0, -1) : pattern),
    isPrefix,
  }
}

/** Where the host's name ends: before its port and its last dot. */
function hostNameEnd(bytes: Uint8Array, start: number, end: number): number {
  let stop = end
  for (let i = end - 1; i >= start; i--) {
    if (bytes[i] === BRACKET) break
    if (bytes[i] === COLON) {
      stop = i
      break
    }
  }
  return stop > start && bytes[stop - 1] === DOT ? stop - 1 : stop
}

function isHost(bytes: Uint8Array, start: number, end: number, host: Uint8Array): boolean {
  if (end - start !== host.length) return false
  for (let i = 0; i < host.length; i++) {
    const byte = bytes[start + i]!
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== host[i]) return false
  }
  return true
}

function isPath(bytes: Uint8Array, start: number, end: number, route: Route): boolean {
  const { path, isPrefix } = route
  const length = end - start
  if (isPrefix ? length < path.length : length !== path.length) return false
  for (let i = 0; i < path.length; i++) if (bytes[start + i] !== path[i]) return false
  return true
}
