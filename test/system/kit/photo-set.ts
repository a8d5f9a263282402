import fs from 'node:fs'
import path from 'node:path'
import { encodeJpeg, withComment } from '../../../bin/demo/jpeg.ts'
import { paintLandscape, randomOf } from '../../../bin/demo/picture.ts'

const COMMENT_MAX_BYTES = 60_000
const LARGE_COUNT = 16
const LARGE_BYTES = 1_500_000

/** Real JPEG files, no two of them alike anywhere, each held in memory to compare with. */
export class PhotoSet {
  /** By path, `/u/17/2.jpg`. */
  readonly originals = new Map<string, Buffer>()
  readonly paths: readonly string[]
  /** Of other users, and not drawn by `zipf`: photos of 1.5 MB. */
  readonly largePaths: readonly string[]
  readonly userCount: number

  constructor(userCount: number, photosPerUser: number, sizesBytes: readonly number[]) {
    const picture = encodeJpeg(paintLandscape(48, 32, 1), 60)
    this.userCount = userCount
    for (let user = 0; user < userCount; user += 1) {
      for (let photo = 0; photo < photosPerUser; photo += 1) {
        const seed = user * photosPerUser + photo
        const size = sizesBytes[seed % sizesBytes.length] ?? 0
        this.originals.set(`/u/${user}/${photo}.jpg`, padded(picture, size, seed))
      }
    }
    this.paths = [...this.originals.keys()]
    this.largePaths = Array.from({ length: LARGE_COUNT }, (_, index) => {
      const user = userCount + index
      this.originals.set(`/u/${user}/large.jpg`, padded(picture, LARGE_BYTES, -user))
      return `/u/${user}/large.jpg`
    })
  }

  /** Writes each photo to its path below `folder`. */
  writeTo(folder: string): void {
    for (const [photoPath, bytes] of this.originals) {
      const file = path.join(folder, photoPath)
      fs.mkdirSync(path.dirname(file), { recursive: true })
      fs.writeFileSync(file, bytes)
    }
  }

  /**
   * Draws paths: users by Zipf's law (the most popular first; which one that is depends on the
   * seed), a user's photos evenly. Of the first `userCount` users only, where that is given.
   */
  zipf(seed: number, userCount = this.userCount): () => string {
    const random = randomOf(seed)
    const users = Array.from({ length: userCount }, (_, user) => ({ user, place: random() }))
    users.sort((a, b) => a.place - b.place)
    const upTo = new Float64Array(userCount)
    let sum = 0
    for (let rank = 0; rank < userCount; rank += 1) {
      sum += 1 / (rank + 1)
      upTo[rank] = sum
    }
    const perUser = this.paths.length / this.userCount
    return () => {
      const { user } = users[firstAbove(upTo, random() * sum)] ?? { user: 0 }
      return this.paths[user * perUser + Math.floor(random() * perUser)] ?? ''
    }
  }
}

/** The picture with comments of noise, up to about `sizeBytes`. */
function padded(picture: Uint8Array, sizeBytes: number, seed: number): Buffer {
  const random = randomOf(seed + 1)
  let photo = picture
  let left = Math.max(64, sizeBytes - picture.length)
  while (left > 0) {
    const words = new Uint32Array(Math.ceil(Math.min(left, COMMENT_MAX_BYTES) / 4))
    for (let at = 0; at < words.length; at += 1) words[at] = random() * 2 ** 32
    photo = withComment(photo, new Uint8Array(words.buffer))
    left -= words.byteLength
  }
  return Buffer.from(photo)
}

function firstAbove(sorted: Float64Array, value: number): number {
  let low = 0
  let high = sorted.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? 0) > value) high = middle
    else low = middle + 1
  }
  return low
}
