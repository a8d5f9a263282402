import { drainCommand } from '../drain-command.ts'

/** `photoedge drain`. */
export const command = drainCommand('drain', {
  summary: 'give a cache no new requests; each goes to its next rank',
  effect: `What is under way ends as it would. The drain stands over reloads and restarts,
until photoedge undrain.`,
})
