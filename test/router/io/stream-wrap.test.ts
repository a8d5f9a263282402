import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { readSync } from 'node:fs'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { BufferPool } from '../../../router/io/buffer-pool.ts'
import { MOST_PASSED_BYTES } from '../../../router/io/pass-on.ts'
import { openStreamWrap } from '../../../router/io/stream-wrap-transport.ts'
import { WRITE } from '../../../router/io/transport.ts'
import type { Transport } from '../../../router/io/transport.ts'
import { descriptorOf } from '../descriptor.ts'

/** A client that reads nothing until it is told to, and the router's end of its connection. */
interface Line {
  readonly transport: Transport
  readonly client: Socket
  /** All that the client gets until it has so many bytes, or the connection ends. */
  read(length?: number): Promise<Buffer>
}

/** Makes connections whose ends at the router share one pool. */
async function openLines(t: Test) {
  const pool = new BufferPool()
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const open = async (): Promise<Line> => {
    const client = net.connect(port, '127.0.0.1')
    const [socket] = (await once(server, 'connection')) as [Socket]
    sockets.push(client, socket)
    client.on('error', () => undefined).pause()
    const transport = openStreamWrap(socket, OWNER, Buffer.allocUnsafeSlow(65_536), pool)
    return { transport, client, read: (length) => readAll(client, length) }
  }
  return { pool, port, open }
}

const OWNER = {
  onBytes: () => undefined,
  onEnd: () => undefined,
  onDrained: () => undefined,
  onGone: () => undefined,
}

function readAll(client: Socket, length = Infinity): Promise<Buffer> {
  const parts: Buffer[] = []
  let got = 0
  return new Promise((resolve) => {
    const done = () => {
      resolve(Buffer.concat(parts))
    }
    client.on('close', done).on('data', (part: Buffer) => {
      parts.push(part)
      got += part.length
      if (got >= length) done()
    })
    client.resume()
  })
}

/** Writes pieces of that letter until one has to wait; how much was written. */
function fill({ transport }: Line, letter: string): number {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES).fill(letter)
  for (let written = PIECE_BYTES; ; written += PIECE_BYTES)
    if (transport.write(piece, 0, PIECE_BYTES) !== WRITE.done) return written
}

/** The letters that are there, each once, in their order. */
const lettersOf = (bytes: Buffer): string => [...new Set(bytes.toString('latin1'))].join('')

void t.test('what waits for one client is its own until it is sent', async (t) => {
  const { pool, open } = await openLines(t)
  const lines = [await open(), await open(), await open()]
  const lengths = lines.map((line, i) => fill(line, LETTERS[i]!))
  lines.forEach(({ transport }, i) => {
    t.ok(transport.pendingBytes > 0, `${LETTERS[i]!} waits`)
  })
  // Others come and go meanwhile, each with a rest of its own.
  for (let i = 0; i < 5; i++) {
    const other = await open()
    fill(other, 'x')
    other.transport.destroy()
    await once(other.transport.socket, 'close')
  }
  for (const [i, line] of lines.entries()) {
    const bytes = await line.read(lengths[i])
    t.equal(bytes.length, lengths[i])
    t.equal(lettersOf(bytes), LETTERS[i], 'its own bytes alone')
  }
  const spare = Array.from({ length: 64 }, () => pool.take(PIECE_BYTES))
  t.equal(new Set(spare).size, spare.length, 'and no buffer was given back twice')
})

void t.test('a descriptor that is closed and taken anew gets no byte of the old', async (t) => {
  const ends: [string, (line: Line) => Promise<unknown>][] = [
    ['by a timeout or an error, before it is told', (line) => destroyed(line)],
    ['by the client, with bytes owed to it', (line) => resetByClient(line)],
    ['by us, with bytes owed to it', (line) => destroyedByUs(line)],
  ]
  for (const [how, end] of ends) {
    const { open } = await openLines(t)
    const line = await open()
    const { socket } = line.transport
    const fd = descriptorOf(socket)
    if (how.includes('owed')) fill(line, 'a')
    const next = net.createServer().listen(0, '127.0.0.1')
    await once(next, 'listening')
    t.teardown(() => next.close())
    const accepted = once(next, 'connection') as Promise<[Socket]>
    await end(line)
    // The lowest number that is free is the next connection's.
    const other = net.connect((next.address() as AddressInfo).port, '127.0.0.1')
    t.teardown(() => other.destroy())
    await new Promise((resolve) => {
      process.nextTick(resolve)
    })
    t.equal(descriptorOf(other), fd, `${how}: the same number`)
    t.equal(line.transport.write(Buffer.allocUnsafeSlow(1000).fill('a'), 0, 1000), WRITE.failed)
    const [peer] = await accepted
    other.end('b'.repeat(1000))
    t.equal(lettersOf(await readAll(peer)), 'b', 'its own bytes alone')
  }
})

function destroyed({ transport }: Line): Promise<void> {
  transport.socket.destroy()
  return Promise.resolve()
}

