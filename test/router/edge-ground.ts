import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type t from 'tap'
import { GLOBAL_GAUGES, SERVER_GAUGES, SERVER_STRIDE } from '../../router/core/counters.ts'
import { ask, get, startEdge, startOrigin } from './lane-fixture.ts'
import type { Edge, EdgeOptions, Origin, OriginScript } from './lane-fixture.ts'

export type Tap = Pick<typeof t, 'testdir' | 'teardown'>

export interface Ground {
  readonly edge: Edge
  readonly origins: readonly Origin[]
}

/** Both ways to reach a connection: a test's name begins with the first word. */
export const TRANSPORTS = [
  ['stream_wrap', false],
  ['public API', true],
] as const

/** An edge before caches that answer as told; all of it ends with the test. */
export async function layGround(
  t: Tap,
  scripts: readonly OriginScript[],
  options: Partial<EdgeOptions> = {},
): Promise<Ground> {
  const origins = await Promise.all(scripts.map(startOrigin))
  const ports = origins.map(({ port }) => port)
  const edge = await startEdge({ ports, folder: t.testdir(), isPlain: false, ...options })
  t.teardown(async () => {
    await edge.close()
    await Promise.all(origins.map((origin) => origin.close()))
  })
  return { edge, origins }
}

/** A user whose home is origin `place`. */
export async function homeOf({ edge, origins }: Ground, place: number): Promise<string> {
  for (let user = 0; user < 1000; user++) {
    const before = origins[place]!.heads.length
    await ask(edge.port, get(`/u/${user}/p`))
    if (origins[place]!.heads.length > before) return String(user)
  }
  throw new Error('no user lives there')
}

/** Waits until it holds; the test's own time limit ends it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2))
}

export const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms))

/** A client's connection to do odd things with. */
export function dial(port: number, first = ''): Dialled {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  const dialled = { socket, text: '', how: '' }
  socket.on('data', (bytes) => (dialled.text += bytes.toString('latin1')))
  socket.on('end', () => (dialled.how ||= 'end'))
  socket.on('error', (error: NodeJS.ErrnoException) => (dialled.how = error.code ?? 'error'))
  socket.on('close', () => (dialled.how ||= 'close'))
  if (first !== '') socket.write(first, 'latin1')
  return dialled
}

export interface Dialled {
  readonly socket: Socket
  text: string
  /** `end` after a FIN, `close`, an errno name; empty while open. */
  how: string
}

/** The gauges that are not 0, by place: nothing open, nothing under way leaves none. */
export function raisedGauges({ counters }: Edge): string[] {
  const raised = GLOBAL_GAUGES.filter((place) => counters.global[place] !== 0).map(
    (place) => `global ${place} = ${counters.global[place]}`,
  )
  counters.servers.forEach((value, place) => {
    if (value !== 0 && SERVER_GAUGES.includes(place % SERVER_STRIDE))
      raised.push(`server ${place} = ${value}`)
  })
  return raised
}

/** Ends the edge and reads its log's lines. */
export async function logOf({ edge }: Ground): Promise<Record<string, unknown>[]> {
  await edge.close()
  return readFileSync(edge.logFile, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Every status line in a connection's text. */
export const statuses = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
