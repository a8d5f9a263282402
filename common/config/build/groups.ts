import type { GroupConfig, HeaderRules, Pool, ShardsConfig, UserPatternConfig } from '../config.ts'
import { judgeRegex } from '../regex-judge.ts'
import { quote } from '../problem.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'
import type { SourceGroup, SourceRouter } from '../schema/config-schema.ts'
import type { BuildContext } from './context.ts'

/** The groups, each with its pool looked up and its pattern, shard map and fields judged. */
export function buildGroups(
  source: SourceRouter['groups'],
  pools: ReadonlyMap<string, Pool>,
  context: BuildContext,
): Map<string, GroupConfig> {
  const groups = new Map<string, GroupConfig>()
  for (const [name, entry] of source) groups.set(name, buildGroup(name, entry, pools, context))
  return groups
}

function buildGroup(
  name: string,
  entry: SourceGroup,
  pools: ReadonlyMap<string, Pool>,
  context: BuildContext,
): GroupConfig {
  const path = ['router', 'groups', name]
  const isThere = context.isKnown([...path, 'pool'], 'pool', entry.pool, pools.keys())
  const pool = isThere ? pools.get(entry.pool) : undefined
  if (pool?.servers.some((server) => server.port === undefined) === true) {
    context.problem(
      [...path, 'pool'],
      `The pool ${quote(entry.pool)} has no port, and ${label(path)} asks it for photos: give the pool a port`,
    )
  }
  checkBackup(entry, pool, path, context)
  if (entry.warm && entry.rampUp === 0) {
    context.warning(
      [...path, 'warm'],
      `${label(path)} is to warm returning caches and has no rampUp: their users are back at once, and nothing is left to be warmed`,
    )
  }
  return {
    name,
    user: userOf(entry.user, [...path, 'user'], context),
    noUser: entry.noUser,
    pool: entry.pool,
    shards: shardsOf(entry.shards, pool, [...path, 'shards'], context),
    fallback: entry.fallback,
    backup: entry.backup,
    rampUpMs: entry.rampUp,
    warm: entry.warm,
    retryOn: entry.retryOn,
    methods: [...new Set(entry.methods)],
    bodies: entry.bodies,
    maxBodyBytes: entry.maxBody,
    timeouts: {
      connectMs: entry.timeouts.connect,
      firstByteMs: entry.timeouts.firstByte,
      betweenBytesMs: entry.timeouts.betweenBytes,
      photoMs: entry.timeouts.photo,
    },
    requestHeaders: rulesOf(entry.requestHeaders, [...path, 'requestHeaders'], context),
    responseHeaders: rulesOf(entry.responseHeaders, [...path, 'responseHeaders'], context),
  }
}

function checkBackup(
  entry: SourceGroup,
  pool: Pool | undefined,
  path: Path,
  context: BuildContext,
): void {
  const here = [...path, 'backup']
  if (entry.fallback !== 'backup') {
    if (entry.backup !== undefined) {
      context.keyProblem(
        here,
        `${label(path)} has a backup and the fallback ${entry.fallback}: only fallback backup uses it`,
      )
    }
  } else if (entry.backup === undefined) {
    context.problem(
      [...path, 'fallback'],
      `${label(path)} has the fallback backup and names no server for it: add the key backup`,
    )
  } else if (pool !== undefined) {
    context.isKnown(
      here,
      'server',
      entry.backup,
      pool.servers.map((server) => server.name),
    )
    if (pool.servers.find(({ name }) => name === entry.backup)?.weight === 0) {
      context.warning(
        here,
        `${label(path)} has the backup ${quote(entry.backup)}, whose weight is 0: it is quiesced and stands in for nobody`,
      )
    }
  }
}

