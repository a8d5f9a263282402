// Runs every test/system/*.test.ts, one after the other, each in its own process group and within
// its time, and says why one is left out. Names as arguments choose: `run.ts tls failure`. With
// CI=true nothing may be left out.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'

const FILE_DEADLINE_MS = 180_000

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const counts: Counts = { passed: 0, failed: 0, skipped: 0 }
const startedAt = performance.now()
const chosen = process.argv.slice(2)
let running: number | undefined

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    endGroup(running)
    process.exit(1)
  })
}

for (const name of fs.readdirSync(import.meta.dirname).sort()) {
  if (!name.endsWith('.test.ts')) continue
  if (chosen.length > 0 && !chosen.some((part) => name.includes(part))) continue
  await runFile(path.join(import.meta.dirname, name))
}
const seconds = Math.round((performance.now() - startedAt) / 1000)
say(`# ${seconds} s`)
say(`# ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed > 0 ? 1 : 0

async function runFile(file: string): Promise<void> {
  const name = path.relative(process.cwd(), file)
  const missing = missingFor(file)
  if (missing.length > 0) {
    const isAllowed = process.env['CI'] !== 'true'
    counts[isAllowed ? 'skipped' : 'failed'] += 1
    say(`${isAllowed ? 'ok' : 'not ok'} - ${name} # SKIP LEFT OUT: no ${missing.join(', no ')}`)
    return
  }
  say(`# ${name}`)
  const startMs = performance.now()
  const child = spawn(process.execPath, [file], {
    detached: true,
    env: { ...process.env, TAP_TIMEOUT: String(FILE_DEADLINE_MS / 1000) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running = child.pid
  let failed = 0
  let last = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text)
    const lines = (last + text).split('\n')
    last = lines.pop() ?? ''
    for (const line of lines) {
      if (/^ok \d/.test(line)) counts.passed += 1
      if (/^not ok \d/.test(line)) failed += 1
      if (line.includes('# SKIP')) counts[process.env['CI'] === 'true' ? 'failed' : 'skipped'] += 1
    }
  })
  const deadline = setTimeout(() => {
    say(`not ok - ${name} is not done after ${FILE_DEADLINE_MS / 1000} s`)
    endGroup(child.pid)
  }, FILE_DEADLINE_MS)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(deadline)
  endGroup(child.pid)
  // A file that died without a failed test has failed all the same.
  counts.failed += code === 0 ? failed : Math.max(1, failed)
  say(`# ${name}: exit ${String(code)}, ${Math.round((performance.now() - startMs) / 1000)} s\n`)
}

/** What the file's `// Needs: ` line names and this machine has not. */
function missingFor(file: string): string[] {
  const [, needs = ''] = /^\/\/ Needs: (.*)$/m.exec(fs.readFileSync(file, 'utf8')) ?? []
  return needs
    .split(/, */)
    .filter(Boolean)
    .filter((need) => {
      if (need === 'root') return process.getuid?.() !== 0
      if (need.startsWith('/')) return !fs.existsSync(need)
      return spawnSync('which', [need], { stdio: 'ignore' }).status !== 0
    })
}

/** Nothing that the file left behind may disturb the next. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing was left.
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
