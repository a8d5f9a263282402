import { parseEndpoint } from '../../net/address.ts'
import { PROBE_FILE } from '../../model/health.ts'
import type { Box, FreeBound, MountcheckConfig, MountConfig } from '../config.ts'
import { resolvePath } from '../paths.ts'
import { quote } from '../problem.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'
import type { SourceMountcheck } from '../schema/config-schema.ts'
import { selectBoxes } from './boxes.ts'
import { commandOf } from './checks.ts'
import type { BuildContext } from './context.ts'

/** The mount check's section. */
export function buildMountcheck(
  source: SourceMountcheck,
  boxes: ReadonlyMap<string, Box>,
  context: BuildContext,
): MountcheckConfig {
  const { address, port } = parseEndpoint(source.listen)!
  // What is wrong in the section may be what it was to look at.
  const isEmpty = source.mounts.length === 0 && source.scripts.length === 0
  if (isEmpty && context.isSound('mountcheck')) {
    context.problem(
      ['mountcheck', 'mounts'],
      'mountcheck has neither mounts nor scripts: it would look at nothing and call it well, write one of them',
    )
  }
  const scripts = source.scripts.map((script, index) => ({
    command: commandOf(script.command, ['mountcheck', 'scripts', index], context),
    intervalMs: script.interval,
    timeoutMs: script.timeout,
  }))
  refuseRepeated(
    scripts.map(({ command }) => command),
    context,
  )
  return {
    boxes: selectBoxes(source.boxes, boxes, ['mountcheck', 'boxes'], context),
    address,
    port,
    partial: source.partial,
    mounts: source.mounts.map((mount, index) => buildMount(mount, index, source, context)),
    scripts,
  }
}

function buildMount(
  mount: SourceMountcheck['mounts'][number],
  index: number,
  source: SourceMountcheck,
  context: BuildContext,
): MountConfig {
  const path = ['mountcheck', 'mounts', index]
  const first = source.mounts.findIndex((other) => other.path === mount.path)
  if (first < index && mount.path !== '') {
    context.problem(
      [...path, 'path'],
      `${label([...path, 'path'])} is ${quote(mount.path)}, which ${label(['mountcheck', 'mounts', first])} checks already`,
    )
  }
  refuseOptions(mount.options, [...path, 'options'], context)
  judgeSource(mount.source, [...path, 'source'], context)
  refuseWhole(mount.minFree, [...path, 'minFree'], context)
  refuseWhole(mount.minInodes, [...path, 'minInodes'], context)
  refuseProbe(mount, [...path, 'canary', 'file'], context)
  return {
    path: mount.path,
    source: mount.source,
    type: mount.type,
    options: mount.options,
    minFree: mount.minFree,
    minInodes: mount.minInodes,
    intervalMs: mount.interval,
    deadlineMs: mount.deadline,
    canary: mount.canary,
  }
}

/** A script is known by its command. */
function refuseRepeated(commands: readonly (readonly string[])[], context: BuildContext): void {
  const keys = commands.map((command) => JSON.stringify(command))
  keys.forEach((key, index) => {
    const first = keys.indexOf(key)
    if (first === index || commands[index]?.length === 0) return
    const path = ['mountcheck', 'scripts', index, 'command']
    context.problem(
      path,
      `${label(path)} is the command that ${label(['mountcheck', 'scripts', first])} runs already: take out one of them`,
    )
  })
}

/** Options are looked for among those that the kernel shows of a mount and of its file system. */
function refuseOptions(options: readonly string[], path: Path, context: BuildContext): void {
  const earlier = new Set<string>()
  options.forEach((option, index) => {
    const fault = optionFault(option, earlier)
    const here = [...path, index]
    if (fault === undefined) earlier.add(option)
    else context.problem(here, `${label(here)} is ${quote(option)}${fault}`)
  })
}

function optionFault(option: string, earlier: ReadonlySet<string>): string | undefined {
  if (option === 'ro') return ", and a mount that can't be written to is down: take it out"
  if (/[, \n]/.test(option)) return ': write each option as a value of its own, as in [rw, noatime]'
  if (FSTAB_WORDS.has(option) || /^(?:x-|comment=)/i.test(option))
    return ', a word of fstab that the kernel shows of no mount: take it out'
  const other = oppositesOf(option).find((opposite) => earlier.has(opposite))
  if (other === undefined) return undefined
  return `, and no mount has it together with ${quote(other)}: take out one of them`
}

function oppositesOf(option: string): readonly string[] {
  if (option === 'relatime') return ['noatime']
  if (option === 'noatime') return ['relatime']
  return [`no${option}`, ...(option.startsWith('no') ? [option.slice(2)] : [])]
}

/** Any text may be a source; a device is one by its path. */
function judgeSource(source: string | undefined, path: Path, context: BuildContext): void {
  if (source === undefined) return
  const [, tag, name] = FSTAB_TAG.exec(source) ?? []
  if (tag !== undefined && name !== undefined) {
    const device = `/dev/disk/by-${tag.toLowerCase()}/${linkName(name)}`
    context.problem(
      path,
      `${label(path)} is ${quote(source)}, as fstab has it, and the kernel shows the device: write ${quote(device)}`,
    )
  } else if (DEVICE_NAME.test(source)) {
    context.warning(
      path,
      `${label(path)} is ${quote(source)}, no path: if it is a device, write ${quote(`/dev/${source}`)}`,
    )
  }
}

/** As udev writes a name that is none for a file. */
function linkName(name: string): string {
  return name.replaceAll(
    /[^\w#+.:=@\u0080-\uffff-]/g,
    (other) => `\\x${other.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}

/** The check keeps a file in the mount: never is all of it free. */
function refuseWhole(bound: FreeBound, path: Path, context: BuildContext): void {
  if (bound.type !== 'share' || bound.pct < 100) return
  context.problem(
    path,
    `${label(path)} is "100%", and the mount check keeps a file there itself: write less, such as 5%`,
  )
}

function refuseProbe(
  mount: SourceMountcheck['mounts'][number],
  path: Path,
  context: BuildContext,
): void {
  const file = mount.canary?.file
  if (file === undefined || resolvePath('/', `./${file}`) !== `/${PROBE_FILE}`) return
  context.problem(
    path,
    `${label(path)} is ${quote(file)}, which the mount check itself writes and deletes: take another file`,
  )
}

/** Said to mount(8) alone, or the kernel's default, of which it shows nothing. */
const FSTAB_WORDS: ReadonlySet<string> = new Set([
  ...['defaults', 'auto', 'noauto', 'nofail', '_netdev'],
  ...['user', 'nouser', 'users', 'owner', 'group', 'loop', 'bind', 'remount'],
  ...['async', 'suid', 'dev', 'exec', 'atime', 'diratime', 'strictatime', 'nostrictatime'],
  ...['norelatime', 'nolazytime', 'symfollow'],
])
const FSTAB_TAG = /^(UUID|LABEL|PARTUUID|PARTLABEL)="?([^"]+)"?$/
const DEVICE_NAME =
  /^(?:(?:sd|vd|hd|xvd)[a-z]+\d*|(?:nvme\d+n|mmcblk|md)\d+(?:p\d+)?|(?:dm-|loop)\d+)$/
