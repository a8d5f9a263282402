import { readdirSync } from 'node:fs'
import { nearest } from '../common/config/nearest.ts'
import { ApplianceError } from '../common/runtime/appliance-error.ts'
import { EXIT, print, printError, UsageError } from './command.ts'
import type { Command } from './command.ts'

/** Every command is a file of this folder, named after it. */
const COMMANDS = new URL('./commands/', import.meta.url)

/** Runs the photoedge program with its arguments; the exit code. */
export async function runProgram(args: readonly string[]): Promise<number> {
  endQuietlyWithoutReader()
  const [name, ...rest] = args
  if (name === undefined) {
    printError(await overview())
    return EXIT.usage
  }
  if (name === '--version' || name === 'version') return version()
  const isHelp = ['help', '--help', '-h'].includes(name)
  const wanted = isHelp ? rest[0] : name
  if (wanted === undefined) {
    print(await overview())
    return EXIT.ok
  }
  const command = await loadCommand(wanted)
  if (command === undefined) return unknownCommand(wanted)
  if (isHelp || rest.includes('--help') || rest.includes('-h')) {
    print(command.help.trim())
    return EXIT.ok
  }
  return runCommand(command, rest)
}

async function runCommand(command: Command, args: string[]): Promise<number> {
  try {
    return await command.run(args)
  } catch (error) {
    if (error instanceof UsageError) {
      printError(`photoedge ${command.name}: ${error.message}`)
      printError(`Try: photoedge ${command.name} --help`)
      return EXIT.usage
    }
    if (!(error instanceof ApplianceError)) throw error
    printError(`photoedge ${command.name}: ${error.message}`)
    return EXIT.failed
  }
}

/** The names of all commands, sorted. */
export function commandNames(): readonly string[] {
  const files = readdirSync(COMMANDS).filter((file) => file.endsWith('.ts'))
  return files.map((file) => file.slice(0, -'.ts'.length)).sort()
}

/** The command of that name, loaded alone: a service starts without the others' code. */
export async function loadCommand(name: string): Promise<Command | undefined> {
  if (!commandNames().includes(name)) return undefined
  const loaded = (await import(new URL(`${name}.ts`, COMMANDS).href)) as { command: Command }
  return loaded.command
}

function unknownCommand(name: string): number {
  const near = nearest(name, commandNames())
  const meant = near === undefined ? '' : `, did you mean ${near}?`
  const shown = name.slice(0, 80)
  printError(
    `photoedge: there is no command "${shown}"${meant === '' ? ': see photoedge --help' : meant}`,
  )
  return EXIT.usage
}

async function overview(): Promise<string> {
  const names = commandNames()
  const width = Math.max(...names.map((name) => name.length))
  const lines: string[] = []
  for (const name of names) {
    const command = await loadCommand(name)
    if (command !== undefined) lines.push(`  ${name.padEnd(width)}  ${command.summary}`)
  }
  return [
    'Usage: photoedge COMMAND [options]',
    '',
    ...lines,
    '',
    'photoedge COMMAND --help explains each, with an example.',
    'Exit code: 0 done, 1 it could not be done or the answer is no,',
    '2 the command line is wrong.',
  ].join('\n')
}

async function version(): Promise<number> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8')
  print(`photoedge ${(JSON.parse(text) as { version: string }).version}`)
  return EXIT.ok
}

/** `photoedge show | head`: the reader is gone, nobody wants the rest. */
function endQuietlyWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(EXIT.ok)
      throw error
    })
  }
}
