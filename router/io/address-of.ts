import koffi from 'koffi'

/** An address in this process; 0: none. */
export type Address = number

/**
 * Where bytes lie that somebody keeps for as long as the address is used; remembered for the few
 * that most is read from and written to.
 */
export function addressOf(bytes: ArrayBufferView): Address {
  for (let i = 0; i < KNOWN; i++) {
    const at = (latest + i) % KNOWN
    if (views[at] !== bytes) continue
    latest = at
    return addresses[at] ?? 0
  }
  latest = (latest + KNOWN - 1) % KNOWN
  views[latest] = bytes
  return (addresses[latest] = Number(koffi.address(bytes)))
}

const KNOWN = 4
const views: (ArrayBufferView | undefined)[] = Array.from({ length: KNOWN })
const addresses: Address[] = Array.from({ length: KNOWN }, () => 0)
let latest = 0
