import { Buffer } from 'node:buffer'
import { photoPath, STRIDE_BYTES, type PhotoSet } from '../photos.ts'

/** A head as a browser sends it. */
function requestHead(sizeBytes: number, user: number): string {
  return [
    `GET ${photoPath(sizeBytes, user)} HTTP/1.1`,
    'Host: photos.example.com',
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    'Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5',
    'Accept-Language: en-GB,en;q=0.5',
    'Accept-Encoding: gzip, deflate, br',
    `Referer: https://www.example.com/profile/${100_000 + user}`,
    'Connection: keep-alive',
    'Sec-Fetch-Dest: image',
    'Sec-Fetch-Mode: no-cors',
    'Sec-Fetch-Site: same-site',
    '',
    '',
  ].join('\r\n')
}

/** The requests of one set of photos, ready to send, and what must come back. */
export interface Catalogue {
  readonly sizeBytes: number
  readonly requests: readonly Buffer[]
  /** All photos are windows of it: user i's from `i * STRIDE_BYTES` on. */
  readonly pool: Buffer
}

export function createCatalogue(set: PhotoSet, pool: Buffer): Catalogue {
  const requests = Array.from({ length: set.users }, (_, user) =>
    Buffer.from(requestHead(set.sizeBytes, user), 'latin1'),
  )
  return { sizeBytes: set.sizeBytes, requests, pool }
}

const HEAD_END = Buffer.from('\r\n\r\n')
const MAX_HEAD_BYTES = 16_384

/**
 * Reads one answer: the status must be 200, the length the photo's, every byte the original's.
 * Anything else throws with the request's path; there is no such thing as a few wrong photos.
 */
export class AnswerReader {
  /** The answer was the connection's last. */
  isLast = false
  #user = 0
  #received = -1
  #head: Buffer | undefined
  readonly #catalogue: Catalogue

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue
  }

  begin(user: number): void {
    this.#user = user
    this.#received = -1
    this.isLast = false
  }

  /** Takes what came; true when the answer is whole. */
  take(bytes: Buffer, length: number): boolean {
    let start = 0
    let end = length
    if (this.#received < 0) {
      if (this.#head !== undefined) {
        bytes = Buffer.concat([this.#head, bytes.subarray(0, length)])
        end = bytes.length
      }
      start = this.#readHead(bytes, end)
      if (start < 0) {
        this.#head = Buffer.from(bytes.subarray(0, end))
        if (end > MAX_HEAD_BYTES) throw this.fault('the head has no end')
        return false
      }
      this.#head = undefined
      this.#received = 0
    }
    const { sizeBytes, pool } = this.#catalogue
    const at = this.#user * STRIDE_BYTES + this.#received
    const count = end - start
    if (this.#received + count > sizeBytes) throw this.fault('more bytes came than the photo has')
    if (count > 0 && bytes.compare(pool, at, at + count, start, end) !== 0) {
      throw this.fault(`bytes differ from the original after ${this.#received}`)
    }
    this.#received += count
    return this.#received === sizeBytes
  }

  fault(what: string): Error {
    return new Error(`GET ${photoPath(this.#catalogue.sizeBytes, this.#user)}: ${what}`)
  }

  #readHead(bytes: Buffer, end: number): number {
    const at = bytes.subarray(0, Math.min(end, MAX_HEAD_BYTES)).indexOf(HEAD_END)
    if (at < 0) return -1
    const head = bytes.toString('latin1', 0, at + 2)
    if (!head.startsWith('HTTP/1.1 200 ')) {
      throw this.fault(`the answer is "${head.slice(0, head.indexOf('\r\n'))}"`)
    }
    const length = /\r\ncontent-length: *([0-9]+)\r\n/i.exec(head)?.[1]
    if (Number(length) !== this.#catalogue.sizeBytes) {
      throw this.fault(`Content-Length is ${length ?? 'missing'}, the photo has another length`)
    }
    this.isLast = /\r\nconnection: *close\r\n/i.test(head)
    return at + 4
  }
}
