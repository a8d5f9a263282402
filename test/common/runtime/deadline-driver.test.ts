import t from 'tap'
import { monotonicMs } from '../../../common/net/units.ts'
import type { MonotonicMs } from '../../../common/net/units.ts'
import { systemClock } from '../../../common/runtime/clock.ts'
import { createDeadlineDriver } from '../../../common/runtime/deadline-driver.ts'

void t.test('a driver wakes at each deadline, never early, and says how late', async (t) => {
  const startedAt = systemClock.now()
  const woken: { at: number; due: number; lateMs: number }[] = []
  let due: MonotonicMs | undefined = monotonicMs(startedAt + 10.3)
  await new Promise<void>((resolve) => {
    const driver = createDeadlineDriver({
      clock: systemClock,
      nextDeadline: () => due,
      onDeadline: (lateMs) => {
        woken.push({ at: systemClock.now(), due: due ?? 0, lateMs })
        due = woken.length < 3 ? monotonicMs(systemClock.now() + 5) : undefined
        if (due === undefined) resolve()
      },
    })
    driver.rearm()
  })
  t.equal(woken.length, 3)
  for (const { at, due, lateMs } of woken) {
    t.ok(at >= due)
    t.ok(lateMs >= 0 && lateMs <= at - due + 0.001)
  }
})

void t.test('an earlier deadline replaces a later one, and none wakes nobody', async (t) => {
  const startedAt = systemClock.now()
  let due: MonotonicMs | undefined = monotonicMs(startedAt + 60_000)
  const wokenAt = await new Promise<number>((resolve) => {
    const driver = createDeadlineDriver({
      clock: systemClock,
      nextDeadline: () => due,
      onDeadline: () => {
        due = undefined
        resolve(systemClock.now())
      },
    })
    driver.rearm()
    due = monotonicMs(startedAt + 5)
    driver.rearm()
  })
  t.ok(wokenAt - startedAt < 30_000)
})

void t.test('a stopped driver wakes no more', async (t) => {
  let wokenCount = 0
  const driver = createDeadlineDriver({
    clock: systemClock,
    nextDeadline: () => systemClock.now(),
    onDeadline: () => {
      wokenCount += 1
    },
  })
  driver.rearm()
  driver.stop()
  driver.rearm()
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(wokenCount, 0)
})

void t.test('a deadline weeks away is slept through in pieces, not taken for now', async (t) => {
  let wokenCount = 0
  const driver = createDeadlineDriver({
    clock: systemClock,
    nextDeadline: () => monotonicMs(1e12),
    onDeadline: () => {
      wokenCount += 1
    },
  })
  driver.rearm()
  await new Promise((resolve) => setTimeout(resolve, 20))
  driver.stop()
  t.equal(wokenCount, 0)
})
