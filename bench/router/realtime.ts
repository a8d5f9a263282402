import { execFileSync } from 'node:child_process'
import { processTree } from './process-tree.ts'

/**
 * Puts this program and all that it has started before every ordinary thread of the machine
 * (SCHED_RR, chrt(1)), or back among them. Kernel threads that tidy memory take a core for
 * milliseconds at a time: at half load that alone is the 99th percentile, of any proxy. False,
 * with nothing changed, where that is not permitted; it takes root.
 */
export function setRealtime(isOn: boolean): boolean {
  const policy = isOn ? ['--rr', '--pid', '1'] : ['--other', '--pid', '0']
  try {
    for (const pid of processTree(process.pid))
      execFileSync('chrt', ['--all-tasks', ...policy, String(pid)], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
