/**
 * Runs several command lines of the program in one process, for tests: a JSON list of argument
 * lists on stdin, a JSON list of `{status, stdout, stderr}` on stdout.
 */
import { readFileSync } from 'node:fs'
import { runProgram } from '../../bin/program.ts'

const write = process.stdout.write.bind(process.stdout)
const results: { status: number; stdout: string; stderr: string }[] = []
process.stdout.setMaxListeners(0)
process.stderr.setMaxListeners(0)
for (const args of JSON.parse(readFileSync(0, 'utf8')) as string[][]) {
  const result = { status: 0, stdout: '', stderr: '' }
  process.stdout.write = (text) => ((result.stdout += String(text)), true)
  process.stderr.write = (text) => ((result.stderr += String(text)), true)
  result.status = await runProgram(args)
  results.push(result)
}
write(JSON.stringify(results))
