import type { Config, RouterConfig } from '../../common/config/config.ts'
import { forBox, partsOf } from '../../common/config/for-box.ts'
import { namedFiles } from '../../common/config/named-files.ts'
import { formatProblem, quote } from '../../common/config/problem.ts'
import { readConfigFile } from '../../common/runtime/config-file.ts'
import type { FileQueue } from '../../common/runtime/file-queue.ts'
import type { ListenerSecrets, TlsSecrets } from '../../router/io/tls/secrets.ts'
import { inspectFiles } from '../inspect-files.ts'

/** A configuration that this box's router may use, with all that it names read and judged. */
export interface RouterPlan {
  readonly config: Config & { readonly router: RouterConfig }
  readonly secrets: readonly ListenerSecrets[]
  /** A sentence each. */
  readonly warnings: readonly string[]
}

export type PlannedRouter =
  | { readonly ok: true; readonly plan: RouterPlan }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Reads the configuration as this box's router would use it: a plan, or every problem. */
export async function planRouter(
  file: string,
  box: string,
  { tls, files }: { readonly tls: TlsSecrets; readonly files: FileQueue },
): Promise<PlannedRouter> {
  const parsed = readConfigFile(file)
  if (!parsed.ok) return { ok: false, problems: parsed.problems.map(formatProblem) }
  const { config, problemAt } = parsed
  const wrong = (path: readonly string[], message: string): PlannedRouter => ({
    ok: false,
    problems: [formatProblem(problemAt(path, message))],
  })
  const names = Object.keys(config.boxes)
  if (!names.includes(box))
    return wrong(
      ['boxes'],
      `There is no box ${quote(box)}: --box takes one of ${names.slice(0, 8).join(', ')}`,
    )
  if (!partsOf(config, box).includes('router'))
    return wrong(['boxes', box], `The box ${quote(box)} is no router: router.boxes leaves it out`)

  const findings = await inspectFiles(namedFiles(config, box, 'router'), config.pools, files)
  const problems = findings.map(({ named, message }) =>
    formatProblem(problemAt(named.path, message)),
  )
  if (problems.length > 0) return { ok: false, problems }
  const named = forBox(config, box, 'router')
  const { router } = named
  if (router === undefined) return wrong([], 'There is no router section')
  // What the look at the files has not found, TLS itself may.
  const secrets = await tls.load(router.listeners)
  if (!secrets.ok) return secrets
  return {
    ok: true,
    plan: {
      config: { ...named, router },
      secrets: secrets.secrets,
      warnings: [
        ...parsed.warnings.map(formatProblem),
        ...secrets.secrets.flatMap(({ warnings }) => warnings),
      ],
    },
  }
}
