import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { StateAnswer, StateJob, StateMessage } from './state-process.ts'

/** The jobs of a state folder, one after the other, in a process that may hang with its disk. */
export interface StateQueue {
  /** Of all jobs that were asked for, none is late. */
  readonly isAnswering: boolean
  /**
   * Its answer; or a refusal after `withinMs`, and the job stays asked for. A write that waits is
   * replaced by a newer one of its file, and answered with that.
   */
  ask(job: StateJob, withinMs: number): Promise<StateAnswer>
  /** Lets the process go, once all is done or that time is over. One that hangs ends with its disk. */
  close(withinMs: number): Promise<void>
}

interface Order {
  job: StateJob
  readonly told: Set<(answer: StateAnswer) => void>
}

const ENTRY = new URL('./state-process.ts', import.meta.url)
const PROCESS = 'the process that reads and writes there'
/** A process that is slow to start is no disk's fault. */
const START_MS = 10_000

/** Of the state folder at `path`. */
export function createStateQueue(path: string): StateQueue {
  let child: ChildProcess | undefined
  let ready = Promise.resolve(true)
  let isReady = false
  let isAnswering = true
  let isClosed = false
  /** The first one is under way. */
  const orders: Order[] = []
  let onIdle = (): void => undefined

  function start(): ChildProcess {
    const started = fork(ENTRY, [path], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    const isUp = Promise.withResolvers<boolean>()
    ready = within(isUp.promise, START_MS, () => false)
    isReady = false
    started.on('message', (message: StateMessage) => {
      if (child !== started) return
      if (message !== 'ready') {
        take(message)
        return
      }
      isReady = true
      isUp.resolve(true)
      sendFirst()
    })
    const lose = (how: string): void => {
      isUp.resolve(false)
      if (child !== started) return
      child = undefined
      if (orders.length > 0) take(refusal(`${PROCESS} ${how}`))
    }
    started.on('error', (error) => {
      lose(`cannot be run: ${error.message}`)
    })
    started.on('exit', (code, signal) => {
      lose(`ended with ${signal ?? `exit code ${code}`}`)
    })
    // Neither the process nor its channel keeps the service from ending.
    started.unref()
    started.channel?.unref()
    return started
  }

  function sendFirst(): void {
    const [first] = orders
    if (first === undefined) {
      onIdle()
      return
    }
    if (child === undefined) startOrRefuse()
    // One that can't be told any more is about to end, and its end is told.
    else if (isReady) child.send(first.job, () => undefined)
  }

  /** A few reasons why no process can be made are events; Node throws the others. */
  function startOrRefuse(): void {
    try {
      child = start()
    } catch (error) {
      setImmediate(take, refusal(`${PROCESS} cannot be run: ${(error as Error).message}`))
    }
  }

  function take(answer: StateAnswer): void {
    isAnswering = true
    for (const tell of orders.shift()?.told ?? []) tell(answer)
    sendFirst()
  }

  function orderOf(job: StateJob): Order {
    const waiting = orders.slice(1).find((order) => isReplacedBy(order.job, job))
    if (waiting !== undefined) {
      waiting.job = job
      return waiting
    }
    const order: Order = { job, told: new Set() }
    orders.push(order)
    if (orders.length === 1) sendFirst()
    return order
  }

  return {
    get isAnswering() {
      return isAnswering
    },
    async ask(job, withinMs) {
      if (isClosed) return refusal('the service is stopping')
      const { told } = orderOf(job)
      const { promise, resolve } = Promise.withResolvers<StateAnswer>()
      told.add(resolve)
      await ready
      return within(promise, withinMs, () => {
        told.delete(resolve)
        isAnswering = false
        return refusal(`it has not answered for ${withinMs / 1000} s`)
      })
    },
    async close(withinMs) {
      isClosed = true
      const idle = Promise.withResolvers<undefined>()
      onIdle = () => {
        idle.resolve(undefined)
      }
      if (orders.length > 0) await within(idle.promise, withinMs, () => undefined)
      if (child?.connected === true) child.disconnect()
      child = undefined
    },
  }
}

const refusal = (reason: string): StateAnswer => ({ ok: false, code: undefined, reason })

const isReplacedBy = (waiting: StateJob, job: StateJob): boolean =>
  waiting.type === 'write' && job.type === 'write' && waiting.file === job.file

/** What it resolves with, or what `late` says where it takes longer. */
function within<T>(promise: Promise<T>, ms: number, late: () => T): Promise<T> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(late())
    }, ms)
    void promise.then((value) => {
      clearTimeout(timer)
      resolve(value)
    })
  })
}
