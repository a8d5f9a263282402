import { parseEndpoint } from '../../net/address.ts'
import type { Box, MountcheckConfig, MountConfig } from '../config.ts'
import { quote } from '../problem.ts'
import { label } from '../read-source.ts'
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
  return {
    boxes: selectBoxes(source.boxes, boxes, ['mountcheck', 'boxes'], context),
    address,
    port,
    partial: source.partial,
    mounts: source.mounts.map((mount, index) => buildMount(mount, index, source, context)),
    scripts: source.scripts.map((script, index) => ({
      command: commandOf(script.command, ['mountcheck', 'scripts', index], context),
      intervalMs: script.interval,
      timeoutMs: script.timeout,
    })),
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
  const readOnly = mount.options.indexOf('ro')
  if (readOnly >= 0) {
    const here = [...path, 'options', readOnly]
    context.problem(
      here,
      `${label(here)} is "ro", and a mount that can't be written to is down: take it out`,
    )
  }
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
