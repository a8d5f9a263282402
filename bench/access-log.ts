/**
 * What one access log line costs: `node bench/access-log.ts`. Heads as browsers send them; prints
 * nanoseconds of CPU time a line, the median of eleven rounds.
 */
import { AccessRecord, END, LANE, logText } from '../router/core/access-record.ts'
import { createCombinedFormatter } from '../router/core/access-log-combined.ts'
import { createJsonFormatter } from '../router/core/access-log-json.ts'

const LINES = 200_000
const ROUNDS = 11
const USER_AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'

function cpuNs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}

function browserRecord(): AccessRecord {
  const record = new AccessRecord()
  const text = `GET\n/u/1234567/holiday-2026-0815.jpg?w=1280\ncdn.example.com\nhttps://www.example.com/albums/1234567\n${USER_AGENT}\n0123456789abcdef0123456789abcdef`
  record.client = logText('203.0.113.77')
  record.clientPort = 51_234
  record.listener = logText('0.0.0.0:80')
  record.reset(1_790_000_000_123)
  record.head = new TextEncoder().encode(text)
  const starts = [0]
  for (let i = 0; i < text.length; i++) if (text[i] === '\n') starts.push(i + 1)
  const [method = 0, target = 0, host = 0, referer = 0, userAgent = 0, id = 0] = starts
  record.methodStart = method
  record.methodEnd = target - 1
  record.targetStart = target
  record.targetEnd = host - 1
  record.hostStart = host
  record.hostEnd = referer - 1
  record.refererStart = referer
  record.refererEnd = userAgent - 1
  record.userAgentStart = userAgent
  record.userAgentEnd = id - 1
  record.requestId = record.head
  record.requestIdStart = id
  record.requestIdEnd = text.length
  record.versionMinor = 1
  record.status = 200
  record.bodyBytes = 128_000
  record.durationUs = 4_321
  record.group = logText('photos')
  record.slot = 201_345
  record.cache = logText('cache-3')
  record.rank = 0
  record.attempts = 1
  record.firstByteUs = 812
  record.upstreamUs = 2_456
  record.upstreamStatus = 200
  record.end = END.complete
  record.lane = LANE.fast
  return record
}

for (const [name, format] of [
  ['json', createJsonFormatter()],
  ['combined', createCombinedFormatter()],
] as const) {
  const record = browserRecord()
  const out = new Uint8Array(65_536)
  const rounds: number[] = []
  let bytes = 0
  for (let round = 0; round < ROUNDS; round++) {
    let at = 0
    const start = cpuNs()
    for (let i = 0; i < LINES; i++) {
      record.startMs += 1
      const end = format(record, out, at)
      at = end < 0 ? 0 : end
      if (i === 0) bytes = end
    }
    rounds.push((cpuNs() - start) / LINES)
  }
  rounds.sort((a, b) => a - b)
  process.stdout.write(
    `${name}: ${(rounds[ROUNDS >> 1] ?? 0).toFixed(0)} ns a line of ${bytes} bytes\n`,
  )
}
