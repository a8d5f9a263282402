import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** How an origin frames, paces and ends what it sends; the photo's name says it: `big.drip.close`. */
export interface Manner {
  readonly framing: 'length' | 'chunked' | 'close'
  /** In small pieces with pauses between. */
  readonly isDripped: boolean
  /** Half-way: by FIN, by reset; or not. */
  readonly breaksBy: 'fin' | 'reset' | undefined
}

const PIECES = 25
const PAUSE_MS = 20

/** A photo origin that misbehaves as it is asked to. Serves `/u/USER/NAME` from `photos`. */
export class Origin {
  readonly port: number
  requestCount = 0
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()

  private constructor(server: net.Server, photos: ReadonlyMap<string, Buffer>) {
    this.#server = server
    this.port = (server.address() as net.AddressInfo).port
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined)
      let head = ''
      socket.setEncoding('latin1').on('data', (text: string) => {
        head += text
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return
        const target = head.split(' ')[1] ?? ''
        head = head.slice(end + 4)
        this.requestCount += 1
        // The client may go at any time.
        answer(socket, photos.get(target), mannerOf(target)).catch(() => socket.destroy())
      })
    })
  }

  static async start(photos: ReadonlyMap<string, Buffer>): Promise<Origin> {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Origin(server, photos)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server.close(), 'close')
  }
}

function mannerOf(target: string): Manner {
  const words = target.split('/').at(-1)?.split('.') ?? []
  const framing = words.includes('close')
    ? 'close'
    : words.includes('chunked')
      ? 'chunked'
      : 'length'
  const breaksBy = words.includes('fin') ? 'fin' : words.includes('reset') ? 'reset' : undefined
  return { framing, isDripped: words.includes('drip'), breaksBy }
}

async function answer(
  socket: net.Socket,
  photo: Buffer | undefined,
  { framing, isDripped, breaksBy }: Manner,
): Promise<void> {
  if (photo === undefined) {
    socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    return
  }
  const field = {
    length: `Content-Length: ${photo.length}`,
    chunked: 'Transfer-Encoding: chunked',
    close: 'Connection: close',
  }[framing]
  socket.write(`HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n${field}\r\n\r\n`)
  const step = Math.ceil(photo.length / PIECES)
  for (let from = 0; from < photo.length && !socket.destroyed; from += step) {
    if (breaksBy !== undefined && from > photo.length / 2) {
      await delay(50)
      if (breaksBy === 'fin') socket.end()
      else socket.resetAndDestroy()
      return
    }
    const piece = photo.subarray(from, from + step)
    const size = `${piece.length.toString(16)}\r\n`
    const bytes =
      framing === 'chunked' ? Buffer.concat([Buffer.from(size), piece, Buffer.from('\r\n')]) : piece
    if (!socket.write(bytes)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
    if (isDripped) await delay(PAUSE_MS)
  }
  if (framing === 'chunked') socket.write('0\r\n\r\n')
  if (framing === 'close') socket.end()
}
