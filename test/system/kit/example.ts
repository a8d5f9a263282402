import fs from 'node:fs'
import path from 'node:path'
import type { Test } from 'tap'
import { AdminClient } from '../../../admin/client.ts'
import type { RouterStatus } from '../../../admin/schemas.ts'
import { EdgeBox } from './edge-box.ts'
import type { EdgeBoxInit } from './edge-box.ts'
import type { Photoedge, Service } from './photoedge.ts'
import { until } from './wait.ts'

const EXAMPLES = path.join(import.meta.dirname, '..', '..', '..', 'deploy', 'examples')
const START_WITHIN_MS = 20_000

/** Copies an example into a folder; the file. */
export function copyExample(name: string, folder: string): string {
  const file = path.join(folder, name)
  fs.copyFileSync(path.join(EXAMPLES, name), file)
  return file
}

/** Nothing was done to a copy but copying. */
export function isAsShipped(t: Test, file: string): void {
  const name = path.basename(file)
  const shipped = fs.readFileSync(path.join(EXAMPLES, name))
  t.ok(shipped.equals(fs.readFileSync(file)), `${name} as it is shipped`)
}

/** By the command; `options` tell which router is meant. */
export async function statusOf(
  t: Test,
  photoedge: Photoedge,
  ...options: readonly string[]
): Promise<RouterStatus> {
  const said = await photoedge.run('status', ...options, '--json')
  t.match(said, { code: 0, stderr: '' }, 'status is shown')
  return JSON.parse(said.stdout) as RouterStatus
}

/** The first status that is wanted, of a router that runs on. */
export async function statusWhen(
  what: string,
  socket: string,
  service: Service,
  isWanted: (status: RouterStatus) => boolean,
): Promise<RouterStatus> {
  return until(what, START_WITHIN_MS, async () => {
    if (!service.isRunning) throw new Error(service.output)
    const client = new AdminClient(socket)
    try {
      const status = await client.status()
      if (isWanted(status)) return status
      const states = status.caches.map(({ name, state, reason }) => `${name} ${state}: ${reason}`)
      throw new Error(states.join(', '))
    } finally {
      await client.close()
    }
  })
}

/** Its workers are ready, and its caches are up and have all of their users. */
export function isWholly(status: RouterStatus): boolean {
  const { workers, workerCount, caches } = status
  const isReady = workers.length === workerCount && workers.every(({ state }) => state === 'ready')
  return (
    isReady && caches.every(({ state, returning }) => state === 'up' && returning === undefined)
  )
}

/** SIGTERM, and it ends well. */
export async function stops(t: Test, service: Service): Promise<void> {
  const code = await service.stop()
  t.equal(code, 0, code === 0 ? 'stops' : service.output)
}

/** One of deploy/examples, and the boxes on which it runs as it stands; the end of `t` ends them. */
export class Example {
  /** On each box. */
  readonly file: string
  readonly #t: Test
  readonly #name: string
  readonly #boxes: EdgeBox[] = []

  constructor(t: Test, name: string) {
    this.#t = t
    this.#name = name
    this.file = `/etc/photoedge/${name}`
  }

  async boot(
    name: string,
    addresses: readonly string[],
    more?: Partial<EdgeBoxInit>,
  ): Promise<EdgeBox> {
    const box = await EdgeBox.boot({ name, addresses, ...more })
    this.#t.teardown(() => box.destroy())
    copyExample(this.#name, box.file('/etc/photoedge'))
    this.#boxes.push(box)
    return box
  }

  /** As the unit does before it starts a service. */
  async passesCheck(box: EdgeBox): Promise<void> {
    const said = await box.photoedge.run('check', '-c', this.file, '--box', box.name)
    const wanted = { code: 0, stderr: '', stdout: /the configuration is right/ }
    this.#t.match(said, wanted, `check for ${box.name}`)
  }

  /** The box's part is found by its host name. */
  start(box: EdgeBox, part: 'router' | 'mountcheck'): Service {
    return box.photoedge.start(part, '-c', this.file)
  }

  status(box: EdgeBox): Promise<RouterStatus> {
    return statusOf(this.#t, box.photoedge, '-c', this.file)
  }

  /** To be called last: every box has had the file that is shipped. */
  isAsShipped(): void {
    for (const box of this.#boxes) isAsShipped(this.#t, box.file(this.file))
  }
}
