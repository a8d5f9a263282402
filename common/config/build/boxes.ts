import { canonicalIp } from '../../net/address.ts'
import type { Box } from '../config.ts'
import { quote } from '../problem.ts'
import { expandRange, hasRange, matchNames } from '../ranges.ts'
import { label } from '../read-source.ts'
import type { Path } from '../read-source.ts'
import type { SourceConfig } from '../schema/config-schema.ts'
import type { BuildContext } from './context.ts'

/** The inventory, ranges expanded, in the file's order; no name and no address is there twice. */
export function buildBoxes(source: SourceConfig['boxes'], context: BuildContext): Map<string, Box> {
  const boxes = new Map<string, Box>()
  const addresses = new Map<string, string>()
  for (const [key, entry] of source) {
    const path = ['boxes', key]
    const names = expandAt(path, key, context, true)
    const address = expandWith(names, [...path, 'address'], entry.address, key, context)
    const address6 = expandWith(names, [...path, 'address6'], entry.address6, key, context)
    for (const [index, name] of names.entries()) {
      const box = {
        name,
        address: addressAt([...path, 'address'], address[index], context) ?? '',
        address6: addressAt([...path, 'address6'], address6[index], context),
        interface: entry.interface,
        site: entry.site,
        weight: entry.weight ?? 1,
      }
      if (boxes.has(name)) context.keyProblem(path, `The box ${quote(name)} is there twice`)
      else boxes.set(name, box)
      claim(addresses, box.address, name, [...path, 'address'], context)
      claim(addresses, box.address6, name, [...path, 'address6'], context)
    }
  }
  return boxes
}

/** The boxes that patterns name, each once, in the order of the patterns. */
export function selectBoxes(
  patterns: readonly string[],
  boxes: ReadonlyMap<string, Box>,
  path: Path,
  context: BuildContext,
): readonly string[] {
  const names = [...boxes.keys()]
  const selected = new Set<string>()
  for (const pattern of patterns) {
    if (pattern === '') continue
    for (const name of selectOne(pattern, names, path, context)) selected.add(name)
  }
  return [...selected]
}

function selectOne(
  pattern: string,
  names: readonly string[],
  path: Path,
  context: BuildContext,
): readonly string[] {
  if (pattern.includes('*')) {
    const found = matchNames(pattern, names)
    if (found.length === 0) {
      context.problem(
        path,
        `${label(path)} is ${quote(pattern)}, which matches no box: the file has ${names.slice(0, 8).join(', ')}`,
      )
    }
    return found
  }
  return expandAt(path, pattern, context).filter((name) =>
    context.isKnown(path, 'box', name, names),
  )
}

/** The texts of a range, or none after saying why. */
export function expandAt(
  path: Path,
  text: string,
  context: BuildContext,
  isKey = false,
): readonly string[] {
  const expansion = expandRange(text)
  if (expansion.ok) return expansion.texts
  const message = `${label(path)}: ${expansion.message}`
  if (isKey) context.keyProblem(path, message)
  else context.problem(path, message)
  return []
}

/** One text per name: a range that counts as they do, or for a single name a single text. */
export function expandWith(
  names: readonly string[],
  path: Path,
  text: string | undefined,
  key: string,
  context: BuildContext,
): readonly string[] {
  if (text === undefined || text === '' || names.length === 0) return []
  const texts = hasRange(text) ? expandAt(path, text, context) : [text]
  if (texts.length > 0 && texts.length !== names.length) {
    const counts = `${names.length} ${names.length === 1 ? 'name' : 'names'} and ${texts.length} ${texts.length === 1 ? 'address' : 'addresses'}`
    context.problem(
      path,
      `${label(path)} is ${quote(text)}: ${quote(key)} has ${counts}, both must count alike`,
    )
    return []
  }
  return texts
}

function addressAt(
  path: Path,
  text: string | undefined,
  context: BuildContext,
): string | undefined {
  if (text === undefined) return undefined
  const address = canonicalIp(text)
  if (address !== undefined) {
    const family = path.at(-1) === 'address6' ? 6 : undefined
    if (family === 6 && !address.includes(':')) {
      context.problem(path, `${label(path)} is ${quote(text)}, not an IPv6 address`)
      return undefined
    }
    return address
  }
  context.problem(path, `${label(path)} makes ${quote(text)}, not an IP address`)
  return undefined
}

function claim(
  owners: Map<string, string>,
  address: string | undefined,
  name: string,
  path: Path,
  context: BuildContext,
): void {
  if (address === undefined || address === '') return
  const owner = owners.get(address)
  if (owner === undefined) owners.set(address, name)
  else
    context.problem(
      path,
      `The address ${quote(address)} of the box ${quote(name)} is already that of ${quote(owner)}`,
    )
}
