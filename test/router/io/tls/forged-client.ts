import { Buffer } from 'node:buffer'
import { createCipheriv, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'

/** A TLS 1.2 client that, once shaken hands, sends records of its own making and reads nothing. */
export interface ForgedClient {
  readonly socket: Socket
  /** One encrypted record: its type and what it holds (RFC 5246 section 6.2). */
  record(type: number, data: Buffer): Buffer
}

export const HANDSHAKE = 22
/** Empty, and enough to ask for a new handshake (RFC 5246 section 7.4.1). */
export const CLIENT_HELLO = Buffer.from([1, 0, 0, 0])

export async function connectForged(port: number): Promise<ForgedClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => undefined)
  const came: Buffer[] = []
  const pipe = new Duplex({
    read: () => undefined,
    write: (bytes: Buffer, _encoding, done) => {
      socket.write(bytes, done)
    },
  })
  socket.on('data', (bytes) => {
    came.push(bytes)
    pipe.push(bytes)
  })
  const client = connectTls({
    socket: pipe,
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
    ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  })
  client.on('error', () => undefined)
  let secrets: readonly string[] = []
  client.on('keylog', (line: Buffer) => (secrets = line.toString().trim().split(' ')))
  await once(client, 'secureConnect')
  socket.pause().removeAllListeners('data')
  const [, clientRandom = '', master = ''] = secrets
  // Behind the record's head, the message's, and the version.
  const serverRandom = Buffer.concat(came).subarray(11, 43)
  const block = expand(
    Buffer.from(master, 'hex'),
    Buffer.concat([Buffer.from('key expansion'), serverRandom, Buffer.from(clientRandom, 'hex')]),
  )
  const [key, salt] = [block.subarray(0, 16), block.subarray(32, 36)]
  // Its Finished was the first.
  let sequence = 1n
  const record = (type: number, data: Buffer): Buffer => {
    const number = Buffer.alloc(8)
    number.writeBigUInt64BE(sequence++)
    const cipher = createCipheriv('aes-128-gcm', key, Buffer.concat([salt, number]))
    cipher.setAAD(Buffer.from([...number, type, 3, 3, data.length >> 8, data.length & 255]))
    const sealed = Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()])
    const length = number.length + sealed.length
    return Buffer.concat([Buffer.from([type, 3, 3, length >> 8, length & 255]), number, sealed])
  }
  return { socket, record }
}

/** TLS 1.2's pseudo-random function (RFC 5246 section 5), as much of it as keys take. */
function expand(secret: Buffer, seed: Buffer): Buffer {
  const hash = (bytes: Buffer): Buffer => createHmac('sha256', secret).update(bytes).digest()
  const first = hash(seed)
  const second = hash(first)
  return Buffer.concat([first, second].map((part) => hash(Buffer.concat([part, seed]))))
}
