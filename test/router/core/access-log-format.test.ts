import fc from 'fast-check'
import t from 'tap'
import { createCombinedFormatter } from '../../../router/core/access-log-combined.ts'
import { MAX_LINE_BYTES } from '../../../router/core/access-log-format.ts'
import { createJsonFormatter } from '../../../router/core/access-log-json.ts'
import {
  AccessRecord,
  END,
  END_WORDS,
  FALLBACK,
  LANE,
  logText,
  RETRY,
} from '../../../router/core/access-record.ts'

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

interface Texts {
  readonly method?: Uint8Array
  readonly target?: Uint8Array
  readonly host?: Uint8Array
  readonly referer?: Uint8Array
  readonly userAgent?: Uint8Array
  readonly id?: Uint8Array
}

/** Puts the texts one behind the other, as a head would hold them. */
function place(record: AccessRecord, texts: Texts): void {
  const parts = [
    texts.method,
    texts.target,
    texts.host,
    texts.referer,
    texts.userAgent,
    texts.id,
  ].map((part) => part ?? new Uint8Array(0))
  record.head = Uint8Array.from(parts.flatMap((part) => [...part]))
  const at: number[] = [0]
  for (const part of parts) at.push((at.at(-1) ?? 0) + part.length)
  const [m0 = 0, m1 = 0, t1 = 0, h1 = 0, r1 = 0, u1 = 0, i1 = 0] = at
  record.methodStart = m0
  record.methodEnd = m1
  record.targetStart = m1
  record.targetEnd = t1
  record.hostStart = t1
  record.hostEnd = h1
  record.refererStart = h1
  record.refererEnd = texts.referer === undefined ? 0 : r1
  record.userAgentStart = r1
  record.userAgentEnd = texts.userAgent === undefined ? 0 : u1
  record.requestId = record.head
  record.requestIdStart = u1
  record.requestIdEnd = i1
}

const bytes = (text: string): Uint8Array =>
  Uint8Array.from(text, (character) => character.charCodeAt(0))

function photoRecord(): AccessRecord {
  const record = new AccessRecord()
  record.client = logText('192.0.2.7')
  record.clientPort = 51_234
  record.listener = logText('0.0.0.0:443')
  record.tlsProtocol = logText('TLSv1.3')
  record.tlsCipher = logText('TLS_AES_128_GCM_SHA256')
  record.reset(Date.UTC(2026, 10, 22, 17, 20, 7, 45))
  place(record, {
    method: bytes('GET'),
    target: bytes('/u/42/a.jpg?w=1'),
    host: bytes('cdn.example.com'),
    referer: bytes('https://www.example.com/'),
    userAgent: bytes('Mozilla/5.0'),
    id: bytes('0123456789abcdef0123456789abcdef'),
  })
  record.versionMinor = 1
  record.status = 200
  record.bodyBytes = 125_000
  record.durationUs = 1_004_321
  record.group = logText('photos')
  record.slot = 201_345
  record.cache = logText('cache-3')
  record.rank = 1
  record.fallback = FALLBACK.homeDown
  record.attempts = 2
  record.addRetry(RETRY.reset)
  record.addRetry(RETRY.firstByteTimeout)
  record.connectUs = 210
  record.firstByteUs = 812
  record.upstreamUs = 1_004_000
  record.upstreamStatus = 206
  record.end = END.complete
  record.lane = LANE.fast
  return record
}

const text = (format: ReturnType<typeof createJsonFormatter>, record: AccessRecord): string => {
  const out = new Uint8Array(65_536)
  return latin1(out.subarray(0, format(record, out, 0)))
}

void t.test('a JSON line carries everything that is known of a photo', (t) => {
  const line = text(createJsonFormatter(), photoRecord())
  t.strictSame(JSON.parse(line), {
    time: '2026-11-22T17:20:07.045Z',
    id: '0123456789abcdef0123456789abcdef',
    client: '192.0.2.7',
    port: 51_234,
    listener: '0.0.0.0:443',
    tls: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    method: 'GET',
    target: '/u/42/a.jpg?w=1',
    host: 'cdn.example.com',
    http: '1.1',
    status: 200,
    bytes: 125_000,
    durationUs: 1_004_321,
    end: 'complete',
    lane: 'fast',
    group: 'photos',
    shard: 201_345,
    cache: 'cache-3',
    rank: 1,
    fallback: 'home down',
    attempts: 2,
    retries: ['reset', 'first-byte timeout'],
    upstreamStatus: 206,
    connectUs: 210,
    firstByteUs: 812,
    upstreamUs: 1_004_000,
    referer: 'https://www.example.com/',
    userAgent: 'Mozilla/5.0',
  })
  t.ok(line.endsWith('}\n'))
  t.end()
})

