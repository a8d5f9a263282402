#!/usr/bin/env node
import '../common/runtime/first.ts'

// Only now: the signals are ours before anything else is loaded.
const { runProgram } = await import('./program.ts')
process.exitCode = await runProgram(process.argv.slice(2))
