/** Paths as POSIX has them, without asking any file system. */

/** `path` seen from `folder`, without `.`, `..` and doubled slashes. */
export function resolvePath(folder: string, path: string): string {
  const isAbsolute = path.startsWith('/') || folder.startsWith('/')
  const kept: string[] = []
  for (const part of (path.startsWith('/') ? path : `${folder}/${path}`).split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') kept.push(part)
    else if (kept.length > 0 && kept.at(-1) !== '..') kept.pop()
    else if (!isAbsolute) kept.push('..')
  }
  const joined = kept.join('/')
  if (isAbsolute) return `/${joined}`
  return joined === '' ? '.' : joined
}

/** The folder that holds the file: `.` for a bare name. */
export function folderOf(file: string): string {
  const slash = file.lastIndexOf('/')
  if (slash < 0) return '.'
  return slash === 0 ? '/' : file.slice(0, slash)
}
