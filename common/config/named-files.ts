import type { Config } from './config.ts'
import { forBox, PARTS, partsOf } from './for-box.ts'
import type { Part } from './for-box.ts'
import type { Path } from './read-source.ts'

/** What a named file is for, and so what must be true of it. */
export type FileUse =
  | { readonly type: 'certificate'; readonly key: string }
  | { readonly type: 'ticketKeys' }
  | { readonly type: 'shards'; readonly pool: string }
  | { readonly type: 'secret' }
  | { readonly type: 'program' }
  /** The file of users: it must have this one, by name or number. */
  | { readonly type: 'users'; readonly user: string }

/** A file that the configuration names and that must be there before a part starts. */
export interface NamedFile {
  readonly file: string
  readonly use: FileUse
  /** Where the configuration names it. */
  readonly path: Path
}

/**
 * The files that one part of a box needs; without a part those of all its parts, without a box
 * those of every part as they are written (`{box}` stands). Each file and use once.
 */
export function namedFiles(config: Config, box?: string, part?: Part): readonly NamedFile[] {
  const parts =
    box === undefined ? PARTS.filter((each) => config[each] !== undefined) : partsOf(config, box)
  const files = new Map<string, NamedFile>()
  for (const each of parts) {
    if (part !== undefined && each !== part) continue
    const named = box === undefined ? config : forBox(config, box, each)
    for (const file of filesOf(named, each)) if (file.file !== '') files.set(keyOf(file), file)
  }
  return [...files.values()]
}

function keyOf({ file, use }: NamedFile): string {
  return `${use.type} ${use.type === 'users' ? use.user : file}`
}

/** Whether the name is a pattern still: which file it means depends on the box. */
export function isPerBox(file: string): boolean {
  return /\{(?:box|part)\}/.test(file)
}

function filesOf(config: Config, part: Part): readonly NamedFile[] {
  const files: NamedFile[] = []
  if (part === 'router') files.push(...routerFiles(config))
  if (part === 'director') files.push(...directorFiles(config))
  if (part === 'mountcheck') {
    config.mountcheck?.scripts.forEach((script, index) => {
      files.push(...program(script.command, ['mountcheck', 'scripts', index, 'command']))
    })
  } else files.push(...checkFiles(config), ...alertFiles(config))
  if (config.admin.token !== undefined) files.push(secret(config.admin.token, ['admin', 'token']))
  if (config.admin.edge !== undefined)
    files.push(secret(config.admin.edge.key, ['admin', 'edge', 'key']))
  return files
}

function routerFiles({ router }: Config): readonly NamedFile[] {
  const files: NamedFile[] = []
  for (const [index, listener] of router!.listeners.entries()) {
    const path = ['router', 'listen', index]
    for (const [at, { certificate, key }] of listener.tls.entries()) {
      files.push({
        file: certificate,
        use: { type: 'certificate', key },
        path: [...path, 'tls', at, 'certificate'],
      })
      files.push(secret(key, [...path, 'tls', at, 'key']))
    }
    if (listener.ticketKeys !== undefined) {
      files.push({
        file: listener.ticketKeys,
        use: { type: 'ticketKeys' },
        path: [...path, 'ticketKeys'],
      })
    }
  }
  for (const { name, shards, pool } of Object.values(router!.groups)) {
    if (shards.type !== 'table') continue
    files.push({
      file: shards.file,
      use: { type: 'shards', pool },
      path: ['router', 'groups', name, 'shards', 'table'],
    })
  }
  return files
}

/** The director's section keeps the source's shape, checked: its keys are read as they stand. */
interface DirectorFiles {
  readonly peers?: { readonly key: string }
  readonly vrrp: Readonly<Record<string, VrrpFiles>>
}

interface VrrpFiles {
  readonly transport: string
  readonly udp?: { readonly key: string }
  readonly notify?: readonly string[]
  readonly track: readonly (string | { readonly script?: readonly string[] })[]
}

function directorFiles(config: Config): readonly NamedFile[] {
  const director = config.director as unknown as DirectorFiles
  const files: NamedFile[] = []
  if (director.peers !== undefined)
    files.push(secret(director.peers.key, ['director', 'peers', 'key']))
  for (const [name, vrrp] of Object.entries(director.vrrp)) {
    const path = ['director', 'vrrp', name]
    if (vrrp.transport === 'udp' && vrrp.udp !== undefined)
      files.push(secret(vrrp.udp.key, [...path, 'udp', 'key']))
    files.push(...program(vrrp.notify ?? [], [...path, 'notify']))
    vrrp.track.forEach((track, index) => {
      if (typeof track !== 'string')
        files.push(...program(track.script ?? [], [...path, 'track', index, 'script']))
    })
  }
  return files
}

/** The scripts, and who runs them, of the checks that some pool uses. */
function checkFiles({ checks, pools }: Config): readonly NamedFile[] {
  const used = new Set(Object.values(pools).flatMap((pool) => pool.checks))
  return Object.values(checks).flatMap((check) => {
    if (check.type !== 'script' || !used.has(check.name)) return []
    const path = ['checks', check.name]
    return [
      ...program(check.command, [...path, 'command']),
      ...users(check.user, [...path, 'user']),
    ]
  })
}

function alertFiles({ alerts }: Config): readonly NamedFile[] {
  const zabbix = alerts['zabbix'] as { readonly psk?: { readonly key: string } } | undefined
  const exec = alerts['exec'] as { readonly command: readonly string[] } | undefined
  const files = program(exec?.command ?? [], ['alerts', 'exec', 'command'])
  if (zabbix?.psk === undefined) return files
  return [...files, secret(zabbix.psk.key, ['alerts', 'zabbix', 'psk', 'key'])]
}

const secret = (file: string, path: Path): NamedFile => ({ file, use: { type: 'secret' }, path })

/** A program that is found by PATH has no file of its own. */
function program(command: readonly string[], path: Path): readonly NamedFile[] {
  const [file = ''] = command
  return file.startsWith('/') ? [{ file, use: { type: 'program' }, path }] : []
}

/** A name that could not be read is blank. */
function users(user: string | undefined, path: Path): readonly NamedFile[] {
  if (user === undefined || user === '') return []
  return [{ file: '/etc/passwd', use: { type: 'users', user }, path }]
}
