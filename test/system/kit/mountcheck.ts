import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import type { MountAnswerBody } from '../../../healthcheck/core/mount-answer.ts'

const PROGRAM = path.join(import.meta.dirname, '..', '..', '..', 'bin', 'photoedge.ts')
/** The variable by which a service's processes are found, whoever their parent is now. */
const MARK = 'PHOTOEDGE_TEST_MARK'

export interface MountcheckOptions {
  readonly folder: string
  readonly address?: string
  readonly port: number
  /** None: scripts alone. */
  readonly mountPoint?: string
  readonly intervalMs: number
  readonly deadlineMs: number
  /** More keys of the mount, as YAML: `, type: xfs`. */
  readonly mount?: string
  /** More mounts of the same schedule. */
  readonly otherMountPoints?: readonly string[]
  /** `admin.state`, by default beside the socket. */
  readonly state?: string
  /** More keys of the mount check, as YAML: `partial: down`. */
  readonly more?: string
  /** How `photoedge` is run, by default as this process is. */
  readonly command?: readonly string[]
}

/** A real `photoedge mountcheck`, as an operator runs it. */
export class Mountcheck {
  readonly #options: MountcheckOptions
  readonly #url: string
  readonly #configFile: string
  #child: ChildProcess

  constructor(options: MountcheckOptions) {
    const { folder, address = '127.0.0.1', port } = options
    this.#options = options
    this.#url = `http://${address}:${port}/health`
    this.#configFile = path.join(folder, 'mountcheck.yaml')
    this.#write(options)
    this.#child = this.#start()
  }

  #write(options: MountcheckOptions): void {
    const { folder, address = '127.0.0.1', port, mountPoint, intervalMs, deadlineMs } = options
    const { mount = '', otherMountPoints = [], state, more = '' } = options
    const all = mountPoint === undefined ? [] : [mountPoint, ...otherMountPoints]
    const mounts = all.map(
      (one) =>
        `    - { path: ${one}, interval: ${intervalMs}ms, deadline: ${deadlineMs}ms${mount} }\n`,
    )
    fs.writeFileSync(
      this.#configFile,
      `edge: lab
boxes: { cache-1: { address: 127.0.0.1 } }
mountcheck:
  boxes: [cache-1]
  listen: ${address}:${port}
  ${more}
${mounts.length === 0 ? '' : `  mounts:\n${mounts.join('')}`}admin: { socket: ${folder}/mountcheck.sock${state === undefined ? '' : `, state: ${state}`} }
`,
    )
  }

  #start(): ChildProcess {
    const { command = [process.execPath, PROGRAM] } = this.#options
    const args = ['mountcheck', '-c', this.#configFile, '--box', 'cache-1']
    const [program = '', ...rest] = [...command, ...args]
    const env = { ...process.env, [MARK]: this.#configFile }
    return spawn(program, rest, { stdio: 'ignore', env })
  }

  /** Another configuration, and SIGHUP. */
  reload(changes: Partial<MountcheckOptions>): void {
    this.#write({ ...this.#options, ...changes })
    this.#child.kill('SIGHUP')
  }

  /** By SIGKILL, and anew at once. */
  async restart(): Promise<void> {
    await this.kill()
    this.#child = this.#start()
  }

  /** Ends it by SIGKILL, if it has not ended yet. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    for (const pid of this.#pids((words) => words.includes('mountcheck')))
      process.kill(pid, 'SIGKILL')
    await once(this.#child, 'exit')
  }

  /** SIGTERM; the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    const [code] = (await once(this.#child, 'exit')) as [number | null]
    return code
  }

  /** SIGTERM, as often as it is called. */
  terminate(): void {
    this.#child.kill('SIGTERM')
  }

  async health(): Promise<{ httpStatus: number; body: MountAnswerBody; tookMs: number }> {
    const startedAt = performance.now()
    const response = await fetch(this.#url)
    const body = (await response.json()) as MountAnswerBody
    return { httpStatus: response.status, body, tookMs: performance.now() - startedAt }
  }

  /** The processes that look at the mount, of this life and of earlier ones. */
  lookers(): number[] {
    return this.#pids((words) => words.some((one) => /^pe[0-9a-f]{7}-\w+ \//.test(one)))
  }

  /** Processes of this service whose command line is such a one. */
  #pids(isMeant: (words: readonly string[]) => boolean): number[] {
    return fs
      .readdirSync('/proc')
      .map(Number)
      .filter((pid) => Number.isInteger(pid) && pid !== process.pid)
      .filter((pid) => {
        return (
          isMeant(wordsOf(pid, 'cmdline')) &&
          wordsOf(pid, 'environ').includes(`${MARK}=${this.#configFile}`)
        )
      })
      .sort((a, b) => a - b)
  }
}

function wordsOf(pid: number, file: 'cmdline' | 'environ'): string[] {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0')
  } catch {
    return []
  }
}
