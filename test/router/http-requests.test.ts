import { connect } from 'node:net'
import t from 'tap'
import { GLOBAL, SERVER } from '../../router/core/counters.ts'
import { MIDDLE_READ_BYTES, SHORT_READ_BYTES } from '../../router/io/landing.ts'
import {
  dial,
  homeOf,
  layGround,
  logOf,
  raisedGauges,
  sleep,
  statuses,
  TRANSPORTS,
  until,
} from './edge-ground.ts'
import { ask, bodyOf, get, whole } from './lane-fixture.ts'

const once = [(s: { write(bytes: Buffer): unknown }) => s.write(whole('a'))]

void t.test('refusals say their status, in words, with Date and length, and close', async (t) => {
  const { edge, origins } = await layGround(t, once)
  const rows: [number, string][] = [
    [400, 'GET /u/1/p HTTP/1.1\r\n\r\n'],
    [400, 'GET /u/1/p HTTP/1.1\nHost: a\n\n'],
    [400, get('/u/1/p', 'Content-Length: 3') + 'abc'],
    [400, get('/u/1//p')],
    [400, get('http://other.example/u/1/p')],
    [400, get('/u/1/p', 'Connection: Host')],
    [405, get('/u/1/p').replace('GET', 'TRACE')],
    [405, get('/u/1/p').replace('GET', 'DELETE')],
    [417, get('/u/1/p', 'Expect: x')],
    [501, 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
    [505, 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
    [508, get('/u/1/p', 'Via: 1.1 router-1.test', 'Connection: close')],
    [404, get('/nowhere')],
  ]
  for (const [status, request] of rows) {
    const { text, how } = await ask(edge.port, request)
    t.match(text, new RegExp(`^HTTP/1\\.1 ${status} [A-Z][A-Za-z ]+\r\n`), request)
    t.match(text, /\r\nDate: .*GMT\r\nConnection: close\r\n/)
    t.match(text, /\r\nContent-Length: \d+\r\n/)
    if (status === 405) t.match(text, /\r\nAllow: GET, HEAD\r\n/)
    t.equal(how, 'end')
  }
  t.match(
    (await ask(edge.port, get('*').replace('GET', 'OPTIONS'))).text,
    /^HTTP\/1.1 204 .*\r\nAllow:/,
  )
  t.strictSame(origins[0]!.heads, [], 'no cache saw any of it')
  t.equal(edge.counters.global[GLOBAL.loops], 1)
  t.end()
})

void t.test('absolute-form, Upgrade and an empty Expect are served', async (t) => {
  const { edge, origins } = await layGround(t, once)
  const upgrade = [
    'Connection: Upgrade, HTTP2-Settings, close',
    'Upgrade: h2c',
    'HTTP2-Settings: A',
  ]
  const requests = [
    get('http://Photos.Example:80/u/1/p'),
    get('/u/1/p', ...upgrade),
    get('/u/1/p', 'Expect: 100-continue', 'Connection: close'),
  ]
  for (const request of requests) t.equal(bodyOf((await ask(edge.port, request)).text), 'a')
  const heads = origins[0]!.heads.join('')
  t.notMatch(heads, /upgrade|http2|expect|http:/i)
  t.equal(heads.match(/GET \/u\/1\/p HTTP\/1.1\r\n/g)?.length, 3)
  t.match(heads, /\r\nX-Forwarded-For: 127.0.0.1\r\n/)
  t.end()
})

for (const [means, isPlain] of TRANSPORTS) {
  void t.test(`${means}: a refused client may still send, up to a limit`, async (t) => {
    const { edge } = await layGround(t, once, { isPlain })
    const small = dial(edge.port, 'BAD\r\n\r\n')
    small.socket.write(Buffer.alloc(60_000))
    await until(() => small.how !== '')
    t.equal(small.how, 'end', 'the answer arrives')
    const large = dial(edge.port, 'BAD\r\n\r\n')
    large.socket.on('end', () => large.socket.write(Buffer.alloc(500_000)))
    await until(() => large.how !== '')
    t.match(large.text, /^HTTP\/1.1 /)
    await until(() => raisedGauges(edge).length === 0)
    t.end()
  })

  void t.test(`${means}: bytes after an answer cost the connection`, async (t) => {
    // One byte, and a photo that is passed on for the most part without being read.
    const answers = [
      Buffer.concat([whole('a'), Buffer.from('HTTP/1.1 200 OK')]),
      Buffer.concat([whole('a'.repeat(100_000)), Buffer.from('x')]),
      Buffer.concat([whole('a'.repeat(300_000)), Buffer.from('x')]),
    ]
    let count = 0
    const { edge, origins } = await layGround(t, [(s) => s.write(answers[count++]!)], { isPlain })
    for (const length of [1, 100_000, 300_000])
      t.equal(bodyOf((await ask(edge.port, get('/u/1/p'))).text).length, length)
    await until(() => edge.counters.global[GLOBAL.strayBytes] === 3)
    t.equal(origins[0]!.connectionCount, 3)
    t.ok(edge.counters.global[GLOBAL.bytesOut]! > 400_000, 'what is not read is counted')
    t.ok(edge.counters.servers[SERVER.bytesIn]! > 400_000)
    origins[0]!.script = (s) => {
      s.write(whole('b'), () => setTimeout(() => s.write('stray'), 20))
    }
    await ask(edge.port, get('/u/1/p'))
    await until(() => edge.counters.global[GLOBAL.strayBytes] === 4)
    t.equal(bodyOf((await ask(edge.port, get('/u/1/p'))).text), 'b')
    t.equal(origins[0]!.connectionCount, 5)
    t.end()
  })

  void t.test(`${means}: what comes behind a read that was full is no answer`, async (t) => {
    const stray = whole('BAD')
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
    const framings = [
      (length: number) => whole('a'.repeat(length - whole('a'.repeat(length)).length + length)),
      (length: number) => {
        const size = length - chunked.length - '5000\r\n\r\n0\r\n\r\n'.length
        return Buffer.from(`${chunked}${size.toString(16)}\r\n${'a'.repeat(size)}\r\n0\r\n\r\n`)
      },
    ]
    // How much a first read takes, and the photo of before that makes it so.
    const reads = [
      [SHORT_READ_BYTES, 'a'],
      [MIDDLE_READ_BYTES, 'a'.repeat(MIDDLE_READ_BYTES / 2)],
    ] as const
    for (const [framed, [length, before]] of framings.flatMap((f) =>
      reads.map((r) => [f, r] as const),
    )) {
      const full = framed(length)
      t.equal(full.length, length)
      const answers = [whole(before), Buffer.concat([full, stray]), whole('good')]
      const { edge } = await layGround(t, [(s) => s.write(answers.shift()!)], { isPlain })
      t.equal(bodyOf((await ask(edge.port, get('/u/1/o'))).text), before)
      const client = dial(edge.port, get('/u/1/p', 'X: 1') + get('/u/1/q', 'X: 1'))
      await until(() => /good|BAD/.test(client.text))
      t.match(client.text, /good$/)
      t.equal(edge.counters.global[GLOBAL.strayBytes], 1)
      client.socket.destroy()
    }
    t.end()
  })

  void t.test(`${means}: a photo that stalls is passed on as far as it came`, async (t) => {
    const answer = whole('a'.repeat(100_000))
    const sendRest: (() => void)[] = []
    const { edge } = await layGround(
      t,
      [
        (s) => {
          // As much as a first read takes, and no more for now.
          s.write(answer.subarray(0, SHORT_READ_BYTES))
          sendRest.push(() => s.write(answer.subarray(SHORT_READ_BYTES)))
        },
      ],
      { isPlain },
    )
    const startedAt = performance.now()
    for (let i = 0; i < 10; i++) {
      const client = dial(edge.port, get('/u/1/p'))
      await until(() => client.text.length >= SHORT_READ_BYTES)
      sendRest[i]!()
      await until(() => bodyOf(client.text).length === 100_000)
      client.socket.destroy()
    }
    // Bytes that wait in vain for more to come are held back for 0.2 s.
    t.ok(performance.now() - startedAt < 1500)
    t.end()
  })

  void t.test(`${means}: a listener's connections have a number, an age and a limit`, async (t) => {
    const { edge } = await layGround(t, once, {
      isPlain,
      listener: 'maxConnections: 2, keepAlive: { requests: 2, age: 100ms }',
    })
    const two = await ask(edge.port, get('/u/1/p', 'X: 1').repeat(3))
    t.strictSame(statuses(two.text), [200, 200])
    t.match(two.text, /a[^]*\r\nConnection: close\r\n/)
    await until(() => raisedGauges(edge).every((gauge) => gauge.startsWith('server')))
    const held = [dial(edge.port), dial(edge.port)]
    await until(() => edge.counters.global[GLOBAL.connectionsActive] === 2)
    const third = await ask(edge.port, get('/u/1/p'))
    t.match(third.text, /^HTTP\/1.1 503 [^]*Retry-After: 1[^]*Connection: close/)
    t.equal(edge.counters.global[GLOBAL.connectionsRefused], 1)
    await sleep(110)
    held[0]!.socket.write(get('/u/1/p', 'X: 1'))
    await until(() => held[0]!.how !== '')
    t.match(held[0]!.text, /Connection: close/, 'too old')
    held[1]!.socket.destroy()
    t.end()
  })

  void t.test(`${means}: of a listener's connections each worker has its share`, async (t) => {
    const { edge } = await layGround(t, once, {
      isPlain,
      workers: 2,
      listener: 'maxConnections: 3',
    })
    const held = [dial(edge.port)]
    await until(() => edge.counters.global[GLOBAL.connectionsActive] === 1)
    t.match((await ask(edge.port, get('/u/1/p'))).text, /^HTTP\/1.1 200 /, 'one more: the first')
    held.push(dial(edge.port))
    await until(() => edge.counters.global[GLOBAL.connectionsActive] === 2)
    t.match((await ask(edge.port, get('/u/1/p'))).text, /^HTTP\/1.1 503 /)
    for (const { socket } of held) socket.destroy()
    await until(() => edge.counters.global[GLOBAL.connectionsActive] === 0)
    t.teardown(() => delete process.env['PHOTOEDGE_WORKER'])
    process.env['PHOTOEDGE_WORKER'] = '2'
    edge.reconfigure({})
    const second = dial(edge.port)
    await until(() => edge.counters.global[GLOBAL.connectionsActive] === 1)
    t.match((await ask(edge.port, get('/u/1/p'))).text, /^HTTP\/1.1 503 /, 'the second')
    second.socket.destroy()
  })

  void t.test(`${means}: while draining everybody is served, once`, async (t) => {
    const { edge, origins } = await layGround(t, once, { isPlain })
    const idle = dial(edge.port)
    await until(() => edge.counters.global[GLOBAL.connectionsActive] === 1)
    const answers: (() => void)[] = []
    origins[0]!.script = (s) => answers.push(() => s.write(whole('late')))
    const busy = ask(edge.port, get('/u/1/p', 'X: 1'))
    await until(() => answers.length === 1)
    edge.photos.drain()
    await until(() => idle.how === 'end')
    origins[0]!.script = (s) => s.write(whole('new'))
    const health = await ask(edge.port, get('/.photoedge/health', 'X: 1'))
    t.match(health.text, /^HTTP\/1.1 503 [^]*Connection: close/)
    const fresh = await ask(edge.port, get('/u/1/p', 'X: 1'))
    t.match(fresh.text, /^HTTP\/1.1 200 [^]*Connection: close/)
    answers[0]!()
    t.match((await busy).text, /Connection: close[^]*late$/)
    t.end()
  })

  void t.test(`${means}: slow heads are cut, and stop nobody`, async (t) => {
    const { edge } = await layGround(t, once, { isPlain, listener: 'timeouts: { head: 300ms }' })
    const slow = Array.from({ length: 300 }, () => dial(edge.port, 'GET /u/'))
    const drip = setInterval(() => {
      for (const { socket } of slow) socket.write('1')
    }, 50)
    t.equal(bodyOf((await ask(edge.port, get('/u/1/p'))).text), 'a')
    await until(() => slow.every(({ how }) => how !== ''))
    clearInterval(drip)
    t.equal(edge.counters.global[GLOBAL.slowHeads], 300)
    t.equal(edge.counters.global[GLOBAL.requestsActive], 0)
    t.end()
  })

  void t.test(`${means}: a slow head takes nothing of the cache's time`, async (t) => {
    const { edge } = await layGround(t, [(s) => setTimeout(() => s.write(whole('a')), 50)], {
      isPlain,
      group: 'timeouts: { firstByte: 200ms }',
    })
    await ask(edge.port, get('/u/1/p'))
    const slow = dial(edge.port, get('/u/1/p').slice(0, -2))
    await sleep(250)
    slow.socket.write('\r\n')
    await until(() => slow.how !== '')
    t.strictSame(statuses(slow.text), [200])
    t.end()
  })

  void t.test(`${means}: a whole photo has its limit, whatever it waits for`, async (t) => {
    const ground = await layGround(t, [() => undefined], {
      isPlain,
      group: 'timeouts: { photo: 500ms }',
    })
    const { edge, origins } = ground
    const large = whole(Buffer.alloc(20_000_000))
    t.match((await ask(edge.port, get('/u/1/p'))).text, /^HTTP\/1.1 504 /)
    origins[0]!.script = (s) => s.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')
    t.equal(bodyOf((await ask(edge.port, get('/u/1/p'))).text), 'abc')
    origins[0]!.script = (s) => s.write(large)
    const slow = dial(edge.port, get('/u/1/p'))
    slow.socket.pause()
    await until(() => edge.counters.global[GLOBAL.requests] === 3)
    await until(() => edge.counters.global[GLOBAL.requestsActive] === 0)
    slow.socket.destroy()
    t.match(await logOf(ground), [
      { status: 504, end: 'cache failed' },
      { status: 200, end: 'timed out', bytes: 3 },
      { status: 200, end: 'timed out' },
    ])
    t.strictSame(raisedGauges(edge), [])
    t.end()
  })

  void t.test(`${means}: a client that takes nothing is cut`, async (t) => {
    const ground = await layGround(t, [(s) => s.write(whole(Buffer.alloc(20_000_000)))], {
      isPlain,
      listener: 'timeouts: { send: 150ms }',
    })
    const slow = dial(ground.edge.port, get('/u/1/p'))
    slow.socket.pause()
    await until(() => ground.edge.counters.global[GLOBAL.requests] === 1)
    await until(() => ground.edge.counters.global[GLOBAL.requestsActive] === 0)
    slow.socket.destroy()
    t.match(await logOf(ground), [{ status: 200, end: 'client slow' }])
    t.end()
  })

  // Over the public API nobody knows what the kernel holds: there a client is slow sooner.
  if (!isPlain) {
    void t.test(`${means}: a client that takes little, but something, is served on`, async (t) => {
      const ground = await layGround(t, [(s) => s.write(whole(Buffer.alloc(20_000_000)))], {
        isPlain,
        listener: 'timeouts: { send: 600ms }',
      })
      const end = performance.now() + 3000
      const slow = connect({
        port: ground.edge.port,
        host: '127.0.0.1',
        onread: {
          buffer: Buffer.alloc(16 * 1024),
          callback: () => {
            setTimeout(() => slow.resume(), performance.now() < end ? 15 : 0)
            return false
          },
        },
      })
      slow.on('error', () => undefined)
      slow.write(get('/u/1/p'))
      await new Promise((resolve) => slow.once('close', resolve))
      t.ok(performance.now() > end, 'it takes longer than any wait')
      t.match(await logOf(ground), [{ status: 200, end: 'complete', bytes: 20_000_000 }])
      t.end()
    })

    void t.test(`${means}: a client that stops taking is cut in time`, async (t) => {
      const ground = await layGround(t, [(s) => s.write(whole(Buffer.alloc(20_000_000)))], {
        isPlain,
        listener: 'timeouts: { send: 2s }',
      })
      const slow = dial(ground.edge.port, get('/u/1/p'))
      slow.socket.pause()
      let stoppedAt = 0
      setTimeout(() => slow.socket.resume(), 300)
      slow.socket.on('data', () => {
        if (slow.socket.bytesRead < 1_000_000) return
        slow.socket.pause()
        stoppedAt = performance.now()
      })
      await until(() => stoppedAt > 0)
      await until(() => ground.edge.counters.global[GLOBAL.requestsActive] === 0)
      const waitedMs = performance.now() - stoppedAt
      slow.socket.destroy()
      // The kernel's probes are still taken for a moment.
      t.ok(waitedMs < 3_000, `cut ${Math.round(waitedMs)} ms after it stopped`)
      t.match(await logOf(ground), [{ status: 200, end: 'client slow' }])
      t.end()
    })
  }

  void t.test(`${means}: retries stay within the budget and three attempts`, async (t) => {
    const reset = (s: { resetAndDestroy(): unknown }) => s.resetAndDestroy()
    const ground = await layGround(t, [reset, reset, reset, reset], {
      isPlain,
      check: 'type: http, path: /',
    })
    const { edge, origins } = ground
    const first = await ask(edge.port, get('/u/1/p'))
    t.match(first.text, /^HTTP\/1.1 502 /)
    t.equal(origins.flatMap(({ heads }) => heads).length, 3, 'three attempts')
    const rest: number[] = []
    for (let i = 0; i < 40; i++) rest.push(...statuses((await ask(edge.port, get('/u/1/p'))).text))
    t.ok(rest.includes(503), 'over budget')
    t.ok((edge.counters.global[GLOBAL.retryBudgetExhausted] ?? 0) > 0)
    const [line] = await logOf(ground)
    t.match(line, { attempts: 3, fallback: 'retry', end: 'cache failed' })
    t.end()
  })

  void t.test(`${means}: a status in retryOn goes on, the last one out`, async (t) => {
    const bad = (s: { write(text: string): unknown }) =>
      s.write('HTTP/1.1 502 Storage\r\nContent-Length: 1\r\n\r\nx')
    const both = await layGround(t, [(s) => s.write(whole('a')), (s) => s.write(whole('b'))], {
      isPlain,
      group: 'retryOn: [502]',
    })
    const user = await homeOf(both, 0)
    both.origins[0]!.script = bad
    t.equal(bodyOf((await ask(both.edge.port, get(`/u/${user}/p`))).text), 'b')
    both.origins[1]!.script = bad
    t.match((await ask(both.edge.port, get(`/u/${user}/p`))).text, /^HTTP\/1.1 502 Storage/)
    t.end()
  })

  void t.test(`${means}: a trial clears where no check can`, async (t) => {
    const both = await layGround(t, [(s) => s.write(whole('a')), (s) => s.write(whole('b'))], {
      isPlain,
    })
    const user = await homeOf(both, 0)
    both.origins[0]!.script = (s) => s.resetAndDestroy()
    for (let i = 0; i < 3; i++) await ask(both.edge.port, get(`/u/${user}/p`))
    t.strictSame(both.edge.suspects, ['caches/c0'])
    both.origins[0]!.script = (s) => s.write(whole('a'))
    t.equal(bodyOf((await ask(both.edge.port, get(`/u/${user}/p`))).text), 'a', 'the trial')
    t.equal(both.edge.events.at(-1)?.event, 'cache cleared')
    t.end()
  })
}

// What the kernel holds, the public API does not tell.
void t.test('what came just before a drain is answered', async (t) => {
  const { edge, origins } = await layGround(t, once, { isPlain: false })
  origins[0]!.script = (s) => s.write(whole('photo'))
  const client = dial(edge.port, get('/u/1/p', 'X: 1'))
  await until(() => client.text.endsWith('photo'))
  client.socket.write(get('/u/1/p', 'X: 1'))
  edge.photos.drain()
  await until(() => client.how !== '')
  t.match(client.text, /photoHTTP\/1.1 200 [^]*Connection: close[^]*photo$/)
  t.end()
})
