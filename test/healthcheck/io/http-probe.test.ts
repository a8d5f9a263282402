import { createHash } from 'node:crypto'
import type net from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import type { HttpCheckConfig, PhotoCheckConfig } from '../../../common/config/config.ts'
import type { Outcome } from '../../../healthcheck/core/outcome.ts'
import { createHttpProber } from '../../../healthcheck/io/http-probe.ts'
import { httpCheck, tcpCheck } from '../world.ts'
import { answering, components, httpAnswer, listen, outcomeOf, targetOf } from './rig.ts'

type Changes = Partial<HttpCheckConfig>

const check = (changes: Changes = {}): HttpCheckConfig =>
  httpCheck({ reuse: false, ...changes }) as HttpCheckConfig

const ask = (port: number, changes: Changes = {}): Promise<Outcome> => {
  const prober = createHttpProber(components)
  return outcomeOf((done) => prober.run(targetOf(check(changes), port), done))
}

const told = ({ result, reason }: Outcome) => ({ result, reason })

const answers: {
  name: string
  answer: string
  changes?: Changes
  result: 'passed' | 'failed'
  reason: string
}[] = [
  { name: 'a 200', answer: httpAnswer('200 OK', 'hello'), result: 'passed', reason: 'status 200' },
  {
    name: 'a 500',
    answer: httpAnswer('500 Oops'),
    result: 'failed',
    reason: 'status 500',
  },
  {
    name: 'a 200 where another status is wanted',
    answer: httpAnswer('200 OK', 'hello'),
    changes: { status: [204] },
    result: 'failed',
    reason: 'status 200 instead of 204',
  },
  {
    name: 'a redirect where other statuses are wanted, with a word of its own',
    answer: httpAnswer('307 No', '{"reason":"moved"}', 'Location: /here\r\n'),
    changes: { status: [200, 204] },
    result: 'failed',
    reason: 'status 307 instead of 200 or 204, a redirect to /here, not followed: moved',
  },
  {
    name: 'a status that is none of many',
    answer: httpAnswer('500 Oops'),
    changes: { status: [200, 204, 206, 301, 302, 304] },
    result: 'failed',
    reason: 'status 500 instead of 200 or 204 or 206 or 301 or 2 others',
  },
  {
    name: 'a redirect, which is not followed',
    answer: httpAnswer('302 Found', '', 'Location: http://elsewhere/\r\n'),
    result: 'failed',
    reason: 'status 302, a redirect to http://elsewhere/, not followed',
  },
  {
    name: "a mount check's 503 with its reason",
    answer: httpAnswer('503 No', '{"status":"down","reason":"no answer from /srv/photos for 3 s"}'),
    result: 'failed',
    reason: 'status 503: no answer from /srv/photos for 3 s',
  },
  {
    name: 'a weight',
    answer: httpAnswer('200 OK', '{"status":"up","weight":0.875,"boot":"b","cache":"k"}'),
    result: 'passed',
    reason: 'status 200, weight 0.875',
  },
  {
    name: 'a weight in JSON behind a mark and a line',
    answer: httpAnswer('200 OK', '\ufeff\n {"weight":0.25}'),
    result: 'passed',
    reason: 'status 200, weight 0.25',
  },
  {
    name: 'a weight that is no share, and is nobody of ours',
    answer: httpAnswer('200 OK', '{"weight":75}'),
    result: 'passed',
    reason: 'status 200',
  },
  {
    name: 'a missing header',
    answer: httpAnswer('200 OK'),
    changes: { header: { 'Content-Type': 'application/json' } },
    result: 'failed',
    reason: 'no Content-Type in the answer',
  },
  {
    name: 'a header with parameters',
    answer: httpAnswer('200 OK', '', 'Content-type: application/json; charset=utf-8\r\n'),
    changes: { header: { 'Content-Type': 'application/json' } },
    result: 'passed',
    reason: 'status 200',
  },
  {
    name: 'a wrong header',
    answer: httpAnswer('200 OK', '', 'Content-Type: text/html\r\n'),
    changes: { header: { 'Content-Type': 'application/json' } },
    result: 'failed',
    reason: 'Content-Type is "text/html" instead of "application/json"',
  },
  {
    name: 'a body without the text',
    answer: httpAnswer('200 OK', 'maintenance'),
    changes: { body: { type: 'contains', text: 'well' } },
    result: 'failed',
    reason: 'no "well" in the body',
  },
  {
    name: 'a body that matches',
    answer: httpAnswer('200 OK', 'load: 17'),
    changes: { body: { type: 'regex', regex: 'load: [0-9]+' } },
    result: 'passed',
    reason: 'status 200',
  },
  {
    name: 'a body that does not match',
    answer: httpAnswer('200 OK', 'load: high'),
    changes: { body: { type: 'regex', regex: 'load: [0-9]+' } },
    result: 'failed',
    reason: 'the body does not match /load: [0-9]+/',
  },
  {
    name: 'a wrong digest',
    answer: httpAnswer('200 OK', 'x'),
    changes: { body: { type: 'sha256', digest: 'AB' } },
    result: 'failed',
    reason: `the body's SHA-256 is ${createHash('sha256').update('x').digest('hex')} instead of ab`,
  },
  {
    name: 'garbage',
    answer: '\u0000\u0001 what? \r\n\r\n\r\n',
    result: 'failed',
    reason: 'not an HTTP answer (HPE_INVALID_CONSTANT)',
  },
  {
    name: 'a head without end',
    answer: `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(100_000)}`,
    result: 'failed',
    reason: 'head too large',
  },
  {
    name: 'a change of protocol',
    answer: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    result: 'failed',
    reason: 'status 101',
  },
]
for (const c of answers) {
  void t.test(`an HTTP check is answered by ${c.name}`, async (t) => {
    const port = await listen(t, answering(c.answer))
    t.same(told(await ask(port, c.changes)), { result: c.result, reason: c.reason })
  })
}

