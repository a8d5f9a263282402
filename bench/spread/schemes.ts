import { CacheChooser } from '../../router/core/cache-chooser.ts'
import { murmur3 } from '../../router/core/slot-hash.ts'
import { buildSlotTable } from '../../router/core/slot-table.ts'
import { crc32, fullHash, sdbmAvalanche, sha256Last4 } from './hashes.ts'

/** The cache, as an index into the names, that one request of the user at this place goes to. */
export type Choose = (user: number) => number

/** A way to choose. */
export interface Scheme {
  readonly name: string
  /** The choice among these caches while `down` are out. */
  choose(names: readonly string[], down: ReadonlySet<number>): Choose
}

/** All schemes for these users; what a scheme needs of a user's name is hashed once. */
export function schemesFor(users: readonly Uint8Array[]): Scheme[] {
  return [
    new Photoedge('photoedge spread', 'spread', users),
    nginxRing(users),
    haproxyRing(users),
    varnishRing(users),
    maglev(users),
    new Photoedge('single backup', 'backup', users),
    new Photoedge('scatter', 'scatter', users),
  ]
}

let tableNames: readonly string[] = []
let table: Uint16Array = new Uint16Array()

/** The router's own: the table, and the chooser that the workers use. */
class Photoedge implements Scheme {
  readonly name: string
  readonly #fallback: 'spread' | 'scatter' | 'backup'
  readonly #users: readonly Uint8Array[]

  constructor(
    name: string,
    fallback: 'spread' | 'scatter' | 'backup',
    users: readonly Uint8Array[],
  ) {
    this.name = name
    this.#fallback = fallback
    this.#users = users
  }

  choose(names: readonly string[], down: ReadonlySet<number>): Choose {
    const servers = names.map((name) => ({ name, weight: 1 }))
    if (tableNames !== names) {
      tableNames = names
      table = buildSlotTable(servers)
    }
    const chooser = new CacheChooser({
      servers,
      fallback: this.#fallback,
      backup: names.length - 1,
    })
    chooser.setWeights(
      servers.map(({ weight }) => weight),
      table,
    )
    names.forEach((_, server) => {
      chooser.setFactor(server, down.has(server) ? 0 : 1)
    })
    const users = this.#users
    return (user) => {
      const bytes = users[user]!
      chooser.locate(bytes, bytes.length)
      return chooser.first()
    }
  }
}

/** Points on a circle of 2^32, sorted; equal points in the order they were made. */
interface Ring {
  readonly points: Uint32Array
  readonly owners: Uint16Array
  /** By the hash's upper half, the first point that is not below it. */
  readonly guide: Uint32Array
}

function ringOf(points: readonly { readonly point: number; readonly owner: number }[]): Ring {
  const sorted = points.toSorted((a, b) => a.point - b.point)
  const guide = new Uint32Array(65_536)
  for (let half = 0, at = 0; half < guide.length; half++) {
    while (at < sorted.length && sorted[at]!.point < half * 65_536) at++
    guide[half] = at
  }
  return {
    points: Uint32Array.from(sorted, ({ point }) => point),
    owners: Uint16Array.from(sorted, ({ owner }) => owner),
    guide,
  }
}

/** The first place whose point is at or behind the hash; the length where there is none. */
function placeOf({ points, guide }: Ring, hash: number): number {
  let place = guide[hash >>> 16]!
  while (place < points.length && points[place]! < hash) place++
  return place
}

/** From a place onwards, the first point whose owner is up. */
function walk({ owners }: Ring, place: number, down: ReadonlySet<number>): number {
  for (let step = 0; step < owners.length; step++) {
    const owner = owners[(place + step) % owners.length]!
    if (!down.has(owner)) return owner
  }
  return 0xffff
}

/**
 * nginx `hash $user consistent`: 160 points a server, crc32 over host, NUL, port and the point
 * before it; a user is crc32 of its name; a down server is walked past point by point (nginx gives
 * up after 20 and takes turns; a walk of 20 hardly ever ends there).
 */
function nginxRing(users: readonly Uint8Array[]): Scheme {
  const hashes = Uint32Array.from(users, crc32)
  return {
    name: "nginx's ring (160)",
    choose(names, down) {
      const points = names.flatMap((name, owner) => {
        const host = new TextEncoder().encode(`${name}\0` + '80')
        const text = new Uint8Array(host.length + 4)
        text.set(host)
        const view = new DataView(text.buffer)
        let point = 0
        return Array.from({ length: 160 }, () => {
          view.setUint32(host.length, point, true)
          point = crc32(text)
          return { point, owner }
        })
      })
      const ring = ringOf(points)
      return (user) => walk(ring, placeOf(ring, hashes[user]!), down)
    },
  }
}

/**
 * HAProxy `hash-type consistent`, weight 1: 16 nodes a server, each at the full hash of (id x 4096 +
 * node), nodes of down servers are taken out of the tree, the closest node in either direction wins.
 */
function haproxyRing(users: readonly Uint8Array[]): Scheme {
  const hashes = Uint32Array.from(users, sdbmAvalanche)
  return {
    name: "HAProxy's ring (16)",
    choose(names, down) {
      const points = names.flatMap((_, owner) =>
        down.has(owner)
          ? []
          : Array.from({ length: 16 }, (_, node) => ({
              point: fullHash((owner + 1) * 4096 + node),
              owner,
            })),
      )
      const ring = ringOf(points)
      const { points: places, owners } = ring
      return (user) => {
        const hash = hashes[user]!
        const next = placeOf(ring, hash) % places.length
        const previous = (next + places.length - 1) % places.length
        const ahead = (places[next]! - hash) >>> 0
        const behind = (hash - places[previous]!) >>> 0
        return owners[ahead <= behind ? next : previous]!
      }
    },
  }
}

/** Varnish's shard director: 67 points a server, the last 32 bits of SHA-256 of name and number. */
function varnishRing(users: readonly Uint8Array[]): Scheme {
  const hashes = Uint32Array.from(users, sha256Last4)
  return {
    name: "Varnish's ring (67)",
    choose(names, down) {
      const points = names.flatMap((name, owner) =>
        Array.from({ length: 67 }, (_, n) => ({ point: sha256Last4(`${name}${n + 1}`), owner })),
      )
      const ring = ringOf(points)
      return (user) => walk(ring, placeOf(ring, hashes[user]!), down)
    },
  }
}

const MAGLEV_SLOTS = 65_537

/** Maglev (Eisenbud 2016, section 3.4), built anew from the servers that are up. */
function maglev(users: readonly Uint8Array[]): Scheme {
  const hashes = Uint32Array.from(users, (user) => murmur3(user, user.length, 0) % MAGLEV_SLOTS)
  return {
    name: 'Maglev (65,537)',
    choose(names, down) {
      const up = names.map((_, server) => server).filter((server) => !down.has(server))
      const text = names.map((name) => new TextEncoder().encode(name))
      const offsets = text.map((name) => murmur3(name, name.length, 101) % MAGLEV_SLOTS)
      const skips = text.map((name) => (murmur3(name, name.length, 102) % (MAGLEV_SLOTS - 1)) + 1)
      const next = [...offsets]
      const table = new Uint16Array(MAGLEV_SLOTS).fill(0xffff)
      for (let filled = 0; filled < MAGLEV_SLOTS;) {
        for (const server of up) {
          while (table[next[server]!] !== 0xffff)
            next[server] = (next[server]! + skips[server]!) % MAGLEV_SLOTS
          table[next[server]!] = server
          if (++filled === MAGLEV_SLOTS) break
        }
      }
      return (user) => table[hashes[user]!]!
    },
  }
}