void t.test('a combined line begins as every reader of the format expects', (t) => {
  t.equal(
    text(createCombinedFormatter(), photoRecord()),
    '192.0.2.7 - - [22/Nov/2026:17:20:07 +0000] "GET /u/42/a.jpg?w=1 HTTP/1.1" 200 125000 ' +
      '"https://www.example.com/" "Mozilla/5.0" shard=201345 cache=cache-3 rank=1 ' +
      'fallback=home-down attempts=2 retries=reset,first-byte-timeout upstream_status=206 ' +
      'connect=0.000210 first_byte=0.000812 upstream=1.004000 duration=1.004321 ' +
      'end=complete lane=fast id="0123456789abcdef0123456789abcdef"\n',
  )
  t.end()
})

void t.test('a referer and a user agent that are there and empty are empty in combined', (t) => {
  const record = photoRecord()
  place(record, { method: bytes('GET'), referer: bytes(''), userAgent: bytes('') })
  t.match(text(createCombinedFormatter(), record), ' 200 125000 "" "" shard=')
  place(record, { method: bytes('GET') })
  t.match(text(createCombinedFormatter(), record), ' 200 125000 "-" "-" shard=')
  t.end()
})

void t.test('what a request has not is left out of JSON, and a dash in combined', (t) => {
  const record = new AccessRecord()
  record.client = logText('192.0.2.7')
  record.reset(0)
  record.status = 400
  record.end = END.refused
  t.strictSame(JSON.parse(text(createJsonFormatter(), record)), {
    time: '1970-01-01T00:00:00.000Z',
    id: '',
    client: '192.0.2.7',
    port: 0,
    listener: '',
    status: 400,
    bytes: 0,
    durationUs: 0,
    end: 'refused',
  })
  t.equal(
    text(createCombinedFormatter(), record),
    '192.0.2.7 - - [01/Jan/1970:00:00:00 +0000] "-" 400 0 "-" "-" shard=- cache=- rank=- ' +
      'fallback=- attempts=0 retries=- upstream_status=- connect=- first_byte=- upstream=- ' +
      'duration=0.000000 end=refused lane=- id=""\n',
  )
  t.end()
})

void t.test('the second in the line follows the record, also back and over midnight', (t) => {
  const json = createJsonFormatter()
  const combined = createCombinedFormatter()
  const record = photoRecord()
  for (const at of [Date.UTC(2026, 11, 31, 23, 59, 59, 999), Date.UTC(2027, 0, 1), 1_234, 999]) {
    record.startMs = at
    t.match(JSON.parse(text(json, record)), { time: new Date(at).toISOString() })
    const iso = new Date(at).toISOString()
    const day = `${iso.slice(8, 10)}/${new Date(at).toUTCString().slice(8, 11)}/${iso.slice(0, 4)}`
    t.match(text(combined, record), `[${day}:${iso.slice(11, 19)} +0000]`)
  }
  t.end()
})

void t.test('one record after another on a connection: only what changed is new', (t) => {
  const json = createJsonFormatter()
  const record = photoRecord()
  text(json, record)
  record.reset(5_000)
  t.match(JSON.parse(text(json, record)), { client: '192.0.2.7', listener: '0.0.0.0:443' })
  record.clientPort = 7
  t.match(JSON.parse(text(json, record)), { port: 7 })
  record.client = logText('2001:db8::1')
  t.match(JSON.parse(text(json, record)), { client: '2001:db8::1', port: 7 })
  t.notOk('target' in (JSON.parse(text(json, record)) as object), 'reset has forgotten the head')
  t.end()
})

