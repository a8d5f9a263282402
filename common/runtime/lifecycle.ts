import { onReloadSignal, onReopenSignal } from './first.ts'

/** What a service does when the operator, or the service manager, sends it a signal. */
export interface SignalActions {
  /** SIGTERM, SIGQUIT, SIGINT: the first of them. */
  readonly stop: (signal: NodeJS.Signals) => void
  /** A second one, whichever: it must end at once. */
  readonly kill: (signal: NodeJS.Signals) => void
  /** SIGHUP; also one that came before, within the call that begins to listen. */
  readonly reload: () => void
  /** SIGUSR1. */
  readonly reopen: () => void
}

const ENDINGS = ['SIGTERM', 'SIGQUIT', 'SIGINT'] as const

/** Listens to the signals from now on; the returned function ends that. */
export function listenToSignals(actions: SignalActions): () => void {
  let isStopping = false
  const end = (signal: NodeJS.Signals): void => {
    if (isStopping) {
      actions.kill(signal)
      return
    }
    isStopping = true
    actions.stop(signal)
  }
  for (const signal of ENDINGS) process.on(signal, end)
  const forgetReload = onReloadSignal(() => {
    if (!isStopping) actions.reload()
  })
  const forgetReopen = onReopenSignal(actions.reopen)
  return () => {
    for (const signal of ENDINGS) process.off(signal, end)
    forgetReload()
    forgetReopen()
  }
}
