import { chmodSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import type { AdminConfig } from '../common/config/config.ts'
import { ApplianceError } from '../common/runtime/appliance-error.ts'
import { listenFailure } from '../common/runtime/listen-failure.ts'
import type { RouterControl } from './router-control.ts'
import { createAdminServer } from './server.ts'

export interface OpenAdmin {
  /** Where http listens, as told by the system; undefined: not configured. */
  readonly httpPort: number | undefined
  /** Answers what was asked, closes, and removes the socket. */
  close(): Promise<void>
}

/**
 * Opens the admin API on its socket (for the owner and group only) and, where configured, over http.
 * A socket file that nobody serves any more is taken over; one that somebody serves is an
 * `ApplianceError`, as is whatever else can't be opened: then nothing is.
 */
export async function openAdmin(
  control: RouterControl,
  admin: Pick<AdminConfig, 'socket' | 'http' | 'token'>,
): Promise<OpenAdmin> {
  const token = admin.token === undefined ? undefined : readToken(admin.token)
  const onSocket = createAdminServer(control, { type: 'everybody' })
  const overHttp = createAdminServer(
    control,
    token === undefined ? { type: 'nobody' } : { type: 'token', token },
  )
  const close = async (): Promise<void> => {
    await Promise.all([onSocket.close(), overHttp.close()])
  }
  try {
    await takePlace(admin.socket)
    await onSocket.listen({ path: admin.socket })
    chmodSync(admin.socket, 0o660)
  } catch (error) {
    await close()
    throw cannot(`open the admin socket ${admin.socket}`, error)
  }
  if (admin.http === undefined) return { httpPort: undefined, close }
  const { address, port } = admin.http
  try {
    await overHttp.listen({ host: address, port })
  } catch (error) {
    await close()
    const reason = listenFailure((error as NodeJS.ErrnoException).code ?? '', { address, port })
    const cause = reason === undefined ? error : new Error(reason, { cause: error })
    throw cannot(`open the admin API on ${address}:${port}`, cause)
  }
  const [bound] = overHttp.addresses()
  return { httpPort: typeof bound === 'object' ? bound.port : undefined, close }
}

function readToken(file: string): string {
  let token: string
  try {
    token = readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw cannot(`read the admin token ${file}`, error)
  }
  if (token === '') throw cannot(`use the admin token ${file}`, new Error('the file is empty'))
  return token
}

/** Makes the folder; removes a socket that a dead process left. */
async function takePlace(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  const file = lstatSync(path, { throwIfNoEntry: false })
  if (file === undefined) return
  if (!file.isSocket()) throw new Error('another file stands there, which is no socket')
  const state = await new Promise<string>((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve('served')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? '')
    })
  })
  if (state === 'served') throw new Error('another process serves it')
  if (state === 'ECONNREFUSED') unlinkSync(path)
}

function cannot(what: string, error: unknown): ApplianceError {
  const { code, message } = error as NodeJS.ErrnoException
  return new ApplianceError('ADM_OPEN_FAILED', `Cannot ${what}: ${WORDS[code ?? ''] ?? message}`, {
    cause: error,
  })
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EADDRINUSE: 'the address is in use',
  EINVAL: 'the path is too long for a socket (107 bytes) or no path',
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of its path is no folder',
  EROFS: 'the file system is read-only',
}
