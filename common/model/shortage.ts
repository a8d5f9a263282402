/**
 * What a box can itself run out of when it makes a connection (or a process), by the errno name
 * that tells. Whoever was to be reached has no part in it.
 */
const SHORTAGES = {
  EMFILE: 'no more file descriptors',
  ENFILE: 'no more file descriptors',
  ENOBUFS: 'no more socket buffers',
  ENOMEM: 'no more memory',
  EADDRNOTAVAIL: 'no local address or port to connect from',
  EAGAIN: 'no more local ports or processes',
} as const

export type ShortageCode = keyof typeof SHORTAGES

export const isShortage = (code: unknown): code is ShortageCode =>
  typeof code === 'string' && Object.hasOwn(SHORTAGES, code)

/** What lacks, in words that begin small. */
export const shortageInWords = (code: ShortageCode): string => SHORTAGES[code]
