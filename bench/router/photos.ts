import { randomFillSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** How many users a size has: together they fill about 64 MB, like a cache's hot set. */
const USERS: Readonly<Record<number, number>> = { 1: 4096, 16: 2048, 64: 1024, 128: 512, 512: 192 }

/** Photos of one size; user i's bytes are the pool's from `i * STRIDE_BYTES` on. */
export interface PhotoSet {
  readonly sizeBytes: number
  readonly users: number
}

/** Odd in cache lines, so that no two photos of a set share their beginning. */
export const STRIDE_BYTES = 1088

/** Where a user's photo of a size is, on every cache and through every proxy. */
export const photoPath = (sizeBytes: number, user: number): string =>
  `/u/${100_000 + user}/${sizeBytes / 1024}k.jpg`

/** Random bytes that all photos are windows of; the load generator compares with it. */
export interface PhotoLibrary {
  /** Folder that the caches serve. */
  readonly root: string
  readonly poolFile: string
  readonly sets: ReadonlyMap<number, PhotoSet>
}

/** Writes the photos of the given sizes (in KB), each user's different, under `folder`. */
export function createPhotos(folder: string, sizesKb: readonly number[]): PhotoLibrary {
  const root = path.join(folder, 'photos')
  const poolFile = path.join(folder, 'pool')
  const sets = new Map<number, PhotoSet>()
  let poolBytes = 0
  for (const sizeKb of sizesKb) {
    const set = { sizeBytes: sizeKb * 1024, users: USERS[sizeKb] ?? 64 }
    sets.set(set.sizeBytes, set)
    poolBytes = Math.max(poolBytes, set.users * STRIDE_BYTES + set.sizeBytes)
  }
  const pool = randomFillSync(Buffer.allocUnsafe(poolBytes))
  writeFileSync(poolFile, pool)
  for (const { sizeBytes, users } of sets.values()) {
    for (let user = 0; user < users; user++) {
      const file = path.join(root, photoPath(sizeBytes, user))
      const start = user * STRIDE_BYTES
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, pool.subarray(start, start + sizeBytes))
    }
  }
  return { root, poolFile, sets }
}
