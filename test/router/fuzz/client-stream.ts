import type { Dice } from './dice.ts'

/** What one client sends, and how it behaves. */
export interface ClientStream {
  readonly bytes: string
  /** Where it is split; each piece is a write of its own. */
  readonly pieces: readonly string[]
  /** Heads that a strict server takes, the last of them asking for the end of the connection. */
  readonly isHonest: boolean
  readonly requestCount: number
  readonly end: 'wait' | 'fin' | 'reset'
  readonly reads: 'at once' | 'late' | 'never'
}

/** Any stream of bytes: valid, nearly valid or garbage, pipelined or not. */
export function makeStream(dice: Dice, client: number): ClientStream {
  const isHonest = dice.chance(50)
  const requestCount = 1 + dice.below(dice.chance(20) ? 12 : 3)
  let bytes = ''
  for (let i = 0; i < requestCount; i++) bytes += request(dice, client, i, i + 1 === requestCount)
  if (!isHonest) bytes = spoil(dice, bytes)
  return {
    bytes,
    pieces: split(dice, bytes),
    isHonest,
    requestCount,
    end: isHonest ? 'wait' : dice.pick(['wait', 'fin', 'fin', 'reset']),
    reads: isHonest ? dice.pick(['at once', 'at once', 'late']) : dice.pick(READERS),
  }
}

function request(dice: Dice, client: number, index: number, isLast: boolean): string {
  const path = `/u/${dice.below(50)}/${client}-${index}`
  const fields = [dice.pick(['Host: photos.example', 'host:a', 'HOST: \t192.0.2.1:80 '])]
  const isOld = !isLast && dice.chance(10)
  if (isLast) fields.push('Connection: close')
  else if (isOld) fields.push('Connection: Keep-Alive')
  while (dice.chance(60)) fields.push(dice.pick(FIELDS))
  // Handed over to the general lane it would be the connection's last.
  const isBody = isLast && dice.chance(25)
  const method = isBody ? dice.pick(['POST', 'GET']) : dice.pick(['GET', 'GET', 'GET', 'HEAD'])
  const target = dice.pick([path, path, path, `${path}?q=${dice.below(9)}`, `http://a${path}`])
  if (target.startsWith('http')) fields[0] = 'Host: a'
  if (!isBody && dice.chance(10)) return head(dice, method, dice.pick(OWN_TARGETS), '1.1', fields)
  if (!isBody) return head(dice, method, target, isOld ? '1.0' : '1.1', fields)
  const body = 'b'.repeat(1 + dice.below(2000))
  if (dice.chance(20)) fields.push('Expect: 100-continue')
  if (dice.chance(50)) {
    fields.push(`Content-Length: ${body.length}`)
    return head(dice, method, target, '1.1', fields) + body
  }
  fields.push('Transfer-Encoding: chunked')
  const cut = dice.below(body.length)
  const chunks = [body.slice(0, cut), body.slice(cut)].filter((chunk) => chunk !== '')
  const coded = chunks.map((chunk) => `${chunk.length.toString(16)};x=1\r\n${chunk}\r\n`)
  return `${head(dice, method, target, '1.1', fields)}${coded.join('')}0\r\nT: 1\r\n\r\n`
}

function head(
  dice: Dice,
  method: string,
  target: string,
  version: string,
  fields: readonly string[],
): string {
  const first = dice.chance(5) ? '\r\n' : ''
  return `${first}${method} ${target} HTTP/${version}\r\n${fields.join('\r\n')}\r\n\r\n`
}

/** Makes it wrong in one to three places, or from some place on, or altogether. */
function spoil(dice: Dice, bytes: string): string {
  if (dice.chance(10)) return dice.bytes(1 + dice.below(400))
  let spoiled = bytes
  for (let i = dice.below(3); i >= 0; i--) {
    const at = dice.below(spoiled.length)
    const rest = spoiled.slice(at)
    const junk = dice.chance(50) ? dice.pick(JUNK) : dice.bytes(1 + dice.below(3))
    spoiled =
      spoiled.slice(0, at) +
      dice.pick([rest.slice(1), junk + rest, junk + rest.slice(junk.length), '', rest])
  }
  return spoiled
}

function split(dice: Dice, bytes: string): string[] {
  const longest = dice.pick([1, 7, 100, 1500, Infinity])
  if (longest === 1 && bytes.length > 400)
    return [bytes.slice(0, -20), ...Array.from(bytes.slice(-20))]
  const pieces: string[] = []
  for (let at = 0; at < bytes.length;) {
    const length = longest === Infinity ? bytes.length : 1 + dice.below(longest)
    pieces.push(bytes.slice(at, at + length))
    at += length
  }
  return pieces
}

const READERS = ['at once', 'at once', 'late', 'never'] as const
const OWN_TARGETS = ['/.photoedge/health', '/nowhere', '/r/old', '/s']
const FIELDS = [
  'Accept: */*',
  'User-Agent: "fuzz"\\ \u00e9',
  'Referer: http://a/',
  'Cookie:',
  'X-Forwarded-For: 198.51.100.7',
  'X_Real_IP: 1',
  'TE: trailers',
  'If-None-Match: "1"',
  'Range: bytes=0-9',
  `X-Long: ${'l'.repeat(300)}`,
]
const JUNK = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  ':',
  '\r\n\r\n',
  'Content-Length: 5\r\n',
  '\r\nContent-Length: 7',
  '\r\nTransfer-Encoding: chunked',
  '\r\nTransfer-Encoding: gzip, chunked',
  '\r\nHost: b',
  '\r\nVia: 1.1 router-1.test',
  '\r\nConnection: Host, close',
  '\r\n folded',
  '/../',
  '%',
  'ffffffffffffffff\r\n',
  'GET /u/1/x HTTP/1.1\r\nHost: a\r\n\r\n',
]
