/**
 * Imported before anything else by every process's entry. Node opens its inspector on SIGUSR1
 * unless somebody listens for it, and SIGHUP's default is death: from here on neither happens.
 */
const listeners = new Set<() => void>()

process.on('SIGUSR1', () => {
  for (const listener of listeners) listener()
})
process.on('SIGHUP', () => undefined)

/** Runs `listener` at each SIGUSR1 (reopen the logs); the returned function ends that. */
export function onReopenSignal(listener: () => void): () => void {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}