void t.test('what the answer tells of the server comes with the outcome', async (t) => {
  const body = '{"status":"up","weight":0.5,"boot":"b\\n1","cache":"k"}'
  const port = await listen(t, answering(httpAnswer('200 OK', body)))
  t.match(await ask(port), { factor: 0.5, boot: 'b 1', cache: 'k' })
})

void t.test('a trusted status is explicit, another is not', async (t) => {
  const port = await listen(t, answering(httpAnswer('503 No')))
  t.match(await ask(port), { isExplicit: true, blame: 'server' })
  t.match(await ask(port, { trustStatus: [] }), { isExplicit: false, blame: 'server' })
})

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
const timeouts = { connectMs: 60, firstByteMs: 90, lastByteMs: 150 }
const SAID = '{"status":"down","reason":"disk gone"}'
const WORD = '503 No\r\nTransfer-Encoding: chunked\r\n\r\n26\r\n' + SAID + '\r\n'

for (const [name, start, more, how, reason] of [
  ['that drips for ever', WORD, '1\r\n \r\n', 'drip', 'status 503: disk gone'],
  ['that never comes', '503 No\r\nContent-Length: 9\r\n\r\n', '', 'drip', 'status 503'],
  ['that has no end', '503 No\r\n\r\n', ' '.repeat(1 << 20), 'pour', 'status 503'],
  ['of endless tiny chunks', WORD, '1\r\n \r\n'.repeat(2000), 'pour', 'status 503: disk gone'],
  ['that is garbage', WORD, 'what?', 'drip', 'status 503: disk gone'],
  ['that is cut', WORD, '', 'reset', 'status 503: disk gone'],
] as const) {
  void t.test(`a trusted status is the server's own word with a body ${name}`, async (t) => {
    let sentBytes = 0
    const port = await listen(t, (socket) => {
      const send = (text: string): boolean => {
        sentBytes += text.length
        return socket.write(text)
      }
      const pour = (): void => {
        while (!socket.destroyed && send(more));
      }
      socket.once('data', () => {
        send(`HTTP/1.1 ${start}`)
        const timer = setInterval(() => {
          if (how === 'drip') send(more)
          if (how === 'reset') socket.resetAndDestroy()
        }, 20)
        socket.on('drain', pour).on('close', () => {
          clearInterval(timer)
        })
        if (how === 'pour') pour()
      })
    })
    const digest = { body: { type: 'sha256', digest: '00' } } as const
    for (const changes of [{}, digest]) {
      const { latencyMs, ...outcome } = await ask(port, { timeouts, ...changes })
      t.match(outcome, { result: 'failed', isExplicit: true, blame: 'server', reason })
      t.equal(outcome.reason, reason)
      t.ok(latencyMs < 150 + 500, `in time, after ${latencyMs} ms`)
    }
    t.ok(sentBytes < 16 << 20, `${sentBytes} bytes were sent, its end was not waited for`)
  })
}

