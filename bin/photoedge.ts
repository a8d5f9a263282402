#!/usr/bin/env node
import '../common/runtime/first.ts'

// Only now: the signals are ours before anything else is loaded.
const { runProgram } = await import('./program.ts')
const exitCode = await runProgram(process.argv.slice(2))
process.exitCode = exitCode

// Node would wait for the disk for ever; to a service manager SIGTERM is a stop, SIGKILL a failure.
const { isHeldByDisk } = await import('../common/runtime/file-queue.ts')
if (await isHeldByDisk()) process.kill(process.pid, exitCode === 0 ? 'SIGTERM' : 'SIGKILL')
