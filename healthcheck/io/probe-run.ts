import { createDeadlineDriver } from '../../common/runtime/deadline-driver.ts'
import type { DeadlineDriver } from '../../common/runtime/deadline-driver.ts'
import type { Clock } from '../../common/runtime/clock.ts'
import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { errorFailure, timeoutFailure } from '../core/blame.ts'
import type { Failure, ProbePhase } from '../core/blame.ts'
import { NOTHING_TOLD } from '../core/outcome.ts'
import type { NotPassed, Outcome } from '../core/outcome.ts'

/** What every probe needs from its prober. */
export interface ProbeComponents {
  readonly clock: Clock
  /** Sum of the event loop's lateness so far, in milliseconds. */
  readonly lateMs: () => number
  /** Whether the box's own link has a carrier; asked only when a failure is in doubt. */
  readonly isLinkUp: () => boolean
  /** The address to probe from; undefined: the kernel's choice. */
  readonly localAddress: string | undefined
}

/** A probe under way; after `cancel` its outcome is never told. */
export interface RunningProbe {
  cancel(): void
}

/**
 * The life of one probe: its phases' deadlines, its own lateness, and exactly one outcome. A
 * deadline that passes while the event loop was late is put off by as much, to twice its time at
 * most, so that a server is never blamed for its prober.
 */
export class ProbeRun {
  readonly #components: ProbeComponents
  readonly #done: (outcome: Outcome) => void
  readonly #startedAt: number
  readonly #lateAtStartMs: number
  readonly #driver: DeadlineDriver
  #phase: ProbePhase = 'connect'
  #withinMs = 0
  #timeoutReason: string | undefined
  #extendedMs = 0
  #isExpiring = false
  #isOver = false
  #release: (() => void) | undefined
  #decided: (() => Outcome) | undefined

  constructor(components: ProbeComponents, init: { done: (outcome: Outcome) => void }) {
    this.#components = components
    this.#done = init.done
    this.#startedAt = components.clock.now()
    this.#lateAtStartMs = components.lateMs()
    this.#driver = createDeadlineDriver({
      clock: components.clock,
      nextDeadline: () => this.#deadline(),
      onDeadline: (lateMs) => {
        this.#expire(lateMs)
      },
    })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  get phase(): ProbePhase {
    return this.#phase
  }

  /** Called once, when the probe is over in whatever way: closes its sockets. */
  onRelease(release: () => void): void {
    this.#release = release
  }

  /** The probe has come to `phase`, which must end `withinMs` after the probe's start. */
  enter(phase: ProbePhase, withinMs: number): void {
    if (this.#isOver) return
    this.#phase = phase
    this.#withinMs = withinMs
    this.#driver.rearm()
  }

  /** Without phases: it must be over `withinMs` after its start, else it fails for `reason`. */
  enterUntil(withinMs: number, reason: string): void {
    this.#timeoutReason = reason
    this.enter('lastByte', withinMs)
  }

  /** How long it has taken so far, and how much of that the event loop was late. */
  measure(): { latencyMs: number; lateMs: number } {
    const { clock, lateMs } = this.#components
    return { latencyMs: clock.now() - this.#startedAt, lateMs: lateMs() - this.#lateAtStartMs }
  }

  finish(outcome: Outcome): void {
    if (this.#isOver) return
    this.cancel()
    this.#done(outcome)
  }

  /** The outcome is certain but for its words: whatever fails from now on, it is this one. */
  decide(outcome: () => Outcome): void {
    this.#decided = outcome
  }

  fail(failure: Failure): void {
    this.finish(this.#decided?.() ?? this.#notPassed(failure))
  }

  failByError(error: NodeJS.ErrnoException): void {
    this.fail(errorFailure(error.code ?? 'ERROR', error.message, this.#phase))
  }

  cancel(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#driver.stop()
    this.#release?.()
  }

  #deadline(): MonotonicMs | undefined {
    if (this.#isOver || this.#isExpiring || this.#withinMs === 0) return undefined
    return monotonicMs(this.#startedAt + this.#withinMs + this.#extendedMs)
  }

  #expire(timerLateMs: number): void {
    const { lateMs } = this.measure()
    const owedMs = Math.max(lateMs - this.#extendedMs, timerLateMs)
    // Twice at most: a prober that is late all the time, or is kept so by the server, comes to an end.
    if (owedMs > TOLERATED_MS && this.#extendedMs < this.#withinMs) {
      this.#extendedMs += owedMs
      return
    }
    // What has arrived meanwhile is read before the deadline counts.
    this.#isExpiring = true
    setImmediate(() => {
      this.#isExpiring = false
      if (this.#isOver) return
      if (this.#components.clock.now() < this.#startedAt + this.#withinMs + this.#extendedMs) {
        this.#driver.rearm()
      } else {
        const failure = timeoutFailure(
          this.#phase,
          this.#withinMs,
          Math.max(lateMs, this.#extendedMs),
        )
        this.fail({ ...failure, reason: this.#timeoutReason ?? failure.reason })
      }
    })
  }

  #notPassed({ reason, blame }: Failure): NotPassed {
    const isOurLink = blame === 'doubtful' && !this.#components.isLinkUp()
    return {
      ...NOTHING_TOLD,
      ...this.measure(),
      result: 'failed',
      blame: isOurLink ? 'prober' : blame,
      isExplicit: false,
      reason: isOurLink ? `${reason}, and the prober's own link is down` : reason,
    }
  }
}

/** Timers are this exact at best. */
const TOLERATED_MS = 5
