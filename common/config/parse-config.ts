import { BuildContext } from './build/context.ts'
import { buildAdmin } from './build/admin.ts'
import { buildBoxes } from './build/boxes.ts'
import { buildChecks } from './build/checks.ts'
import { buildAlerts, buildDirector } from './build/director.ts'
import { buildMountcheck } from './build/mountcheck.ts'
import { buildPools } from './build/pools.ts'
import { buildRouter } from './build/router.ts'
import { checkSharing } from './build/sharing.ts'
import type { Config } from './config.ts'
import { folderOf } from './paths.ts'
import { inFileOrder, ordered } from './problem.ts'
import type { Problem } from './problem.ts'
import { SourceReader } from './read-source.ts'
import type { Path } from './read-source.ts'
import type { SchemaNode } from './schema-kit.ts'
import { configSchema } from './schema/config-schema.ts'
import type { SourceConfig } from './schema/config-schema.ts'
import { readYaml } from './yaml-source.ts'

export interface ParseInit {
  /** The file's name, as problems show it. */
  readonly file: string
  /** The absolute folder that relative paths start from; by default the file's own. */
  readonly folder?: string
}

export type ParsedConfig =
  | {
      readonly ok: true
      readonly config: Config
      readonly warnings: readonly Problem[]
      /** A problem found later (a missing file) at the place of the value it is about. */
      readonly problemAt: (path: Path, message: string) => Problem
    }
  | {
      readonly ok: false
      readonly problems: readonly Problem[]
      readonly warnings: readonly Problem[]
      /** What could be read all the same; undefined when the file is no map at all. */
      readonly readable: ReadableConfig | undefined
    }

/** The readable parts of a configuration that may not be used: to look for more problems in it. */
export interface ReadableConfig {
  /** A default or a blank stands for what could not be read: an empty file name is none. */
  readonly config: Config
  readonly problemAt: (path: Path, message: string) => Problem
  /** Whether a section of the file has no problem, so that what refers to it can be judged. */
  readonly isSound: (section: keyof Config) => boolean
}

/**
 * Reads a configuration: the effective one, or every problem that it has, in the file's order.
 * Total: any text gives an answer, in time linear in its length.
 */
export function parseConfig(text: string, init: ParseInit): ParsedConfig {
  const source = readYaml(text, init.file)
  if (source.root === undefined)
    return { ok: false, problems: ordered(source.problems), warnings: [], readable: undefined }
  const problems = [...source.problems]
  const warnings: Problem[] = []
  const report = (offset: number, message: string) =>
    problems.push(source.problemAt(offset, message))
  const { root } = source
  if (root.kind !== 'map') {
    const what = root.kind === 'list' ? 'a list' : 'no configuration'
    report(root.offset, `The file holds ${what}: it wants keys such as edge, boxes and router`)
    return { ok: false, problems: ordered(problems), warnings, readable: undefined }
  }
  const reader = new SourceReader(report)
  const read = reader.read(configSchema as unknown as SchemaNode, root, []) as SourceConfig
  const isSound = (section: keyof Config) => {
    const index = root.entries.findIndex(({ key }) => key === section)
    const [from, to] = [root.entries[index], root.entries[index + 1]].map(
      (entry) => entry && source.problemAt(entry.keyOffset, ''),
    )
    return !problems.some(
      (problem) =>
        from !== undefined &&
        inFileOrder(from, problem) <= 0 &&
        (to === undefined || inFileOrder(problem, to) < 0),
    )
  }
  const context = new BuildContext(
    init.folder ?? folderOf(init.file),
    (path, message, isWarning, isKey) => {
      const problem = source.problemAt(reader.placeOf(path, isKey), message)
      ;(isWarning ? warnings : problems).push(problem)
    },
    isSound,
  )
  const config = buildConfig(read, context)
  const problemAt = (path: Path, message: string) => source.problemAt(reader.placeOf(path), message)
  if (problems.length === 0) return { ok: true, config, warnings: ordered(warnings), problemAt }
  const readable = { config, problemAt, isSound }
  return { ok: false, problems: ordered(problems), warnings: ordered(warnings), readable }
}

function buildConfig(source: SourceConfig, context: BuildContext): Config {
  const boxes = buildBoxes(source.boxes, context)
  const checks = buildChecks(source.checks, context)
  const pools = buildPools(source.pools, boxes, checks, context)
  const config: Config = {
    edge: source.edge,
    boxes: Object.fromEntries(boxes),
    pools: Object.fromEntries(pools),
    checks: Object.fromEntries(checks),
    router: source.router && buildRouter(source.router, boxes, pools, context),
    mountcheck: source.mountcheck && buildMountcheck(source.mountcheck, boxes, context),
    director: source.director && buildDirector(source.director, boxes, pools, context),
    alerts: buildAlerts(source.alerts, context),
    admin: buildAdmin(source.admin, context),
  }
  checkSharing(config, context)
  return config
}