void t.test('any bytes make a line that parses, and the bytes can be had back', (t) => {
  const json = createJsonFormatter()
  const combined = createCombinedFormatter()
  const some = fc.uint8Array({ maxLength: 80 })
  fc.assert(
    fc.property(some, some, some, some, some, some, (method, target, host, referer, agent, id) => {
      const record = photoRecord()
      place(record, { method, target, host, referer, userAgent: agent, id })
      const line = text(json, record)
      if (line.indexOf('\n') !== line.length - 1) return false
      const value = JSON.parse(line) as Record<string, unknown>
      const isSame =
        value['id'] === latin1(id) &&
        (host.length === 0 ? !('host' in value) : value['host'] === latin1(host)) &&
        (referer.length === 0 || value['referer'] === latin1(referer)) &&
        (agent.length === 0 || value['userAgent'] === latin1(agent)) &&
        (method.length === 0 || method.length > 10 || value['target'] === latin1(target))
      const other = text(combined, record)
      return isSame && other.indexOf('\n') === other.length - 1 && /^[\x20-\x7e]+\n$/.test(other)
    }),
    { numRuns: 500 },
  )
  t.end()
})

void t.test('a line is never longer than MAX_LINE_BYTES, and never overruns its buffer', (t) => {
  for (const format of [createJsonFormatter(), createCombinedFormatter()]) {
    for (const byte of [0x61, 0x22, 0xe9]) {
      const record = photoRecord()
      const long = new Uint8Array(32_768).fill(byte)
      const name = logText('x'.repeat(10_000))
      place(record, {
        method: long,
        target: long,
        host: long,
        referer: long,
        userAgent: long,
        id: long,
      })
      record.client = name
      record.listener = name
      record.tlsProtocol = name
      record.tlsCipher = name
      record.group = name
      record.cache = name
      record.clientPort = 65_535
      record.bodyBytes = Number.MAX_SAFE_INTEGER
      record.durationUs = Number.MAX_SAFE_INTEGER
      record.upstreamUs = Number.MAX_SAFE_INTEGER
      record.retries = 0x7777777
      const out = new Uint8Array(MAX_LINE_BYTES + 1).fill(0x2a)
      const end = format(record, out, 0)
      t.ok(end > 0 && end <= MAX_LINE_BYTES, `${end} bytes`)
      t.equal(out[end], 0x2a)
      t.equal(latin1(out.slice(0, end)).split('\n').length, 2)
      for (let size = 0; size < end; size += 97) {
        t.equal(format(record, new Uint8Array(size), 0), -1)
      }
    }
  }
  t.end()
})

void t.test('a long text is cut and ends in three dots; the line still parses', (t) => {
  const record = photoRecord()
  place(record, { method: bytes('GET'), target: new Uint8Array(20_000).fill(0x61) })
  const value = JSON.parse(text(createJsonFormatter(), record)) as { target: string }
  t.ok(value.target.length <= 16_384)
  t.ok(value.target.endsWith('a...'))
  t.end()
})

void t.test('numbers: any whole number is written as it is', (t) => {
  const json = createJsonFormatter()
  const record = photoRecord()
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (bodyBytes, durationUs) => {
      record.bodyBytes = bodyBytes
      record.durationUs = durationUs
      const value = JSON.parse(text(json, record)) as Record<string, unknown>
      return value['bytes'] === bodyBytes && value['durationUs'] === durationUs
    }),
  )
  for (const odd of [NaN, -1, Infinity]) {
    record.bodyBytes = odd
    t.match(JSON.parse(text(json, record)), { bytes: 0 }, `${odd} does not break a line`)
  }
  t.end()
})

void t.test('every end has its word in both formats', (t) => {
  const record = photoRecord()
  END_WORDS.forEach((word, end) => {
    record.end = end
    t.match(JSON.parse(text(createJsonFormatter(), record)), { end: word })
    t.match(text(createCombinedFormatter(), record), ` end=${word.replaceAll(' ', '-')} `)
  })
  t.end()
})

void t.test('seven retries are kept, more are forgotten', (t) => {
  const record = new AccessRecord()
  for (let i = 0; i < 9; i++) record.addRetry(RETRY.status)
  t.equal(record.retries, 0x7777777)
  t.end()
})

void t.test('a name with what a line would have to escape gets underscores', (t) => {
  t.equal(latin1(logText('a"b\\c\nd e\u00e9\u{1f600}')), 'a_b_c_d_e___')
  t.end()
})
