// Who imports this first goes on in a network and a mount namespace of its own: whatever addresses
// an example names, they are nobody else's, and all that is mounted is gone with the last process.
// Its loopback is up, and a switch that boxes are plugged into.

import process from 'node:process'

/** The bridge's name. */
export const SWITCH = 'switch'
const MARK = 'PHOTOEDGE_TEST_OWN_NETWORK'

const SCRIPT = `ip link set lo up
ip link add ${SWITCH} type bridge
ip link set ${SWITCH} up
exec "$@"`

// The same process goes on, so whoever waits for it or ends its group sees no difference.
if (process.env[MARK] !== String(process.pid)) {
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const args = ['env', 'unshare', '--mount', '--net', 'sh', '-ec', SCRIPT, 'sh', ...self]
  const env = { ...process.env, [MARK]: String(process.pid) }
  process.execve?.('/usr/bin/env', args, env)
}
