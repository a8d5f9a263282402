import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { CALM, holdDownMs, recordOutage } from './flap-damper.ts'
import type { FlapHistory } from './flap-damper.ts'

/**
 * What damping remembers of the weight that a server's checks tell while it is up. Mutable. A fall
 * counts as an outage of a part does, once in however many steps it comes: only what grew again
 * can be lost again.
 */
export interface WeightDamping {
  losses: FlapHistory
  grownSince: MonotonicMs
  hasShrunkSince: boolean
  /** More is told than is in force, and taken from then on. */
  growAt: MonotonicMs | undefined
  /** That has been told. */
  isHoldTold: boolean
}

export function newWeightDamping(now: MonotonicMs): WeightDamping {
  return {
    losses: CALM,
    grownSince: now,
    hasShrunkSince: false,
    growAt: undefined,
    isHoldTold: false,
  }
}

/** All that is told is in force: it has grown, or its server comes up. */
export function noteGrowth(damping: WeightDamping, now: MonotonicMs): void {
  damping.grownSince = now
  damping.hasShrunkSince = false
  damping.growAt = undefined
  damping.isHoldTold = false
}

/**
 * The factor in force from `now` on, of the one `inForce` till now and the one `told`: less at
 * once, more as late as `holdDownMs` says, or at once where the pool `isShort`.
 */
export function dampedFactor(
  damping: WeightDamping,
  { inForce, told, isShort }: { inForce: number; told: number; isShort: boolean },
  now: MonotonicMs,
): number {
  if (told <= inForce) {
    damping.growAt = undefined
    if (told < inForce && !damping.hasShrunkSince) {
      damping.losses = recordOutage(damping.losses, damping.grownSince, now)
      damping.hasShrunkSince = true
    }
    return told
  }
  const isHeld = damping.hasShrunkSince && !isShort && holdDownMs(damping.losses) > 0
  if (isHeld) {
    damping.growAt ??= monotonicMs(now + holdDownMs(damping.losses))
    if (now < damping.growAt) return inForce
  }
  noteGrowth(damping, now)
  return told
}
