import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/**
 * Runs a module's text in a Node that may make neither processes nor threads, and throws where it
 * is asked to, as it does where the system can give none; what it prints.
 */
export async function withoutRights(text: string): Promise<string> {
  const rights = ['--permission', '--allow-fs-read=*', '--no-warnings']
  const args = [...rights, '--input-type=module', '-e', text]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return stdout
}
