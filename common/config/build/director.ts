import { parseIp } from '../../net/address.ts'
import type { AlertSinkConfig, Box, DirectorConfig, Pool } from '../config.ts'
import { quote } from '../problem.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'
import type { SchemaNode } from '../schema-kit.ts'
import type { SourceConfig, SourceDirector, SourceVrrp } from '../schema/config-schema.ts'
import { alertsSchema, directorSchema } from '../schema/director.ts'
import { plain, writeSource } from '../write-source.ts'
import { selectBoxes } from './boxes.ts'
import { commandOf } from './checks.ts'
import type { BuildContext } from './context.ts'

/** The director's section in the source's own shape, looked up and with absolute paths. */
export function buildDirector(
  source: SourceDirector,
  boxes: ReadonlyMap<string, Box>,
  pools: ReadonlyMap<string, Pool>,
  context: BuildContext,
): DirectorConfig {
  const names = selectBoxes(source.boxes, boxes, ['director', 'boxes'], context)
  const vrrp = new Map<string, SourceVrrp>()
  for (const [name, instance] of source.vrrp) {
    vrrp.set(name, buildVrrp(instance, names, ['director', 'vrrp', name], context))
  }
  checkRouterIds(source.vrrp, context)
  const services = source.services.map((service, index) => {
    checkService(service, source.vrrp, pools, ['director', 'services', index], context)
    return { ...service, flags: service.flags ?? (service.scheduler === 'mh' ? ['mh-port'] : []) }
  })
  const peers = source.peers && {
    ...source.peers,
    key: context.file(['director', 'peers', 'key'], source.peers.key),
  }
  const tree = { ...source, boxes: names, vrrp, services, peers }
  return plain(writeSource(directorSchema as unknown as SchemaNode, tree)) as DirectorConfig
}

function buildVrrp(
  instance: SourceVrrp,
  directors: readonly string[],
  path: Path,
  context: BuildContext,
): SourceVrrp {
  checkPriorities(instance, directors, path, context)
  checkFamily(instance, path, context)
  checkForms(instance, path, context)
  const { udp, notify, notifyFifo, ...rest } = instance
  return {
    ...rest,
    ...(udp && { udp: { ...udp, key: context.file([...path, 'udp', 'key'], udp.key) } }),
    ...(notify && { notify: commandOf(notify, [...path, 'notify'], context) }),
    ...(notifyFifo !== undefined && {
      notifyFifo: context.file([...path, 'notifyFifo'], notifyFifo),
    }),
    track: instance.track.map((track, index) => {
      if (typeof track === 'string') return track
      const here = [...path, 'track', index]
      if ((track.interface === undefined) === (track.script === undefined)) {
        context.problem(here, `${label(here)} wants exactly one of interface and script`)
      }
      if (track.script === undefined) return track
      return { ...track, script: commandOf(track.script, [...here, 'script'], context) }
    }),
  }
}

/** Two boxes of one priority would both be active for a while after each tie. */
function checkPriorities(
  instance: SourceVrrp,
  directors: readonly string[],
  path: Path,
  context: BuildContext,
): void {
  const here = [...path, 'priority']
  const owners = new Map<number, string>()
  for (const [box, priority] of instance.priority) {
    if (directors.length > 0) context.isKnown([...here, box], 'director', box, directors)
    const owner = owners.get(priority)
    if (owner !== undefined) {
      context.problem(
        [...here, box],
        `${label(here)} gives ${quote(box)} and ${quote(owner)} the same ${priority}: write different ones`,
      )
    }
    owners.set(priority, box)
  }
}

function checkFamily(instance: SourceVrrp, path: Path, context: BuildContext): void {
  const family = instance.family === 'ipv6' ? 6 : 4
  for (const key of ['addresses', 'peers'] as const) {
    for (const [index, text] of instance[key].entries()) {
      const ip = parseIp(text)
      if (ip === undefined || ip.family === family) continue
      const here = [...path, key, index]
      context.problem(
        here,
        `${label(here)} is ${quote(text)}, and ${label(path)} has the family ${instance.family}: write an IPv${family} address`,
      )
    }
  }
  if (family === 6 && instance.version === '2') {
    context.problem(
      [...path, 'version'],
      `${label(path)} has version 2, which knows no IPv6: write 3`,
    )
  }
}

