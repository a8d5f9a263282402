import fs from 'node:fs'
import path from 'node:path'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { reasonOf } from '../../common/runtime/config-file.ts'
import { encodeJpeg, withComment } from './jpeg.ts'
import { paintLandscape } from './picture.ts'

const PICTURES = 5
const USERS = 60
const PHOTOS_PER_USER = 4
const OWN_PHOTOS_MAX = 10_000
const OWN_PHOTO_USERS = 20

/** Where storage keeps its photos, and the path of each below it (`/u/1001/1.jpg`), URL-encoded. */
export interface PhotoFolder {
  readonly folder: string
  readonly paths: readonly string[]
  readonly userCount: number
}

/** Writes a small set of landscapes into `folder`, each photo's bytes its own. */
export function generatePhotos(folder: string): PhotoFolder {
  const pictures = Array.from({ length: PICTURES }, (_, seed) =>
    encodeJpeg(paintLandscape(320, 200, seed), 85),
  )
  const paths: string[] = []
  for (let user = 1001; user < 1001 + USERS; user += 1) {
    fs.mkdirSync(path.join(folder, 'u', String(user)), { recursive: true })
    for (let photo = 1; photo <= PHOTOS_PER_USER; photo += 1) {
      const picture = pictures[(user * PHOTOS_PER_USER + photo) % PICTURES] ?? new Uint8Array()
      const comment = Buffer.from(`photo ${photo} of user ${user}`)
      const photoPath = `/u/${user}/${photo}.jpg`
      fs.writeFileSync(path.join(folder, photoPath), withComment(picture, comment))
      paths.push(photoPath)
    }
  }
  return { folder, paths, userCount: USERS }
}

/**
 * Takes the JPEG files under `source`: `USER/PHOTO.jpg` belongs to that user, a file that lies in
 * `source` itself is dealt to one of 20. `folder` gets a link to each.
 */
export function linkOwnPhotos(source: string, folder: string): PhotoFolder {
  const files = listJpegFiles(source)
  if (files.length === 0) {
    throw new ApplianceError(
      'DEMO_NO_PHOTOS',
      `No JPEG photo in ${source}: give --photos a folder with PHOTO.jpg or USER/PHOTO.jpg in it`,
    )
  }
  const users = new Set<string>()
  const paths = files.map((file, index) => {
    const parts = path.relative(source, file).split(path.sep)
    const photo = parts.at(-1) ?? ''
    const user = parts.at(-2) ?? String((index % OWN_PHOTO_USERS) + 1)
    users.add(user)
    fs.mkdirSync(path.join(folder, 'u', user), { recursive: true })
    const link = path.join(folder, 'u', user, photo)
    if (!fs.existsSync(link)) fs.symlinkSync(path.resolve(file), link)
    return `/u/${encodeURIComponent(user)}/${encodeURIComponent(photo)}`
  })
  return { folder, paths: [...new Set(paths)], userCount: users.size }
}

function listJpegFiles(source: string): string[] {
  let names: string[]
  try {
    names = fs.readdirSync(source, { recursive: true, encoding: 'utf8' })
  } catch (error) {
    throw new ApplianceError(
      'DEMO_NO_PHOTOS',
      `Cannot read the folder --photos ${source}: ${reasonOf(error)}`,
    )
  }
  return names
    .filter((name) => /\.jpe?g$/i.test(name))
    .sort()
    .slice(0, OWN_PHOTOS_MAX)
    .map((name) => path.join(source, name))
    .filter(isJpegFile)
}

function isJpegFile(file: string): boolean {
  if (!fs.statSync(file).isFile()) return false
  const opened = fs.openSync(file, 'r')
  try {
    const start = Buffer.alloc(3)
    fs.readSync(opened, start, 0, 3, 0)
    return start[0] === 0xff && start[1] === 0xd8 && start[2] === 0xff
  } finally {
    fs.closeSync(opened)
  }
}
