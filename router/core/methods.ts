import { encodeText } from './ascii.ts'

/** The methods of RFC 9110 and PATCH, as small integers; `none` is no known method. */
export const METHODS = {
  none: 0,
  GET: 1,
  HEAD: 2,
  POST: 3,
  PUT: 4,
  DELETE: 5,
  OPTIONS: 6,
  TRACE: 7,
  PATCH: 8,
  CONNECT: 9,
} as const

/** The name of each method by its number; the first is `-`. */
export const METHOD_NAMES: readonly string[] = [
  '-',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'CONNECT',
]

/** The length of the longest known method. */
export const LONGEST_METHOD = 7

const NAME_BYTES = METHOD_NAMES.map(encodeText)

/** The number of the method `bytes[start..end)` (case matters); `METHODS.none` when unknown. */
export const methodOf = (bytes: Uint8Array, start: number, end: number): number => {
  const length = end - start
  if (length === 3 && bytes[start] === 71 && bytes[start + 1] === 69 && bytes[start + 2] === 84) {
    return METHODS.GET
  }
  for (let method = 2; method < NAME_BYTES.length; method++) {
    const name = NAME_BYTES[method]
    if (name?.length !== length) continue
    let i = 0
    while (i < length && bytes[start + i] === name[i]) i++
    if (i === length) return method
  }
  return METHODS.none
}
