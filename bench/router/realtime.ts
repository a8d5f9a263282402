import { execFileSync } from 'node:child_process'
import { processTree } from './process-tree.ts'

/**
 * Puts what this program has started before every ordinary thread of the machine (SCHED_RR,
 * chrt(1)), or back among them. Kernel threads that tidy memory take a core for milliseconds at a
 * time: at half load that alone is the 99th percentile, of any proxy. What only watches over others
 * stays an ordinary process, as on a machine with cores to spare. False where that is not
 * permitted; it takes root.
 */
export function setRealtime(isOn: boolean): boolean {
  const serving = processTree(process.pid).filter((pid) => processTree(pid).length === 1)
  return serving.every((pid) => setPolicy(pid, isOn ? 'rr' : 'other', isOn ? 1 : 0))
}

/** Whether it could be set. */
export function setPolicy(pid: number, policy: 'rr' | 'fifo' | 'other', priority: number): boolean {
  try {
    const args = ['--all-tasks', `--${policy}`, '--pid', String(priority), String(pid)]
    execFileSync('chrt', args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
