import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'

const LISTEN_STATE = '0A'

/**
 * Who listens on a TCP port of this box: `nginx (pid 812)`, or undefined where the kernel does not
 * say (another user's process).
 */
export function findPortOwner(port: number): string | undefined {
  const sockets = new Set(
    ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningInodes(table, port)),
  )
  if (sockets.size === 0) return undefined
  for (const pid of entries('/proc').filter((name) => /^\d+$/.test(name)))
    for (const fd of entries(`/proc/${pid}/fd`))
      if (sockets.has(linkOf(`/proc/${pid}/fd/${fd}`))) return `${programOf(pid)} (pid ${pid})`
  return undefined
}

/** `nginx` of `nginx: master process …`, `node` of `/usr/bin/node …`. */
function programOf(pid: string): string {
  const [first = ''] = readText(`/proc/${pid}/cmdline`).split(/[\0 :]/)
  return basename(first) || readText(`/proc/${pid}/comm`).trim()
}

/** `socket:[inode]` of each listener; proc(5) has the columns. */
function listeningInodes(table: string, port: number): string[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  return readText(table)
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === LISTEN_STATE && local?.endsWith(`:${hexPort}`))
    .map((columns) => `socket:[${columns[9] ?? ''}]`)
}

// A process may end, and most are not ours to look into: then there is nothing to see.
function entries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
