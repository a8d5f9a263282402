import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/**
 * Runs a module's text in a Node that may make neither processes nor threads, and throws where it
 * is asked to, as it does where the system can give none; what it prints.
 */
export async function withoutRights(text: string): Promise<string> {
  const rights = ['--permission', '--allow-fs-read=*', '--no-warnings']
  // What the test runner gives each Node on its way needs the rights that this one has not.
  const args = ['NODE_OPTIONS=', process.execPath, ...rights, '--input-type=module', '-e', text]
  const { stdout } = await promisify(execFile)('env', args)
  return stdout
}
