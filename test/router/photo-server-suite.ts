import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import t from 'tap'
import { GLOBAL, SERVER, SERVER_STRIDE } from '../../router/core/counters.ts'
import { until } from './edge-ground.ts'
import { ask, bodyOf, get, pattern, startEdge, startOrigin, whole } from './lane-fixture.ts'
import type { Edge, EdgeOptions, Origin, OriginScript } from './lane-fixture.ts'

interface Ground {
  readonly edge: Edge
  readonly origins: readonly Origin[]
}

/** The user of `/u/USER/p` whose home is origin `place`. */
async function homeOf(ground: Ground, place: number): Promise<string> {
  for (let user = 0; user < 1000; user++) {
    const before = ground.origins[place]!.heads.length
    await ask(ground.edge.port, get(`/u/${user}/p`))
    if (ground.origins[place]!.heads.length > before) return String(user)
  }
  throw new Error('no user lives there')
}

/** What the photo server does, over one kind of transport. */
export function describePhotoServer(isPlain: boolean): void {
  const means = isPlain ? 'public API' : 'stream_wrap'

  const ground = async (
    t: Tap,
    scripts: readonly OriginScript[],
    options: Partial<EdgeOptions> = {},
  ): Promise<Ground> => {
    const origins = await Promise.all(scripts.map(startOrigin))
    const ports = origins.map(({ port }) => port)
    const edge = await startEdge({ ports, folder: t.testdir(), isPlain, ...options })
    t.teardown(async () => {
      await edge.close()
      await Promise.all(origins.map((origin) => origin.close()))
    })
    return { edge, origins }
  }

  const sizes = [0, 1, 1023, 16_383, 16_384, 17_000, 65_536, 131_073, 3_000_000]
  void t.test(
    `${means}: photos of every size arrive whole by length, chunks and close`,
    async (t) => {
      const bodies = new Map(sizes.map((size) => [String(size), pattern(size)]))
      const { edge } = await ground(t, [
        (socket, head) => {
          const [, , framing, size] = /^GET \/u\/(\d+)\/(\w+)-(\d+)/.exec(head) ?? []
          const body = bodies.get(size!)!
          if (framing === 'length') socket.write(whole(body))
          else if (framing === 'chunks') {
            socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
            for (let at = 0; at < body.length; at += 9999) {
              const part = body.subarray(at, at + 9999)
              socket.write(`${part.length.toString(16)};ext=1\r\n`)
              socket.write(part)
              socket.write('\r\n')
            }
            socket.write('0\r\nX-Trailer: 1\r\n\r\n')
          } else socket.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), body]))
        },
      ])
      for (const framing of ['length', 'chunks', 'close']) {
        for (const [size, body] of bodies) {
          const response = await fetch(`http://127.0.0.1:${edge.port}/u/1/${framing}-${size}`)
          const got = Buffer.from(await response.arrayBuffer())
          t.ok(got.equals(body), `${framing} ${size}`)
        }
      }
      t.end()
    },
  )

  void t.test(`${means}: an answer that comes byte by byte is the same answer`, async (t) => {
    const bytes = whole(
      pattern(300),
      'ETag: "1"',
      'Connection: keep-alive',
      'Keep-Alive: timeout=5',
    )
    const { edge } = await ground(t, [
      (socket) => {
        let at = 0
        const drip = (): void => {
          if (at === bytes.length) return
          socket.write(bytes.subarray(at, ++at), () => {
            setImmediate(drip)
          })
        }
        drip()
      },
    ])
    const { text } = await ask(edge.port, get('/u/1/p'))
    t.equal(bodyOf(text), pattern(300).toString('latin1'))
    t.match(text, /ETag: "1"/)
    t.notMatch(text, /Keep-Alive|keep-alive/)
    t.end()
  })

  void t.test(
    `${means}: pipelined requests are answered in order, never pipelined upstream`,
    async (t) => {
      let isBusy = false
      let overlapped = false
      const { edge } = await ground(t, [
        (socket, head) => {
          overlapped ||= isBusy
          isBusy = true
          setImmediate(() => {
            isBusy = false
            socket.write(whole(`${/^GET (\S+)/.exec(head)![1]!} `))
          })
        },
      ])
      const requests = Array.from({ length: 300 }, (_, i) => get(`/u/1/${i}`, 'X-Y: 1'))
      const { text } = await ask(edge.port, requests.join('') + get('/u/1/last'))
      const order = [...text.matchAll(/\/u\/1\/(\w+)/g)].map(([, name]) => name)
      t.strictSame(order, [...Array.from({ length: 300 }, (_, i) => String(i)), 'last'])
      t.equal(overlapped, false)
      t.end()
    },
  )

  void t.test(
    `${means}: a head byte by byte, and pipelined refusals without recursion`,
    async (t) => {
      const { edge } = await ground(t, [(socket) => socket.write(whole('x'))])
      const request = get('/u/1/p')
      const socket = connect(edge.port, '127.0.0.1')
      socket.setNoDelay(true)
      let text = ''
      socket.on('data', (bytes) => (text += bytes.toString()))
      for (const letter of request) {
        socket.write(letter)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await new Promise((resolve) => socket.once('close', resolve))
      t.match(text, /^HTTP\/1.1 200 OK/)
      const many = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1000)
      const answer = await ask(edge.port, many + get('/u/1/p'))
      t.equal(answer.text.match(/HTTP\/1.1 404/g)?.length, 1000)
      t.match(answer.text, /HTTP\/1.1 200/)
      t.end()
    },
  )

  void t.test(`${means}: a burst of pipelined requests loses no line of the log`, async (t) => {
    const { edge } = await ground(t, [(socket) => socket.write(whole('x'))])
    const many = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20_000)
    const answer = await ask(edge.port, many + get('/u/1/p'))
    t.equal(answer.text.match(/HTTP\/1.1 404/g)?.length, 20_000)
    t.match(answer.text, /HTTP\/1.1 200/)
    t.equal(edge.counters.global[GLOBAL.logLinesLost], 0)
    t.end()
  })

  void t.test(`${means}: a head in two pieces leaves its connection readable`, async (t) => {
    const body = pattern(50_000)
    const { edge, origins } = await ground(t, [
      (socket) => {
        const answer = whole(body)
        socket.write(answer.subarray(0, 20))
        // More than the buffer that pieces are put together in takes at once.
        setTimeout(() => socket.write(answer.subarray(20)), 20)
      },
    ])
    for (let i = 0; i < 3; i++) {
      const { text } = await ask(edge.port, get('/u/1/p'))
      t.ok(Buffer.from(bodyOf(text), 'latin1').equals(body))
    }
    t.equal(origins[0]!.connectionCount, 1)
    t.end()
  })

  void t.test(`${means}: a refused cache is passed over before the first byte`, async (t) => {
    const both = await ground(t, [(s) => s.write(whole('a')), (s) => s.write(whole('b'))])
    const user = await homeOf(both, 0)
    await both.origins[0]!.close()
    const { text } = await ask(both.edge.port, get(`/u/${user}/p`))
    t.equal(bodyOf(text), 'b')
    t.end()
  })

  const early: [string, OriginScript][] = [
    ['resets', (socket) => socket.resetAndDestroy()],
    ['ends within its head', (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-')],
    ['answers with an invalid head', (socket) => socket.write('HTTP/1.1 200 OK\r\nA : b\r\n\r\n')],
    [
      'sends two lengths',
      (socket) =>
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx'),
    ],
    ['never answers', () => undefined],
    ['switches protocols', (socket) => socket.write('HTTP/1.1 101 X\r\nUpgrade: a\r\n\r\n')],
    ['answers 1xx for ever', (socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'.repeat(17))],
  ]
  for (const [what, script] of early) {
    void t.test(
      `${means}: a cache that ${what} is passed over, unseen by the client`,
      async (t) => {
        const both = await ground(t, [(s) => s.write(whole('a')), (s) => s.write(whole('b'))], {
          group: 'timeouts: { firstByte: 100ms }',
        })
        const user = await homeOf(both, 0)
        both.origins[0]!.script = script
        const { text } = await ask(both.edge.port, get(`/u/${user}/p`))
        t.match(text, /^HTTP\/1.1 (100 Continue\r\n\r\n)*/)
        t.equal(text.slice(-1), 'b')
        both.origins[1]!.script = script
        const failed = await ask(both.edge.port, get(`/u/${user}/p`))
        t.match(failed.text, what === 'never answers' ? /HTTP\/1.1 504/ : /HTTP\/1.1 502/)
        t.end()
      },
    )
  }

  void t.test(`${means}: a stale kept connection costs no attempt`, async (t) => {
    const { edge, origins } = await ground(t, [(s) => s.write(whole('a'))])
    await ask(edge.port, get('/u/1/p'))
    // Closed just as the next request arrives on it.
    origins[0]!.script = (socket) => {
      origins[0]!.script = (s) => s.write(whole('fresh'))
      socket.resetAndDestroy()
    }
    const { text } = await ask(edge.port, get('/u/1/p'))
    t.equal(bodyOf(text), 'fresh')
    t.equal(edge.counters.global[GLOBAL.staleConnections], 1)
    t.equal(
      edge.counters.global.subarray(GLOBAL.retries, GLOBAL.retries + 8).some((n) => n > 0),
      false,
    )
    t.end()
  })

  void t.test(`${means}: a cut body never looks whole`, async (t) => {
    const { edge, origins } = await ground(t, [(s) => s.write(whole('a'))])
    origins[0]!.script = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', () =>
        socket.resetAndDestroy(),
      )
    }
    const byLength = await ask(edge.port, get('/u/1/p', 'X: 1'))
    t.match(byLength.text, /Content-Length: 10/)
    t.ok(bodyOf(byLength.text).length < 10)
    origins[0]!.script = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', () =>
        socket.destroy(),
      )
    }
    const byChunks = await ask(edge.port, get('/u/1/p', 'X: 1'))
    t.notMatch(byChunks.text, /0\r\n\r\n$/)
    origins[0]!.script = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nabc', () =>
        setTimeout(() => socket.resetAndDestroy(), 20),
      )
    }
    const byClose = await ask(edge.port, get('/u/1/p', 'X: 1'))
    t.equal(byClose.how, 'ECONNRESET')
    t.end()
  })

  void t.test(
    `${means}: a body that stalls is cut, a slow client is not a slow cache`,
    async (t) => {
      const { edge, origins } = await ground(t, [(s) => s.write(whole('a'))], {
        group: 'timeouts: { betweenBytes: 100ms }',
      })
      origins[0]!.script = (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc')
      }
      const stalled = await ask(edge.port, get('/u/1/p', 'X: 1'))
      t.equal(bodyOf(stalled.text), 'abc')
      const body = pattern(20_000_000)
      origins[0]!.script = (socket) => socket.write(whole(body))
      const socket = connect(edge.port, '127.0.0.1')
      socket.write(get('/u/1/p'))
      const parts: Buffer[] = []
      // Reads nothing for several times betweenBytes, then all.
      await new Promise((resolve) => socket.once('readable', resolve))
      await new Promise((resolve) => setTimeout(resolve, 400))
      for await (const bytes of socket) parts.push(bytes as Buffer)
      const got = Buffer.concat(parts)
      t.ok(got.subarray(got.indexOf('\r\n\r\n') + 4).equals(body))
      t.end()
    },
  )

  void t.test(`${means}: a slow client holds a bounded buffer`, async (t) => {
    const body = pattern(30_000_000)
    let sent = 0
    const { edge } = await ground(t, [
      (socket) => {
        socket.write(whole(body))
        sent = socket.bytesWritten
      },
    ])
    const before = process.memoryUsage().arrayBuffers
    const clients = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = connect(edge.port, '127.0.0.1')
        socket.on('error', () => undefined)
        socket.pause()
        socket.write(get('/u/1/p'))
        await new Promise((resolve) => setTimeout(resolve, 300))
        return socket
      }),
    )
    t.ok(sent > 0)
    const held = process.memoryUsage().arrayBuffers - before
    // Twenty exchanges of 256 KB, beside the origin's own copies of what it could not send.
    const ownCopies = 20 * (body.length + 100)
    t.ok(held - ownCopies < 20 * 256 * 1024, `${held - ownCopies} bytes`)
    for (const socket of clients) socket.destroy()
    t.end()
  })

  void t.test(`${means}: a client that leaves ends the fetch`, async (t) => {
    let gone: (() => void) | undefined
    const isGone = new Promise<void>((resolve) => (gone = resolve))
    const { edge } = await ground(t, [
      (socket) => {
        socket.on('close', () => gone?.())
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc')
      },
    ])
    await ask(edge.port, get('/u/1/p'), (text) => text.endsWith('abc'))
    await isGone
    t.pass('the upstream connection is closed')
    t.end()
  })

  void t.test(`${means}: 1xx reach 1.1 clients only; 1.0 clients get plain bodies`, async (t) => {
    const { edge } = await ground(t, [
      (socket) =>
        socket.write(
          'HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
        ),
    ])
    const modern = await ask(edge.port, get('/u/1/p'))
    t.match(modern.text, /^HTTP\/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP\/1.1 200/)
    const old = await ask(edge.port, 'GET /u/1/p HTTP/1.0\r\n\r\n')
    t.match(old.text, /^HTTP\/1.1 200 OK/)
    t.equal(bodyOf(old.text), 'abc')
    const kept = await ask(
      edge.port,
      'GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\n',
    )
    t.equal(kept.text.match(/HTTP\/1.1 404/g)?.length, 2)
    t.end()
  })

  void t.test(`${means}: HEAD, 204 and 304 have no body whatever their fields say`, async (t) => {
    const { edge, origins } = await ground(t, [
      (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'),
    ])
    const head = get('/u/1/p', 'X: 1').replace('GET', 'HEAD')
    const two = await ask(edge.port, head + get('/u/1/p').replace('GET', 'HEAD'))
    t.equal(two.text.match(/Content-Length: 1000/g)?.length, 2)
    origins[0]!.script = (s) => s.write('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n')
    const notModified = await ask(edge.port, get('/u/1/p', 'X: 1') + get('/u/1/p'))
    t.equal(notModified.text.match(/HTTP\/1.1 304/g)?.length, 2)
    t.end()
  })

  void t.test(
    `${means}: three failures make a cache suspect, and a verdict clears it`,
    async (t) => {
      const both = await ground(t, [(s) => s.write(whole('a')), (s) => s.write(whole('b'))], {
        check: 'type: http, path: /',
      })
      const user = await homeOf(both, 0)
      both.origins[0]!.script = (socket) => socket.resetAndDestroy()
      for (let i = 0; i < 5; i++)
        t.equal(bodyOf((await ask(both.edge.port, get(`/u/${user}/p`))).text), 'b')
      t.strictSame(both.edge.suspects, ['caches/c0'])
      const heads = both.origins[0]!.heads.length
      await ask(both.edge.port, get(`/u/${user}/p`))
      t.equal(both.origins[0]!.heads.length, heads, 'a suspect is not asked')
      both.origins[0]!.script = (s) => s.write(whole('a'))
      both.edge.setVerdict('c0')
      t.equal(
        bodyOf((await ask(both.edge.port, get(`/u/${user}/p`))).text),
        'b',
        'an older check does not clear',
      )
      both.edge.setVerdict('c0', { clearsSuspicion: true })
      t.equal(bodyOf((await ask(both.edge.port, get(`/u/${user}/p`))).text), 'a')
      t.end()
    },
  )

  void t.test(`${means}: no cache up, 503; a drained one gets nobody`, async (t) => {
    const both = await ground(t, [(s) => s.write(whole('a')), (s) => s.write(whole('b'))])
    const user = await homeOf(both, 0)
    both.edge.setVerdict('c0', { state: 'down', factor: 0 })
    t.equal(bodyOf((await ask(both.edge.port, get(`/u/${user}/p`))).text), 'b')
    both.edge.setVerdict('c1', { state: 'down', factor: 0 })
    const none = await ask(both.edge.port, get(`/u/${user}/p`))
    t.match(none.text, /^HTTP\/1.1 503[^]*Retry-After: 1/)
    const health = await ask(both.edge.port, get('/.photoedge/health'))
    t.match(health.text, /^HTTP\/1.1 200/)
    t.end()
  })

  void t.test(
    `${means}: maxConnections sends the rest to the next rank, then says 503`,
    async (t) => {
      const both = await ground(t, [(s) => s.write(whole('a')), (s) => s.write(whole('b'))], {
        pool: 'maxConnections: 1',
      })
      const user = await homeOf(both, 0)
      const waiting: (() => void)[] = []
      both.origins[0]!.script = (s) => waiting.push(() => s.write(whole('a')))
      both.origins[1]!.script = (s) => waiting.push(() => s.write(whole('b')))
      const first = ask(both.edge.port, get(`/u/${user}/p`))
      while (waiting.length < 1) await new Promise((resolve) => setImmediate(resolve))
      const second = ask(both.edge.port, get(`/u/${user}/p`))
      while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve))
      const third = await ask(both.edge.port, get(`/u/${user}/p`))
      t.match(third.text, /^HTTP\/1.1 503[^]*Retry-After/)
      const { servers } = both.edge.counters
      const full = [servers[SERVER.full], servers[SERVER_STRIDE + SERVER.full]]
      t.strictSame(full, [2, 1], 'each counted once for each request')
      for (const answer of waiting) answer()
      t.equal(bodyOf((await first).text), 'a')
      t.equal(bodyOf((await second).text), 'b')
      t.end()
    },
  )

  void t.test(`${means}: of a cache's connections each worker has its share`, async (t) => {
    const { edge, origins } = await ground(t, [() => undefined], {
      workers: 2,
      pool: 'maxConnections: 3',
    })
    const waiting: (() => void)[] = []
    origins[0]!.script = (s) => waiting.push(() => s.write(whole('a')))
    const first = [1, 2].map(() => ask(edge.port, get('/u/1/p')))
    await until(() => waiting.length === 2)
    t.match((await ask(edge.port, get('/u/1/p'))).text, /^HTTP\/1.1 503/)
    for (const answer of waiting) answer()
    for (const { text } of await Promise.all(first)) t.equal(bodyOf(text), 'a')
    t.end()
  })

  void t.test(
    `${means}: more connections than are kept are there for the next moment`,
    async (t) => {
      const { edge, origins } = await ground(t, [() => undefined], {
        pool: 'keepAlive: { connections: 1 }',
      })
      const [origin] = origins
      let waiting: (() => void)[] = []
      origin!.script = (s) => waiting.push(() => s.write(whole('a')))
      const askThree = async (): Promise<void> => {
        const answers = [1, 2, 3].map(() => ask(edge.port, get('/u/1/p')))
        await until(() => waiting.length === 3)
        for (const answer of waiting) answer()
        waiting = []
        await Promise.all(answers)
      }
      await askThree()
      await askThree()
      t.equal(origin!.connectionCount, 3, 'taken again')
      await until(() => origin!.openCount === 1)
      await askThree()
      t.equal(origin!.connectionCount, 5, 'one was kept')
      t.end()
    },
  )

  void t.test(
    `${means}: a group that allows bodies passes them through the general lane`,
    async (t) => {
      const http = await import('node:http')
      const bodies: string[] = []
      const origin = http.createServer((request, response) => {
        let body = ''
        request.on('data', (bytes: Buffer) => (body += bytes.toString()))
        request.on('end', () => {
          bodies.push(`${request.method} ${String(request.headers['x-real-ip'])} ${body}`)
          response.setHeader('X-Answer', 'yes')
          response.end(`got ${body.length}`)
        })
      })
      await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
      const { port } = origin.address() as { port: number }
      const edge = await startEdge({
        ports: [port],
        folder: t.testdir(),
        isPlain,
        group: 'methods: [GET, HEAD, POST], bodies: allow, maxBody: 1KB',
      })
      t.teardown(async () => {
        await edge.close()
        origin.closeAllConnections()
        origin.close()
      })
      const post = await fetch(`http://127.0.0.1:${edge.port}/u/1/p`, {
        method: 'POST',
        body: 'hello',
      })
      t.equal(await post.text(), 'got 5')
      t.equal(post.headers.get('x-answer'), 'yes')
      t.equal(post.headers.get('connection'), 'close')
      const chunked = await ask(
        edge.port,
        'POST /u/1/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
      )
      t.match(chunked.text, /^HTTP\/1.1 100 Continue[^]*got 3/)
      t.strictSame(bodies, ['POST 127.0.0.1 hello', 'POST 127.0.0.1 abc'])
      const tooLarge = await ask(
        edge.port,
        `POST /u/1/p HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n${'x'.repeat(2000)}`,
      )
      t.match(tooLarge.text, /^HTTP\/1.1 413/)
      const chunkedTooLarge = await ask(
        edge.port,
        `POST /u/1/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`,
      )
      t.match(chunkedTooLarge.text, /^HTTP\/1.1 413/)
      t.end()
    },
  )

  void t.test(`${means}: of a repeated referer and user agent the first is logged`, async (t) => {
    const folder = t.testdir()
    const { edge } = await ground(t, [(s) => s.write(whole('abc'))], { folder })
    const fields = ['User-Agent: a', 'Referer: b', 'User-Agent: c', 'Referer: d']
    const both = get('/u/1/p', ...fields) + get('/u/1/p', 'Connection: close')
    await ask(edge.port, both)
    await ask(edge.port, get('/u/1/p', 'Referer:', 'Referer: d', 'Connection: close'))
    await edge.close()
    const lines = readFileSync(edge.logFile, 'utf8').trimEnd().split('\n')
    const [first, none, empty] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    t.match(none, { referer: undefined, userAgent: undefined })
    t.match(first, { userAgent: 'a', referer: 'b' })
    t.match(empty, { status: 200, referer: undefined })
    t.end()
  })

  void t.test(
    `${means}: one line a request, none for a connection that asked nothing`,
    async (t) => {
      const folder = t.testdir()
      const { edge } = await ground(t, [(s) => s.write(whole('abc'))], { folder })
      await ask(edge.port, get('/u/1/p', 'User-Agent: "quoted\\"', 'Connection: close'))
      await ask(edge.port, 'GET /u/1/p\n')
      const socket = connect(edge.port, '127.0.0.1')
      socket.write('GET /u/')
      await new Promise((resolve) => setTimeout(resolve, 20))
      socket.destroy()
      await edge.close()
      const lines = readFileSync(edge.logFile, 'utf8').trimEnd().split('\n')
      t.equal(lines.length, 2)
      t.match(JSON.parse(lines[0]!), { status: 200 })
      t.match(JSON.parse(lines[1]!), { status: 400 })
      t.end()
    },
  )
}

type Tap = Pick<typeof t, 'testdir' | 'teardown'>