void t.test('a status that is expected is no word of the server, trusted or not', async (t) => {
  const port = await listen(t, answering(httpAnswer('503 No', SAID)))
  t.match(await ask(port, { status: [503] }), { result: 'passed' })
  const wrong = await ask(port, { status: [503], body: { type: 'contains', text: 'well' } })
  t.match(wrong, { result: 'failed', isExplicit: false })
})

void t.test('what accepts and never answers fails by its first byte, in doubt', async (t) => {
  const port = await listen(t, () => undefined)
  const outcome = await ask(port, { timeouts })
  t.match(outcome, { reason: 'no first byte within 90 ms', blame: 'doubtful' })
  t.ok(outcome.latencyMs >= 90)
})

void t.test(
  'a check right behind another, on a connection that ends just then, is no failure',
  async (t) => {
    const port = await listen(t, (socket) => {
      socket.once('data', () => socket.end(httpAnswer('200 OK', 'hello')))
    })
    const prober = createHttpProber(components)
    t.teardown(() => {
      prober.retain(new Set())
    })
    const target = targetOf(check({ reuse: true }), port)
    const outcomes = await new Promise<Outcome[]>((resolve) => {
      prober.run(target, (first) => {
        prober.run(target, (second) => {
          resolve([first, second])
        })
      })
    })
    t.strictSame(outcomes.map(told), Array(2).fill({ result: 'passed', reason: 'status 200' }))
  },
)

void t.test('a body that drips for ever fails by its last byte', async (t) => {
  const port = await listen(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    const timer = setInterval(() => socket.write('1\r\nx\r\n'), 10)
    socket.on('close', () => {
      clearInterval(timer)
    })
  })
  t.match(await ask(port, { timeouts }), { reason: 'no last byte within 150 ms' })
})

void t.test('a head that drips for ever fails by its last byte', async (t) => {
  const port = await listen(t, (socket) => {
    let at = 0
    const timer = setInterval(() => socket.write('HTTP/1.1 200 OK'[at++] ?? 'K'), 10)
    socket.on('close', () => {
      clearInterval(timer)
    })
  })
  const { reason } = await ask(port, { timeouts })
  t.match(reason, /no last byte within 150 ms|not an HTTP answer/)
})

void t.test('an endless body ends at 16 MB, and is not kept', async (t) => {
  const port = await listen(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    const block = Buffer.alloc(1 << 20)
    const pour = (): void => {
      while (!socket.destroyed && socket.write(block));
    }
    socket.on('drain', pour)
    pour()
  })
  const long = { connectMs: 5000, firstByteMs: 5000, lastByteMs: 5000 }
  const outcome = await ask(port, { timeouts: long, timeoutMs: 5000 })
  t.match(outcome, { reason: 'the answer is longer than 16 MB' })
})

for (const [name, start, endless, reason] of [
  ['interim answers', '', 'HTTP/1.1 100 Continue\r\n\r\n', /^head too large$/],
  [
    'chunk extensions',
    `${CHUNKED}1;`,
    'x=y;',
    /^not an HTTP answer \(HPE_CHUNK_EXTENSIONS_OVERFLOW\)$/,
  ],
  ['tiny chunks', CHUNKED, '1\r\na\r\n', /^the answer comes in more than 16384 pieces$/],
  ['trailers', `${CHUNKED}0\r\n`, 'X: y\r\n', /^head too large$/],
  ['empty lines before the head', '', '\r\n', /^head too large$/],
] as const) {
  void t.test(`endless ${name} end, with that reason`, async (t) => {
    const port = await listen(t, (socket) => {
      const block = endless.repeat(2000)
      const pour = (): void => {
        for (let count = 0; count < 20 && !socket.destroyed && socket.write(block); count += 1);
        if (!socket.destroyed) setImmediate(pour)
      }
      socket.once('data', () => {
        socket.write(start)
        pour()
      })
    })
    const outcome = await ask(port, { timeouts })
    t.equal(outcome.result, 'failed')
    t.match(outcome.reason, reason)
    t.ok(outcome.latencyMs < 2000, `${outcome.latencyMs} ms`)
  })
}

