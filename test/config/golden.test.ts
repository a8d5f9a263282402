import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { parseConfig } from '../../common/config/parse-config.ts'
import { formatProblem } from '../../common/config/problem.ts'
import { showConfig } from '../../common/config/show-config.ts'

/**
 * Each file of golden/ is a configuration, whose first line says what it shows, then a line of
 * dashes, then what comes of it: its problems, or its warnings and the effective configuration.
 * `UPDATE_GOLDENS=1` writes that part anew: read the difference before it is kept.
 */
const FOLDER = new URL('./golden/', import.meta.url)
const RULE = '\n----------\n'

function resultOf(source: string): string {
  const parsed = parseConfig(source, { file: 'edge.yaml', folder: '/etc/photoedge' })
  const warnings = parsed.warnings.map((warning) => `warning: ${formatProblem(warning)}\n`)
  if (parsed.ok) return [...warnings, showConfig(parsed.config)].join('')
  return [...warnings, ...parsed.problems.map((problem) => `${formatProblem(problem)}\n`)].join('')
}

for (const file of readdirSync(FOLDER)) {
  const url = new URL(file, FOLDER)
  const [source = '', expected] = readFileSync(url, 'utf8').split(RULE)
  void t.test(`${file}: ${source.split('\n')[0]?.slice(2) ?? ''}`, (t) => {
    const result = resultOf(source)
    if (process.env['UPDATE_GOLDENS'] === '1') writeFileSync(url, `${source}${RULE}${result}`)
    else t.equal(result, expected)
    t.end()
  })
}
