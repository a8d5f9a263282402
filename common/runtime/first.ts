/**
 * Imported before anything else by every process's entry. Node opens its inspector on SIGUSR1
 * unless somebody listens for it, and SIGHUP's default is death: from here on neither happens.
 */
const listeners = new Set<() => void>()
const reloaders = new Set<() => void>()
let isReloadOwed = false

process.on('SIGUSR1', () => {
  for (const listener of listeners) listener()
})
process.on('SIGHUP', () => {
  isReloadOwed = reloaders.size === 0
  for (const reload of reloaders) reload()
})

/** Runs `listener` at each SIGUSR1 (reopen the logs); the returned function ends that. */
export function onReopenSignal(listener: () => void): () => void {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/**
 * Runs `reload` at each SIGHUP, and now for one that came before anybody listened: what it asks to
 * be read may have been read before. The returned function ends that.
 */
export function onReloadSignal(reload: () => void): () => void {
  reloaders.add(reload)
  if (isReloadOwed) reload()
  isReloadOwed = false
  return () => void reloaders.delete(reload)
}
