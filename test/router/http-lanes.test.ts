import type { Socket } from 'node:net'
import t from 'tap'
import { GLOBAL, SERVER } from '../../router/core/counters.ts'
import { untakenBytes } from '../../router/io/send-now.ts'
import { descriptorOf } from './descriptor.ts'
import {
  dial,
  layGround,
  logOf,
  raisedGauges,
  sleep,
  statuses,
  TRANSPORTS,
  until,
} from './edge-ground.ts'
import { ask, bodyOf, whole } from './lane-fixture.ts'

const ALLOWED = 'methods: [GET, HEAD, POST, OPTIONS], bodies: allow, maxBody: 100KB'
const post = (body: string, ...fields: readonly string[]): string =>
  `POST /u/1/p HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n${fields.map((line) => `${line}\r\n`).join('')}\r\n${body}`

const answerTo = (head: string): Buffer => {
  const answer = whole('photo')
  return head.startsWith('HEAD ') ? answer.subarray(0, -'photo'.length) : answer
}

/** Not sooner: a reset takes away what the other end's kernel does not have yet. */
async function resetOnceTaken(socket: Socket): Promise<void> {
  await until(() => untakenBytes(descriptorOf(socket)) === 0)
  socket.resetAndDestroy()
}

for (const [means, isPlain] of TRANSPORTS) {
  const options = { isPlain, group: ALLOWED }

  void t.test(`${means}: a body that no one reads is not taken for a request`, async (t) => {
    const { edge, origins } = await layGround(t, [(s) => s.write(whole('a'))], { isPlain })
    const smuggled = 'GET /u/1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
    const heads = ['POST /u/1/p', 'POST /x', 'OPTIONS *', 'PUT /.photoedge/health', 'GET /u/1/p']
    for (const head of heads) {
      const { text, how } = await ask(
        edge.port,
        `${head} HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
      )
      t.equal(statuses(text).length, 1, head)
      t.match(text, /\r\nConnection: close\r\n/)
      t.equal(how, 'end')
    }
    t.strictSame(origins[0]!.heads, [])
    t.end()
  })

  void t.test(`${means}: a handed-over request whose cache refuses gets 502`, async (t) => {
    const { edge, origins } = await layGround(t, [(s) => s.end(whole('a'))], options)
    await origins[0]!.close()
    for (let i = 0; i < 3; i++) {
      const { text, how } = await ask(edge.port, post('abc'))
      t.strictSame(statuses(text), [502])
      t.equal(how, 'end')
    }
    t.strictSame(edge.suspects, ['caches/c0'])
    await until(() => raisedGauges(edge).length === 1)
    t.strictSame(raisedGauges(edge), [`server ${SERVER.suspect} = 1`])
    t.end()
  })

  void t.test(`${means}: what follows a handed-over request is never read`, async (t) => {
    const { edge, origins } = await layGround(t, [(s) => s.end(whole('a'))], options)
    const next = 'GET /u/1/next HTTP/1.1\r\nHost: a\r\n\r\n'
    const chunked =
      'POST /u/1/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n0\r\nT: 1\r\n\r\n'
    for (const request of [post('abc'), chunked, 'OPTIONS /u/1/p HTTP/1.1\r\nHost: a\r\n\r\n']) {
      const { text, how } = await ask(edge.port, request + next)
      t.strictSame(statuses(text), [200])
      t.match(text, /\r\nconnection: close\r\n/i)
      t.equal(how, 'end', 'closed by us')
    }
    t.equal(origins[0]!.heads.length, 3)
    t.notMatch(origins[0]!.heads.join(''), /next/)
    t.strictSame(statuses((await ask(edge.port, chunked.replace('3;', '3x'))).text), [400])
    await until(() => raisedGauges(edge).length === 0)
    t.end()
  })

  void t.test(`${means}: a handed-over answer keeps its framing`, async (t) => {
    const { edge, origins } = await layGround(
      t,
      [(s) => s.end('HTTP/1.1 200 OK\r\n\r\nabc')],
      options,
    )
    const unframed = await ask(edge.port, post('x'))
    t.notMatch(unframed.text, /transfer-encoding/i)
    t.equal(bodyOf(unframed.text), 'abc')
    t.equal(edge.counters.global[GLOBAL.unframed], 1)
    origins[0]!.script = (s) =>
      s.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n')
    const old = await ask(edge.port, post('x').replace('1.1', '1.0'))
    t.equal(bodyOf(old.text), 'abc')
    const modern = await ask(edge.port, post('x'))
    t.match(modern.text, /transfer-encoding: chunked[^]*\r\n3\r\nabc\r\n0\r\n\r\n$/i)
    origins[0]!.script = (s) => {
      s.write('HTTP/1.1 200 OK\r\n\r\nabc', () => setTimeout(() => s.resetAndDestroy(), 20))
    }
    t.equal((await ask(edge.port, post('x'))).how, 'ECONNRESET')
    origins[0]!.script = (s) => s.end('HTTP/1.1 200 OK\r\nA : b\r\n\r\n')
    t.match((await ask(edge.port, post('x'))).text, /^HTTP\/1.1 502 /)
    t.end()
  })

  void t.test(`${means}: a handed-over answer is judged as any other`, async (t) => {
    const ground = await layGround(t, [() => undefined], options)
    const { edge, origins } = ground
    const length = 'Content-Length: 1\r\n'
    const bad = [
      ['a coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx'],
      [
        'a coding before chunked',
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
      ],
      ['a version', `HTTP/2.0 200 OK\r\n${length}\r\nx`],
      ['a status below 100', `HTTP/1.1 099 OK\r\n${length}\r\nx`],
      ['a switch', `HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n`],
      ['a long head', `HTTP/1.1 200 OK\r\n${length}A: ${'a'.repeat(32_768)}\r\n\r\nx`],
      ['many fields', `HTTP/1.1 200 OK\r\n${length}${'A: a\r\n'.repeat(200)}\r\nx`],
      [
        'many interim answers',
        'HTTP/1.1 102 Processing\r\n\r\n'.repeat(17) + whole('x').toString('latin1'),
      ],
    ] as const
    let badHeads = 0
    for (const [what, answer] of bad) {
      for (const request of [
        post('x'),
        'GET /u/1/p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ]) {
        origins[0]!.script = (s) => s.end(answer, 'latin1')
        const { text } = await ask(edge.port, request)
        t.equal(statuses(text).at(-1), 502, what)
        t.match(text, /\r\nDate: [^]*\r\n\r\n502 Bad Gateway\nNo cache gave a valid answer\n$/)
        t.equal(edge.counters.servers[SERVER.badHeads], ++badHeads, what)
      }
    }
    const good = [
      ['a head of the largest size', `A: ${'a'.repeat(32_768 - 17 - length.length - 7)}\r\n`],
      ['as many fields as may be', 'A: a\r\n'.repeat(199)],
    ] as const
    for (const [what, fields] of good) {
      const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${length}${fields}\r\nx`)
      origins[0]!.script = (s) => {
        s.write(bytes.subarray(0, 9), () => setTimeout(() => s.end(bytes.subarray(9)), 20))
      }
      const { text } = await ask(edge.port, post('x'))
      t.match(text, /^HTTP\/1.1 200 [^]*\r\n\r\nx$/, what)
    }
    await until(() => raisedGauges(edge).length === 0)
    t.equal((await logOf(ground)).length, 2 * bad.length + good.length)
    t.end()
  })

  void t.test(
    `${means}: a handed-over answer has the framing that its pool requires`,
    async (t) => {
      const { edge, origins } = await layGround(t, [(s) => s.end('HTTP/1.1 200 OK\r\n\r\na')], {
        ...options,
        pool: 'framing: required',
      })
      t.strictSame(statuses((await ask(edge.port, post('x'))).text), [502])
      t.equal(edge.counters.servers[SERVER.badHeads], 1)
      origins[0]!.script = (s) => s.end(whole('a'))
      t.equal(bodyOf((await ask(edge.port, post('x'))).text), 'a')
      t.end()
    },
  )

  void t.test(`${means}: a handed-over target goes byte for byte`, async (t) => {
    const { edge, origins } = await layGround(t, [(s) => s.end(whole('a'))], options)
    const characters = String.fromCharCode(...Array.from({ length: 223 }, (_, i) => i + 33))
    const target = `/u/1/p?${characters.replace(/[#\x7f]/g, '')}`
    for (const authority of ['', 'http://a']) {
      const { text } = await ask(
        edge.port,
        post('x').replace('/u/1/p', () => authority + target),
      )
      t.strictSame(statuses(text), [200])
      t.equal(origins[0]!.heads.at(-1)!.split(' ', 2)[1], target)
    }
    t.end()
  })

  void t.test(`${means}: no field of a handed-over request is lost`, async (t) => {
    const { edge, origins } = await layGround(t, [(s) => s.end(whole('a'))], {
      ...options,
      listener: 'limits: { fields: 1000 }',
    })
    const many = Array.from({ length: 998 }, (_, i) => `X-${i}: ${i}`)
    t.strictSame(statuses((await ask(edge.port, post('x', ...many))).text), [200])
    const head = origins[0]!.heads[0]!
    t.equal(head.match(/^X-\d+: /gm)?.length, many.length)
    t.match(head, /^X-Request-Id: /m)
    t.end()
  })

  void t.test(`${means}: what is wrong with a body is said in words`, async (t) => {
    const ground = await layGround(t, [() => undefined], {
      ...options,
      listener: 'timeouts: { idle: 200ms }',
    })
    const { edge } = ground
    const chunked = 'POST /u/1/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    const large = 'b'.repeat(102_401)
    const cases = [
      [post('x').slice(0, -1), '408 Request Timeout', 'The body took too long'],
      [`${chunked}3x\r\nabc`, '400 Bad Request', 'The body is not in the chunked coding'],
      [post(large), '413 Content Too Large', 'The body is too large'],
      [
        `${chunked}19001\r\n${large}\r\n0\r\n\r\n`,
        '413 Content Too Large',
        'The body is too large',
      ],
    ] as const
    for (const [request, status, sentence] of cases) {
      const { text, how } = await ask(edge.port, request)
      t.ok(text.startsWith(`HTTP/1.1 ${status}\r\n`), text)
      t.match(text, /\r\nDate: /)
      t.match(text, /\r\nConnection: close\r\n/)
      t.equal(bodyOf(text), `${status}\n${sentence}\n`)
      t.equal(how, 'end')
    }
    await until(() => raisedGauges(edge).length === 0)
    t.match(
      await logOf(ground),
      cases.map(([, status]) => ({ status: Number(status.slice(0, 3)), end: 'refused' })),
    )
    t.end()
  })

  void t.test(`${means}: a refused request without a body ends its connection too`, async (t) => {
    const { edge } = await layGround(t, [(s) => s.end('HTTP/1.1 099 OK\r\n\r\n')], options)
    const two = 'OPTIONS /u/1/p HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2)
    const { text, how } = await ask(edge.port, two)
    t.strictSame(statuses(text), [502])
    t.match(text, /\r\nConnection: close\r\n/)
    t.equal(how, 'end')
    t.end()
  })

  void t.test(`${means}: a cut handed-over answer never looks whole`, async (t) => {
    const ground = await layGround(t, [() => undefined], options)
    const { edge, origins } = ground
    const old = post('x').replace('1.1', '1.0')
    const byChunks = 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'
    const cuts = [
      ['Content-Length: 9\r\n\r\nabc', post('x'), 'end', 'abc'],
      ['Content-Length: 9\r\n\r\nabc', old, 'end', 'abc'],
      [byChunks, post('x'), 'end', '3\r\nabc\r\n'],
      [byChunks, old, 'ECONNRESET', 'abc'],
      ['\r\nabc', post('x'), 'ECONNRESET', 'abc'],
      // Its framing is of this hop alone.
      ['Connection: content-length\r\nContent-Length: 9\r\n\r\nabc', old, 'ECONNRESET', 'abc'],
    ] as const
    for (const [answer, request, how, body] of cuts) {
      origins[0]!.script = (s) => {
        s.write(`HTTP/1.1 200 OK\r\n${answer}`, () => setTimeout(() => s.resetAndDestroy(), 20))
      }
      const cut = await ask(edge.port, request)
      t.equal(cut.how, how, answer)
      t.equal(bodyOf(cut.text), body)
    }
    await until(() => raisedGauges(edge).length === 0)
    const lines = await logOf(ground)
    t.match(
      lines,
      cuts.map(() => ({ status: 200, end: 'cache cut', lane: 'general' })),
    )
    t.end()
  })

  void t.test(`${means}: an answer before the body is whole is an answer`, async (t) => {
    const ground = await layGround(t, [(s) => s.write(whole('no'))], options)
    const { edge } = ground
    for (const bytes of [1, 10_000]) {
      const early = dial(edge.port, post('b'.repeat(50_000)).slice(0, -bytes))
      await until(() => early.how !== '')
      t.equal(early.how, 'end', 'closed, not reset')
      t.match(early.text, /^HTTP\/1\.1 200 [^]*\r\n\r\nno$/)
    }
    await until(() => raisedGauges(edge).length === 0)
    t.match(await logOf(ground), [
      { status: 200, end: 'complete' },
      { status: 200, end: 'complete' },
    ])
    t.equal(edge.counters.servers[SERVER.cuts], 0)
    t.end()
  })

  void t.test(
    `${means}: what a cache does behind its answer is not the client's loss`,
    async (t) => {
      const { edge, origins } = await layGround(t, [() => undefined], options)
      const body = 'p'.repeat(200_000)
      for (const behind of ['stray', 'reset'] as const) {
        origins[0]!.script = (s) => {
          if (behind === 'stray')
            s.write(Buffer.concat([whole(body), Buffer.from('HTTP/1.1 200 OK')]))
          else s.write(whole(body), () => void resetOnceTaken(s))
        }
        for (let i = 0; i < 10; i++) {
          const { text, how } = await ask(edge.port, post('x'))
          t.ok(bodyOf(text) === body, behind)
          t.equal(how, 'end')
        }
      }
      t.equal(edge.counters.servers[SERVER.cuts], 0)
      t.end()
    },
  )

  void t.test(`${means}: a method that needs no body may have one`, async (t) => {
    const ground = await layGround(t, [(s, head) => s.end(answerTo(head))], options)
    const { edge } = ground
    const requests = ['GET', 'HEAD', 'OPTIONS'].flatMap((method) => [
      post('abc').replace('POST', method),
      `${method} /u/1/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
    ])
    for (const request of requests) {
      const { text, how } = await ask(edge.port, request)
      t.match(text, /^HTTP\/1.1 200 [^]*\r\n\r\n/, request)
      t.equal(bodyOf(text), request.startsWith('HEAD') ? '' : 'photo')
      t.equal(how, 'end')
    }
    await until(() => raisedGauges(edge).length === 0)
    const lines = await logOf(ground)
    const whole = (bytes: number) => ({ status: 200, bytes, end: 'complete', lane: 'general' })
    t.match(lines, [5, 5, 0, 0, 5, 5].map(whole))
    t.end()
  })

  void t.test(`${means}: an answer before the whole body is timed from the head`, async (t) => {
    const ground = await layGround(t, [(s) => s.write(whole('abc'))], options)
    const { text } = await ask(ground.edge.port, post('abcde').slice(0, -1))
    t.equal(bodyOf(text), 'abc')
    const [line] = (await logOf(ground)) as { firstByteUs: number; durationUs: number }[]
    t.ok(line!.firstByteUs <= line!.durationUs, `${line!.firstByteUs} of ${line!.durationUs}`)
    t.end()
  })

  void t.test(`${means}: a handed-over request has its limits of time`, async (t) => {
    const ground = await layGround(t, [() => undefined], {
      isPlain,
      group: `${ALLOWED}, timeouts: { firstByte: 100ms, betweenBytes: 100ms }`,
      listener: 'timeouts: { idle: 200ms }',
    })
    const { edge, origins } = ground
    t.match((await ask(edge.port, post('x'))).text, /^HTTP\/1.1 504 /)
    t.match((await ask(edge.port, post('x').slice(0, -1))).text, /^HTTP\/1.1 408 /)
    origins[0]!.script = (s) => s.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')
    const stalled = await ask(edge.port, post('x'))
    t.equal(stalled.how, 'end')
    t.equal(bodyOf(stalled.text), 'abc')
    await until(() => raisedGauges(edge).length === 0)
    const lines = await logOf(ground)
    t.match(lines, [
      { status: 504, end: 'cache failed', lane: 'general' },
      { status: 408, end: 'refused', lane: 'general' },
      { status: 200, end: 'timed out', lane: 'general' },
    ])
    t.end()
  })

  void t.test(`${means}: what a client had of a handed-over answer is logged`, async (t) => {
    const part = 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'
    const ground = await layGround(t, [(s) => s.write(part)], { isPlain, group: ALLOWED })
    const client = dial(ground.edge.port, post('x'))
    await until(() => client.text.endsWith('abc'))
    client.socket.destroy()
    await until(() => ground.edge.counters.global[GLOBAL.requestsActive] === 0)
    t.match(await logOf(ground), [{ status: 200, bytes: 3, end: 'client gone', lane: 'general' }])
    t.end()
  })

  void t.test(`${means}: a handed-over photo has its whole limit`, async (t) => {
    const ground = await layGround(t, [() => undefined], {
      isPlain,
      group: `${ALLOWED}, timeouts: { photo: 600ms }`,
    })
    const { edge, origins } = ground
    const large = whole(Buffer.alloc(20_000_000))
    t.match((await ask(edge.port, post('x'))).text, /^HTTP\/1.1 504 /)
    t.match((await ask(edge.port, post('xyz').slice(0, -1))).text, /^HTTP\/1.1 408 /)
    origins[0]!.script = (s) => {
      s.write('HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc')
      const drip = setInterval(() => s.write('x'), 100)
      s.on('close', () => {
        clearInterval(drip)
      })
    }
    const cut = await ask(edge.port, post('x'))
    t.equal(cut.how, 'end')
    t.match(bodyOf(cut.text), /^abcx{0,8}$/)
    const failures = edge.counters.servers[SERVER.bodyTimeouts]
    t.equal(failures, 1, 'the cache was slow')
    origins[0]!.script = (s) => s.end(large)
    const slow = dial(edge.port, post('x'))
    slow.socket.pause()
    await until(() => edge.counters.global[GLOBAL.requests] === 4)
    await until(() => edge.counters.global[GLOBAL.requestsActive] === 0)
    slow.socket.destroy()
    t.equal(edge.counters.servers[SERVER.bodyTimeouts], 1, 'the client was')
    await until(() => raisedGauges(edge).length === 0)
    t.match(await logOf(ground), [
      { status: 504, end: 'cache failed', lane: 'general' },
      { status: 408, end: 'refused', lane: 'general' },
      { status: 200, end: 'timed out', lane: 'general' },
      { status: 200, end: 'timed out', lane: 'general' },
    ])
    t.end()
  })

  void t.test(`${means}: a client that leaves ends its handed-over request`, async (t) => {
    const { edge, origins } = await layGround(t, [() => undefined], options)
    let closed = 0
    origins[0]!.script = (socket) => socket.on('close', () => closed++)
    for (const how of ['end', 'resetAndDestroy'] as const) {
      const before = closed
      const heads = origins[0]!.heads.length
      const { socket } = dial(edge.port, post('abc'))
      await until(() => origins[0]!.heads.length > heads)
      socket[how]()
      await until(() => closed > before)
    }
    await until(() => raisedGauges(edge).length === 0)
    t.pass('the fetch has ended')
    t.end()
  })

  void t.test(`${means}: a handed-over request can be the trial`, async (t) => {
    const { edge, origins } = await layGround(t, [(s) => s.resetAndDestroy()], options)
    for (let i = 0; i < 3; i++) await ask(edge.port, post('x'))
    t.strictSame(edge.suspects, ['caches/c0'])
    await ask(edge.port, post('x'))
    t.equal(edge.counters.global[GLOBAL.trials], 1)
    origins[0]!.script = (s) => s.end(whole('a'))
    t.equal(bodyOf((await ask(edge.port, post('x'))).text), 'a')
    t.equal(edge.counters.servers[SERVER.suspect], 0)
    t.end()
  })

  void t.test(`${means}: 1xx of a handed-over request reach 1.1 clients`, async (t) => {
    const { edge } = await layGround(
      t,
      [
        (s) => {
          s.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n')
          setTimeout(() => s.end(whole('\u00e9', 'X-Text: \u00e9')), 20)
        },
      ],
      options,
    )
    const modern = await ask(edge.port, post('x', 'Expect: 100-continue', 'X: \u00e9'))
    t.strictSame(statuses(modern.text), [100, 103, 200])
    t.match(modern.text, /\r\n\r\nHTTP\/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP\/1.1 200 /)
    t.strictSame(statuses((await ask(edge.port, post('x'))).text), [103, 200])
    t.strictSame(statuses((await ask(edge.port, post('x').replace('1.1', '1.0'))).text), [200])
    await sleep(0)
    t.end()
  })

  void t.test(`${means}: a large body goes through at the cache's pace`, async (t) => {
    const http = await import('node:http')
    const origin = http.createServer((request, response) => {
      let length = 0
      request.pause()
      setTimeout(() => request.resume(), 50)
      request.on('data', (bytes: Buffer) => (length += bytes.length))
      request.on('end', () => response.end(String(length)))
    })
    await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      origin.closeAllConnections()
      origin.close()
    })
    const { edge } = await layGround(t, [], {
      isPlain,
      ports: [(origin.address() as { port: number }).port],
      group: 'methods: [POST], bodies: allow, maxBody: 20MB',
    })
    const sent = await fetch(`http://127.0.0.1:${edge.port}/u/1/p`, {
      method: 'POST',
      body: new Uint8Array(5_000_000),
    })
    t.equal(await sent.text(), '5000000')
    t.end()
  })
}
