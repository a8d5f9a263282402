import { drainCommand } from '../drain-command.ts'

/** `photoedge undrain`. */
export const command = drainCommand('undrain', {
  summary: 'give a drained cache its requests again',
  effect: `Takes back photoedge drain; its users return at once where its checks find it
up.`,
})
