import { formatEndpoint, isAny, isLoopback, parseIp } from '../../net/address.ts'
import type { Endpoint } from '../../net/address.ts'
import type { Config } from '../config.ts'
import { forBox, partsOf } from '../for-box.ts'
import type { Part } from '../for-box.ts'
import { quote } from '../problem.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'
import type { BuildContext } from './context.ts'

/** Something that only one part on one machine can have. */
interface Claim {
  readonly box: string
  readonly part: Part
  readonly path: Path
  /** What is claimed, as a message shows it. */
  readonly text: string
  /** Undefined: a file or folder. */
  readonly endpoint: Endpoint | undefined
}

/**
 * Refuses parts and boxes that would share a socket, a port or a folder on one machine. Boxes are
 * machines of their own, except those with loopback addresses, which are all this one.
 */
export function checkSharing(config: Config, context: BuildContext): void {
  const machines = new Map<string, Claim[]>()
  for (const box of Object.values(config.boxes)) {
    const ip = parseIp(box.address)
    const machine = ip !== undefined && isLoopback(ip) ? 'loopback' : box.name
    const claims = machines.get(machine) ?? []
    for (const part of partsOf(config, box.name)) claims.push(...claimsOf(config, box.name, part))
    machines.set(machine, claims)
  }
  const told = new Set<string>()
  for (const claims of machines.values()) compare(claims, told, context)
}

/** Each claim against those before it that could be the same: one bucket per port and per file. */
function compare(claims: readonly Claim[], told: Set<string>, context: BuildContext): void {
  const buckets = new Map<string, Claim[]>()
  for (const claim of claims) {
    const key = claim.endpoint === undefined ? claim.text : `:${claim.endpoint.port}`
    const before = buckets.get(key) ?? []
    const other = before.find((earlier) => clash(earlier, claim))
    const place = label(claim.path)
    if (other === undefined) before.push(claim)
    else if (!told.has(place)) {
      told.add(place)
      context.problem(claim.path, sentence(claim, other))
    }
    buckets.set(key, before)
  }
}

function clash(a: Claim, b: Claim): boolean {
  const isOnePart = a.box === b.box && a.part === b.part
  if (a.endpoint === undefined || b.endpoint === undefined) return true
  // A router's own listeners have a rule of their own.
  if (isOnePart && a.path[1] === 'listen' && b.path[1] === 'listen') return false
  return covers(a.endpoint, b.endpoint) || covers(b.endpoint, a.endpoint)
}

/** Whether a socket on `a` leaves none for `b`; `::` takes IPv4 too. */
function covers(a: Endpoint, b: Endpoint): boolean {
  if (a.address === b.address) return true
  const [ipA, ipB] = [parseIp(a.address), parseIp(b.address)]
  if (ipA === undefined || ipB === undefined || !isAny(ipA)) return false
  return ipA.family === 6 || ipB.family === 4
}

function sentence(claim: Claim, other: Claim): string {
  const who = ({ part, box }: Claim) => `the ${part} of ${quote(box)}`
  const what = `${label(claim.path)} is ${quote(claim.text)} for ${who(claim)}`
  const isSame = label(claim.path) === label(other.path)
  if (!isSame)
    return `${what}, and ${label(other.path)} is ${quote(other.text)} for ${who(other)}: they need different ones`
  if (claim.endpoint !== undefined) {
    return `${what} and for ${who(other)} on one machine: let only one of them have it${claim.path[0] === 'admin' ? ', or write off' : ''}`
  }
  const name = claim.part === other.part ? '{box}' : '{part}'
  return `${what} and for ${who(other)} on one machine: let its name hold ${name}`
}

function claimsOf(config: Config, box: string, part: Part): readonly Claim[] {
  const { router, mountcheck, admin } = forBox(config, box, part)
  const claims: Claim[] = []
  const port = (path: Path, endpoint: Endpoint | undefined) => {
    if (endpoint === undefined || endpoint.address === '') return
    claims.push({ box, part, path, text: formatEndpoint(endpoint), endpoint })
  }
  const file = (path: Path, text: string | undefined) => {
    if (text !== undefined && text !== '')
      claims.push({ box, part, path, text, endpoint: undefined })
  }
  if (part === 'router' && router !== undefined) {
    for (const [index, listener] of router.listeners.entries()) {
      port(['router', 'listen', index, 'address'], listener)
    }
    file(['router', 'accessLog', 'file'], router.accessLog.file)
  }
  if (part === 'mountcheck') port(['mountcheck', 'listen'], mountcheck)
  port(['admin', 'http'], admin.http)
  port(['admin', 'edge', 'address'], admin.edge)
  file(['admin', 'socket'], admin.socket)
  file(['admin', 'state'], admin.state)
  return claims
}
