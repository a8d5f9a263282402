import { readFileSync } from 'node:fs'

/**
 * How many files, sockets included, this process may have open at a time; undefined: not known.
 * It opens a file itself, so it is to be asked while there is room: at the start.
 */
export function openFilesLimit(): number | undefined {
  try {
    return softLimit(readFileSync('/proc/self/limits', 'utf8'))
  } catch {
    return undefined
  }
}

function softLimit(limits: string): number | undefined {
  const soft = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1]
  return soft === undefined ? undefined : soft === 'unlimited' ? Infinity : Number(soft)
}