void t.test(
  'whatever a server sends, there is one outcome in time, and one line that says why',
  async (t) => {
    const whole = httpAnswer('200 OK', '{"status":"up","weight":0.5}', 'Content-Type: text/x\r\n')
    const chunked = `${CHUNKED}5\r\nhello\r\n0\r\n\r\n`
    const answer = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc
        .tuple(
          fc.constantFrom(whole, chunked),
          fc.nat(200),
          fc.nat(3),
          fc.string({ unit: 'binary', maxLength: 5 }),
        )
        .map(([text, at, dropped, put]) => text.slice(0, at) + put + text.slice(at + dropped)),
    )
    const ending = fc.constantFrom('hold', 'end', 'reset')
    const isLong = process.env['CI'] === 'true'
    await fc.assert(
      fc.asyncProperty(answer, ending, async (text, how) => {
        const port = await listen(t, (socket) => {
          socket.once('data', () => {
            socket.write(text)
            if (how === 'end') socket.end()
            if (how === 'reset') socket.resetAndDestroy()
          })
        })
        const { result, reason, latencyMs } = await ask(port, { timeouts })
        const isLine = reason !== '' && reason.length < 600 && !/[\u0000-\u001f\u007f]/.test(reason)
        return ['passed', 'failed'].includes(result) && isLine && latencyMs < 2000
      }),
      { interruptAfterTimeLimit: isLong ? 5000 : 1000, numRuns: isLong ? 1000 : 100 },
    )
  },
)

void t.test('a connection closed without an answer, and one closed within it', async (t) => {
  const closing = await listen(t, (socket) => {
    socket.on('data', () => socket.end())
  })
  t.match(await ask(closing), { reason: 'connection closed before the answer', blame: 'server' })
  const cutting = await listen(t, (socket) => {
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'))
  })
  t.match(await ask(cutting), { reason: 'connection closed within the answer', blame: 'server' })
})

void t.test('a refused connection is said at once, and is no doubt', async (t) => {
  t.match(await ask(1), { reason: 'connect refused', blame: 'server' })
})

void t.test('a connection is reused where asked, and a stale one is no failure', async (t) => {
  let connections = 0
  const open: net.Socket[] = []
  const port = await listen(t, (socket) => {
    connections += 1
    open.push(socket)
    answering(httpAnswer('200 OK'))(socket)
  })
  const prober = createHttpProber(components)
  const target = targetOf(check({ reuse: true }), port)
  const run = () => outcomeOf((done) => prober.run(target, done))
  for (let index = 0; index < 3; index += 1) t.match(await run(), { result: 'passed' })
  t.equal(connections, 1)
  // The server resets the kept connection: the check finds out only by asking.
  open[0]?.resetAndDestroy()
  t.match(await run(), { result: 'passed' })
  t.equal(connections, 2)
  prober.retain(new Set())
  t.match(await ask(port), { result: 'passed' })
  t.match(await ask(port), { result: 'passed' })
  t.equal(connections, 4, 'without reuse each has its own')
})

void t.test(
  'a 408 on a kept connection is asked again, on a fresh one it is an answer',
  async (t) => {
    let connections = 0
    const port = await listen(t, (socket) => {
      connections += 1
      let requests = 0
      socket.on('data', () => {
        requests += 1
        if (requests === 1) socket.write(httpAnswer('200 OK'))
        else socket.end(httpAnswer('408 Request Timeout', 'idle', 'Connection: close\r\n'))
      })
    })
    const prober = createHttpProber(components)
    const kept = (changes: Partial<HttpCheckConfig>) => () =>
      outcomeOf((done) => prober.run(targetOf(check({ reuse: true, ...changes }), port), done))
    const run = kept({})
    for (let index = 0; index < 5; index += 1) t.match(await run(), { result: 'passed' })
    t.equal(connections, 5, 'each but the first made again')
    const trusting = kept({ trustStatus: [408] })
    t.match(await trusting(), { result: 'failed', reason: 'status 408' }, 'where it is meant')
    prober.retain(new Set())
    const busy = await listen(t, answering(httpAnswer('408 Request Timeout')))
    t.match(await ask(busy), { result: 'failed', reason: 'status 408' })
  },
)