function shardsOf(
  shards: SourceGroup['shards'],
  pool: Pool | undefined,
  path: Path,
  context: BuildContext,
): ShardsConfig {
  if (shards === undefined) return { type: 'hash' }
  const { modulo, table } = shards
  if ((modulo === undefined) === (table === undefined)) {
    context.problem(path, `${label(path)} wants exactly one of modulo and table`)
  }
  if (table !== undefined) return { type: 'table', file: context.file([...path, 'table'], table) }
  if (modulo === undefined) return { type: 'hash' }
  const count = pool?.servers.length ?? modulo
  if (count !== modulo && count > 0) {
    context.problem(
      [...path, 'modulo'],
      `${label([...path, 'modulo'])} is "${modulo}" and the pool ${quote(pool?.name ?? '')} has ${count} servers: both must be equal`,
    )
  }
  return { type: 'modulo', modulo }
}

function userOf(user: SourceGroup['user'], path: Path, context: BuildContext): UserPatternConfig {
  if (typeof user === 'string') {
    checkUserPath(user, path, context)
    return { type: 'path', pattern: user }
  }
  const { regex, query, header } = user
  const given = [regex, query, header].filter((value) => value !== undefined)
  if (given.length !== 1)
    context.problem(
      path,
      `${label(path)} wants a path pattern, or exactly one of regex, query and header`,
    )
  if (query !== undefined) return { type: 'query', parameter: query }
  if (header !== undefined) return { type: 'header', header }
  if (regex === undefined) return { type: 'regex', regex: '' }
  const fault = judgeRegex(regex, 'user')
  if (fault !== undefined)
    context.problem([...path, 'regex'], `${label([...path, 'regex'])} is ${quote(regex)}: ${fault}`)
  return { type: 'regex', regex }
}

/** `{name}` is one whole segment or a part of one; each is closed, named once, and one is `{user}`. */
function checkUserPath(pattern: string, path: Path, context: BuildContext): void {
  if (pattern === '') return
  const no = (message: string) => {
    context.problem(path, `${label(path)} is ${quote(pattern)}: ${message}`)
  }
  const names = [...pattern.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1]!)
  if (/[{}]/.test(pattern.replace(/\{[^{}]*\}/g, ''))) no('a brace stands alone, write {name}')
  const odd = names.find((name) => !/^[A-Za-z][A-Za-z0-9_]*$/.test(name))
  if (odd !== undefined) no(`"{${odd}}" is no name, write letters and digits`)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) no(`"{${twice}}" is there twice`)
  if (!names.includes('user')) no('it lacks {user}')
  if (pattern.split('/').some((segment) => /[{}]/.test(segment) && !/^\{[^{}]*\}$/.test(segment))) {
    no('a {name} is a whole segment between two "/"')
  }
}

/** Fields that are the connection's own: http.md says who sets them. */
const OWN_FIELDS = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'http2-settings',
])

function rulesOf(
  rules: SourceGroup['requestHeaders'],
  path: Path,
  context: BuildContext,
): HeaderRules {
  const removed = new Set(rules.remove.map((name) => name.toLowerCase()))
  const seen = new Set<string>()
  for (const name of rules.set.keys()) {
    const lower = name.toLowerCase()
    const here = [...path, 'set', name]
    if (OWN_FIELDS.has(lower))
      context.keyProblem(here, `${label(path)} sets ${quote(name)}: that field is the router's own`)
    else if (seen.has(lower))
      context.keyProblem(
        here,
        `${label(path)} sets ${quote(name)} twice: names differ by more than their case`,
      )
    else if (removed.has(lower))
      context.keyProblem(
        here,
        `${label(path)} both sets and removes ${quote(name)}: to set it is enough`,
      )
    seen.add(lower)
  }
  for (const [index, name] of rules.remove.entries()) {
    if (!OWN_FIELDS.has(name.toLowerCase())) continue
    context.problem(
      [...path, 'remove', index],
      `${label(path)} removes ${quote(name)}: that field is the router's own`,
    )
  }
  return { set: Object.fromEntries(rules.set), remove: rules.remove }
}
