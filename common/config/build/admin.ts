import { parseEndpoint } from '../../net/address.ts'
import type { AdminConfig } from '../config.ts'
import { label } from '../read-source.ts'
import type { SourceAdmin } from '../schema/config-schema.ts'
import type { BuildContext } from './context.ts'

/** The longest path a unix socket can have (sun_path, with its closing NUL). */
const MAX_SOCKET_BYTES = 107

/** The administration's section; every path absolute. */
export function buildAdmin(source: SourceAdmin, context: BuildContext): AdminConfig {
  const path = ['admin']
  const socket = context.file([...path, 'socket'], source.socket)
  if (byteLength(socket) > MAX_SOCKET_BYTES) {
    context.problem(
      [...path, 'socket'],
      `${label([...path, 'socket'])} has ${byteLength(socket)} bytes: the kernel takes ${MAX_SOCKET_BYTES} at most`,
    )
  }
  const edge = source.edge && parseEndpoint(source.edge.address)
  return {
    socket,
    http: source.http === undefined ? undefined : parseEndpoint(source.http),
    token: source.token === undefined ? undefined : context.file([...path, 'token'], source.token),
    edge: edge && { ...edge, key: context.file([...path, 'edge', 'key'], source.edge?.key ?? '') },
    state: source.state === undefined ? undefined : context.file([...path, 'state'], source.state),
  }
}

const byteLength = (text: string) => encodeURI(text.toWellFormed()).replace(/%../g, 'x').length
