import { setTimeout as delay } from 'node:timers/promises'

/** Resolves with the first answer that is not undefined; rejects after `withinMs`. */
export async function until<T>(
  what: string,
  withinMs: number,
  ask: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const deadline = performance.now() + withinMs
  let reason = ''
  for (;;) {
    try {
      const answer = await ask()
      if (answer !== undefined) return answer
    } catch (error) {
      reason = `: ${String(error)}`
    }
    if (performance.now() > deadline) throw new Error(`no ${what} within ${withinMs} ms${reason}`)
    await delay(20)
  }
}
