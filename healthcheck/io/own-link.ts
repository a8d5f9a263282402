import { readFileSync } from 'node:fs'

/**
 * Whether the interface has a carrier. What can't be read counts as up: only a link that says so
 * itself is down.
 */
export function isLinkUp(name: string | undefined): boolean {
  if (name === undefined || !/^[\w.@:-]+$/.test(name)) return true
  try {
    return readFileSync(`/sys/class/net/${name}/carrier`, 'latin1').trim() !== '0'
  } catch (error) {
    // Reading the carrier of an interface that is set down is EINVAL.
    return (error as NodeJS.ErrnoException).code !== 'EINVAL'
  }
}