function destroyedByUs({ transport }: Line): Promise<void> {
  transport.destroy()
  return Promise.resolve()
}

async function resetByClient({ transport, client }: Line): Promise<void> {
  client.resetAndDestroy()
  await once(transport.socket, 'close')
}

void t.test('a connection takes what came to another, unseen', async (t) => {
  const { open } = await openLines(t)
  const [source, target] = [await open(), await open()]
  source.transport.pause()
  const photo = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 7919) >>> 7))
  source.client.write(photo)
  const got = target.read(photo.length)
  for (let left = photo.length; left > 0;) {
    left -= target.transport.takeFrom(source.transport, left)
    await turn()
  }
  t.ok((await got).equals(photo))
  t.equal(target.transport.takeFrom(source.transport, 1), 0, 'then nothing is there')
  t.end()
})

void t.test('what a client does not take at once waits for it; what is over is lost', async (t) => {
  const { open } = await openLines(t)
  const [source, target] = [await open(), await open()]
  source.transport.pause()
  const sent: Buffer[] = []
  for (let i = 0; waiting(target) === 0; i++) {
    const piece = Buffer.alloc(PIECE_BYTES + 1, LETTERS[i % 3])
    piece[PIECE_BYTES] = 'x'.charCodeAt(0)
    source.client.write(piece)
    for (let left = PIECE_BYTES; left >= 0;) {
      const taken = target.transport.takeFrom(source.transport, left)
      if (taken === 0 && waiting(target) > 0) break
      left -= taken
      await turn()
    }
    sent.push(piece.subarray(0, PIECE_BYTES))
  }
  t.ok(target.transport.pendingBytes <= MOST_PASSED_BYTES, 'no more than one move of it')
  source.client.write('b'.repeat(100))
  await turn()
  readAtOnce(target.client)
  t.equal(target.transport.takeFrom(source.transport, 100), 0, 'nothing goes before it')
  const length = sent.length * PIECE_BYTES - READ_AT_ONCE_BYTES
  t.ok((await target.read(length)).equals(Buffer.concat(sent).subarray(READ_AT_ONCE_BYTES)))
  const behind = target.read(100)
  while (target.transport.takeFrom(source.transport, 100) === 0) await turn()
  t.equal(lettersOf(await behind), 'b', 'the next bytes are whole')
  t.end()
})

void t.test('what is written for more to come waits for it, or for a push', async (t) => {
  const { open } = await openLines(t)
  const [source, target] = [await open(), await open()]
  source.transport.pause()
  source.client.write('b')
  await turn()
  const { transport, client } = target
  const ways: [string, () => unknown][] = [
    [
      'a',
      () => {
        transport.push()
      },
    ],
    ['ab', () => transport.takeFrom(source.transport, 1)],
    ['ac', () => transport.write(Buffer.from('c'), 0, 1)],
  ]
  for (const [expected, follow] of ways) {
    t.equal(transport.write(Buffer.from('a'), 0, 1, true), WRITE.done)
    t.equal(whatIsThere(client), '')
    follow()
    t.equal(whatIsThere(client), expected)
  }
  t.end()
})

void t.test('nothing is taken from what is gone, or by it', async (t) => {
  const { open } = await openLines(t)
  const [source, target, gone] = [await open(), await open(), await open()]
  for (const { transport } of [source, gone]) transport.pause()
  source.client.write('abc')
  t.ok(target.transport.canTake)
  const fd = descriptorOf(gone.transport.socket)
  gone.transport.socket.destroy()
  await once(gone.transport.socket, 'close')
  const heir = await open()
  t.equal(descriptorOf(heir.client), fd, 'another has its number')
  heir.transport.write(Buffer.from('abc'), 0, 3)
  for (let i = 0; i < 20; i++) {
    t.equal(target.transport.takeFrom(gone.transport, 3), 0)
    t.equal(gone.transport.takeFrom(source.transport, 3), 0)
    await turn()
  }
  t.equal(target.transport.takeFrom(source.transport, 3), 3, 'it was there all the while')
  t.end()
})

const waiting = ({ transport }: Line): number => transport.pendingBytes

/** Read without a turn of the loop. */
function whatIsThere(client: Socket): string {
  const bytes = Buffer.allocUnsafeSlow(100)
  try {
    return bytes.toString('latin1', 0, readSync(descriptorOf(client), bytes))
  } catch {
    return ''
  }
}

/** What the kernel holds for a client, with no turn of the loop in which more is written. */
function readAtOnce(client: Socket): void {
  const bytes = Buffer.allocUnsafeSlow(READ_AT_ONCE_BYTES)
  for (let at = 0; at < bytes.length;)
    at += readSync(descriptorOf(client), bytes, at, bytes.length - at, null)
}

const LETTERS = ['a', 'b', 'c']
const READ_AT_ONCE_BYTES = 1_000_000
const PIECE_BYTES = 100_000
