import { encodeText } from './ascii.ts'

/** What the router tells caches about the other end of a client's connection; made once for it. */
export interface Peer {
  readonly address: Uint8Array
  /** Its forwarded fields are believed. */
  readonly isTrusted: boolean
  /** X-Forwarded-For, X-Real-IP and X-Forwarded-Proto, each with its CRLF. */
  readonly lines: Uint8Array
  readonly realIpLine: Uint8Array
  readonly protoLine: Uint8Array
}

/** `::ffff:192.0.2.1` as `192.0.2.1`; any other address as it is. */
export const plainAddress = (address: string): string =>
  /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice(7) : address

export const compilePeer = (address: string, isHttps: boolean, isTrusted: boolean): Peer => {
  const plain = plainAddress(address)
  const realIpLine = `X-Real-IP: ${plain}\r\n`
  const protoLine = `X-Forwarded-Proto: ${isHttps ? 'https' : 'http'}\r\n`
  return {
    address: encodeText(plain),
    isTrusted,
    lines: encodeText(`X-Forwarded-For: ${plain}\r\n${realIpLine}${protoLine}`),
    realIpLine: encodeText(realIpLine),
    protoLine: encodeText(protoLine),
  }
}

/** This router in Via fields (RFC 9110 7.6.3); made once. */
export interface Via {
  readonly lowerName: Uint8Array
  /** For a request received in HTTP/1.1, with its CRLF. */
  readonly line: Uint8Array
  /** The same for HTTP/1.0. */
  readonly oldLine: Uint8Array
}

/** `box.edge` is the received-by. */
export const compileVia = (box: string, edge: string): Via => {
  const name = `${box}.${edge}`
  return {
    lowerName: encodeText(name.toLowerCase()),
    line: encodeText(`Via: 1.1 ${name}\r\n`),
    oldLine: encodeText(`Via: 1.0 ${name}\r\n`),
  }
}