function checkForms(instance: SourceVrrp, path: Path, context: BuildContext): void {
  const { version, transport } = instance
  if (version === '2' && instance.advertiseInterval % 1000 !== 0) {
    context.problem(
      [...path, 'advertiseInterval'],
      `${label(path)} has version 2, which counts whole seconds: write an interval such as 1s`,
    )
  }
  if (version === '3' && instance.advertiseInterval > 40_950) {
    context.problem(
      [...path, 'advertiseInterval'],
      `${label(path)} has version 3, whose longest interval is 40.95s: write a shorter one`,
    )
  }
  if (version === '3' && instance.advertiseInterval % 10 !== 0) {
    context.problem(
      [...path, 'advertiseInterval'],
      `${label(path)} has version 3, which counts in steps of 10ms: write a multiple of them`,
    )
  }
  if (version === '3' && instance.authentication !== undefined) {
    context.keyProblem(
      [...path, 'authentication'],
      `${label(path)} has version 3, which knows no authentication: remove it`,
    )
  }
  if (transport === 'udp' && instance.udp === undefined) {
    context.problem(
      [...path, 'transport'],
      `${label(path)} has the transport udp: add the key udp with the file of its key`,
    )
  }
}

/** On one interface a virtual router id of one family means one virtual router. */
function checkRouterIds(vrrp: SourceDirector['vrrp'], context: BuildContext): void {
  const owners = new Map<string, string>()
  const addresses = new Map<string, string>()
  for (const [name, instance] of vrrp) {
    const path = ['director', 'vrrp', name]
    const key = [instance.virtualRouterId, instance.family, instance.interface ?? ''].join(' ')
    const owner = owners.get(key)
    if (owner !== undefined) {
      context.problem(
        [...path, 'virtualRouterId'],
        `${label([...path, 'virtualRouterId'])} is "${instance.virtualRouterId}", which ${quote(owner)} has too on the same interface: write another`,
      )
    }
    owners.set(key, name)
    for (const [index, address] of instance.addresses.entries()) {
      const holder = addresses.get(address)
      if (address !== '' && holder !== undefined) {
        context.problem(
          [...path, 'addresses', index],
          `The address ${quote(address)} of ${quote(name)} is already that of ${quote(holder)}`,
        )
      }
      addresses.set(address, name)
    }
  }
}

function checkService(
  service: SourceDirector['services'][number],
  vrrp: SourceDirector['vrrp'],
  pools: ReadonlyMap<string, Pool>,
  path: Path,
  context: BuildContext,
): void {
  for (const [index, vip] of service.vip.entries()) {
    context.isKnown([...path, 'vip', index], 'VRRP instance', vip, vrrp.keys())
  }
  if (context.isKnown([...path, 'pool'], 'pool', service.pool, pools.keys())) {
    const count = pools.get(service.pool)!.servers.length
    if (count > 0 && service.quorum > count) {
      context.problem(
        [...path, 'quorum'],
        `${label([...path, 'quorum'])} is "${service.quorum}" and the pool ${quote(service.pool)} has ${count} ${count === 1 ? 'server' : 'servers'}: it may be ${count} at most`,
      )
    }
  }
  const foreign = service.flags?.find((flag) => !flag.startsWith(`${service.scheduler}-`))
  if (foreign !== undefined) {
    context.problem(
      [...path, 'flags'],
      `${label(path)} has the flag ${foreign} and the scheduler ${service.scheduler}: the flag is another scheduler's`,
    )
  }
  const double = service.ports.find((port, index) => service.ports.indexOf(port) !== index)
  if (double !== undefined) {
    context.problem([...path, 'ports'], `${label([...path, 'ports'])} names ${double} twice`)
  }
}

/** The sinks that the file names, in the source's own shape. */
export function buildAlerts(
  source: SourceConfig['alerts'],
  context: BuildContext,
): Record<string, AlertSinkConfig> {
  const { zabbix, exec, ...rest } = source
  const path = ['alerts']
  const tree = {
    ...rest,
    zabbix: zabbix && {
      ...zabbix,
      ...(zabbix.psk && {
        psk: {
          ...zabbix.psk,
          key: context.file([...path, 'zabbix', 'psk', 'key'], zabbix.psk.key),
        },
      }),
    },
    exec: exec && { ...exec, command: commandOf(exec.command, [...path, 'exec'], context) },
  }
  if (zabbix !== undefined) context.placeholders([...path, 'zabbix', 'host'], zabbix.host)
  return plain(writeSource(alertsSchema as unknown as SchemaNode, tree)) as Record<
    string,
    AlertSinkConfig
  >
}
