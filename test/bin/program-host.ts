/** A process that runs the program again and again, as a parent's messages say. */
import '../../common/runtime/first.ts'
import { runProgram } from '../../bin/program.ts'

interface Run {
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

process.stdout.setMaxListeners(0)
process.stderr.setMaxListeners(0)
process.on('message', ({ args, environment }: Run) => {
  void run(args, environment)
})

async function run(args: readonly string[], environment: Run['environment']): Promise<void> {
  const before = { ...process.env }
  Object.assign(process.env, environment)
  const stdout = keep(process.stdout)
  const stderr = keep(process.stderr)
  const code = await runProgram(args)
  process.env = before
  process.send?.({ code, stdout: stdout(), stderr: stderr() })
}

/** Keeps what is written to the stream from now on; the returned function ends that. */
function keep(stream: NodeJS.WriteStream): () => string {
  const write = stream.write.bind(stream)
  let text = ''
  stream.write = (chunk: string | Uint8Array) => {
    text += String(chunk)
    return true
  }
  return () => {
    stream.write = write
    return text
  }
}