void t.test('the request carries the Host, path and method asked for', async (t) => {
  let request = ''
  const port = await listen(t, (socket) => {
    socket.on('data', (data) => {
      request = data.toString()
      socket.write(httpAnswer('200 OK'))
    })
  })
  await ask(port, { method: 'HEAD', path: '/health?x=1', host: 'cdn.example.com' })
  t.match(request, /^HEAD \/health\?x=1 HTTP\/1\.1\r\nHost: cdn\.example\.com\r\n/)
  await ask(port)
  t.match(request, `Host: 127.0.0.1:${port}\r\n`)
})

const photo = (changes: Partial<PhotoCheckConfig>): PhotoCheckConfig => ({
  ...tcpCheck(),
  name: 'photo',
  type: 'photo',
  path: '/u/1/probe.jpg',
  host: undefined,
  length: undefined,
  sha256: undefined,
  maxLatencyMs: undefined,
  ...changes,
})

void t.test('a photo check compares length, digest and latency', async (t) => {
  const body = 'x'.repeat(300_000)
  const sha256 = createHash('sha256').update(body).digest('hex')
  const port = await listen(t, (socket) => {
    socket.on('data', () => setTimeout(() => socket.write(httpAnswer('200 OK', body)), 30))
  })
  const prober = createHttpProber(components)
  const run = (changes: Partial<PhotoCheckConfig>) =>
    outcomeOf((done) => prober.run(targetOf(photo(changes), port), done))
  t.match(await run({ length: 300_000, sha256: sha256.toUpperCase() }), {
    result: 'passed',
    reason: 'status 200, 300000 bytes',
  })
  t.match(await run({ length: 299_999 }), {
    result: 'failed',
    reason: 'wrong photo: 300000 bytes instead of 299999',
  })
  t.match(await run({ sha256: '00' }), {
    reason: `wrong photo: SHA-256 is ${sha256} instead of 00`,
  })
  const slow = await run({ maxLatencyMs: 10 })
  t.match(slow, { result: 'slow', blame: 'server' })
  t.match(slow.reason, /^slow: \d+ ms for a photo allowed 10 ms$/)
})

void t.test('its own lateness puts a deadline off, and a great one takes the blame', async (t) => {
  const port = await listen(t, () => undefined)
  let lateMs = 0
  const prober = createHttpProber({ ...components, lateMs: () => lateMs })
  const run = (firstByteMs: number) => {
    const asked = check({ timeouts: { ...timeouts, firstByteMs, lastByteMs: firstByteMs } })
    return outcomeOf((done) => prober.run(targetOf(asked, port), done))
  }
  // Half of the time would be a great one: timers may be late by some of it in earnest.
  const first = run(500)
  lateMs = 80
  t.ok((await first).latencyMs >= 580, 'nobody is blamed for 80 ms of ours')
  t.match(await first, { blame: 'doubtful' })
  const second = run(90)
  lateMs += 200
  t.match(await second, {
    blame: 'prober',
    reason: /^no first byte within 90 ms, but the prober itself was late by 2\d\d ms$/,
  })
})

void t.test('a prober that is late all the time comes to an end, and blames itself', async (t) => {
  const port = await listen(t, () => undefined)
  const prober = createHttpProber({ ...components, lateMs: () => performance.now() })
  const target = targetOf(check({ timeouts: { ...timeouts, firstByteMs: 150 } }), port)
  const outcome = await outcomeOf((done) => prober.run(target, done))
  t.match(outcome, { result: 'failed', blame: 'prober' })
  t.match(outcome.reason, /^no first byte within 150 ms, but the prober itself was late by \d+ ms$/)
  t.ok(outcome.latencyMs >= 300 && outcome.latencyMs < 1500, `${outcome.latencyMs} ms`)
})

void t.test("while the box's own link is down, no silence is blamed on a server", async (t) => {
  const port = await listen(t, () => undefined)
  const prober = createHttpProber({ ...components, isLinkUp: () => false })
  const outcome = await outcomeOf((done) => prober.run(targetOf(check({ timeouts }), port), done))
  t.match(outcome, {
    blame: 'prober',
    reason: "no first byte within 90 ms, and the prober's own link is down",
  })
})
