import t from 'tap'
import { Value } from 'typebox/value'
import { RouterStatusSchema } from '../../admin/schemas.ts'
import { createAdminServer } from '../../admin/server.ts'
import { sampleControl, sampleStatus } from './sample.ts'

const post = (url: string, payload: object, headers: Record<string, string> = {}) =>
  ({ method: 'POST', url, payload, headers }) as const

void t.test('the status goes out as the schema has it, whole', async (t) => {
  const app = createAdminServer(sampleControl(), { type: 'everybody' })
  const answer = await app.inject('/status')
  t.equal(answer.statusCode, 200)
  t.strictSame(answer.json(), sampleStatus)
  t.ok(Value.Check(RouterStatusSchema, answer.json()))
  t.strictSame((await app.inject('/events')).json(), { events: sampleStatus.events })
})

void t.test('metrics are text as Prometheus reads it', async (t) => {
  const app = createAdminServer(sampleControl(), { type: 'nobody' })
  const answer = await app.inject('/metrics')
  t.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  t.equal(answer.body, '# HELP edge_router_info\n')
})

void t.test(
  'healthz says that the process lives, readyz whether it may take traffic',
  async (t) => {
    let isReady = true
    const app = createAdminServer(sampleControl({ isReady: () => isReady }), { type: 'nobody' })
    t.equal((await app.inject('/readyz')).statusCode, 200)
    isReady = false
    t.equal((await app.inject('/readyz')).statusCode, 503)
    t.equal((await app.inject('/healthz')).statusCode, 200)
  },
)

void t.test('each change reaches the router with what was asked', async (t) => {
  const control = sampleControl()
  const app = createAdminServer(control, { type: 'everybody' })
  const asked: [string, object][] = [
    ['drain', { cache: 'cache-1' }],
    ['undrain', { cache: 'caches/cache-1' }],
    ['weight', { cache: 'cache-1', weight: 2.5 }],
    ['weight', { cache: 'cache-1', weight: null }],
    ['reload', {}],
    ['reload', { force: true }],
    ['simulate', { down: ['cache-1', 'cache-2'], userCount: 10, requestsPerSecond: 5 }],
  ]
  for (const [name, body] of asked) {
    t.equal((await app.inject(post(`/${name}`, body))).statusCode, 200, name)
  }
  t.strictSame(control.calls, asked)
})

void t.test(
  'what does not fit the schema is refused, and the router never hears of it',
  async (t) => {
    const control = sampleControl()
    const app = createAdminServer(control, { type: 'everybody' })
    for (const [url, body] of [
      ['/drain', {}],
      ['/drain', { cache: '' }],
      ['/drain', { cache: 7 }],
      ['/drain', { cache: 'a', force: true }],
      ['/weight', { cache: 'a', weight: '2' }],
      ['/weight', { cache: 'a', weight: -1 }],
      ['/weight', { cache: 'a' }],
      ['/simulate', { down: [] }],
      ['/simulate', { down: 'a' }],
      ['/reload', { force: 'yes' }],
    ] as const) {
      const answer = await app.inject(post(url, body))
      t.equal(answer.statusCode, 400, `${url} ${JSON.stringify(body)}`)
      t.equal(answer.json<{ problems: string[] }>().problems.length, 1)
    }
    t.equal((await app.inject('/explain')).statusCode, 400)
    t.equal((await app.inject({ method: 'POST', url: '/drain', payload: '{' })).statusCode, 415)
    t.strictSame(control.calls, [])
  },
)

void t.test('a refusal has its status and its reasons', async (t) => {
  const problems = ['edge.yaml:3:1: There is no key rooter, did you mean router?', 'second']
  const app = createAdminServer(
    sampleControl({ reload: () => Promise.resolve({ ok: false, status: 422, problems }) }),
    { type: 'everybody' },
  )
  const answer = await app.inject(post('/reload', {}))
  t.equal(answer.statusCode, 422)
  t.strictSame(answer.json(), { problems })
})

void t.test(
  'a fault of ours is a 500 with a sentence, and the next request is served',
  async (t) => {
    const app = createAdminServer(
      sampleControl({
        metrics: () => Promise.reject(new Error('no sums')),
      }),
      { type: 'everybody' },
    )
    const answer = await app.inject('/metrics')
    t.equal(answer.statusCode, 500)
    t.strictSame(answer.json(), { problems: ['The router could not answer /metrics: no sums'] })
    t.equal((await app.inject('/healthz')).statusCode, 200)
    t.strictSame((await app.inject('/nothing')).json(), { problems: ['There is no GET /nothing'] })
  },
)

void t.test('a method that a path does not have is a 405 with those that it has', async (t) => {
  const control = sampleControl()
  const app = createAdminServer(control, { type: 'token', token: 'secret' })
  for (const [method, url, allow] of [
    ['POST', '/metrics', 'GET, HEAD'],
    ['DELETE', '/healthz', 'GET, HEAD'],
    ['PUT', '/explain?url=/', 'GET, HEAD'],
    ['OPTIONS', '/status', 'GET, HEAD'],
    ['GET', '/drain?cache=cache-1', 'POST'],
    ['GET', '/simulate', 'POST'],
  ] as const) {
    const answer = await app.inject({ method, url })
    t.equal(answer.statusCode, 405, `${method} ${url}`)
    t.equal(answer.headers.allow, allow)
    const [path = ''] = url.split('?', 1)
    const problem = `There is no ${method} ${path}: it takes ${allow}`
    t.strictSame(answer.json(), { problems: [problem] })
  }
  const unread = { headers: { 'content-type': 'text/x' }, payload: 'x' }
  t.equal((await app.inject({ method: 'POST', url: '/status', ...unread })).statusCode, 405)
  t.equal((await app.inject({ method: 'POST', url: '/nothing' })).statusCode, 404)
  t.equal((await app.inject({ method: 'HEAD', url: '/metrics' })).statusCode, 200)
  t.strictSame(control.calls, [])
})

void t.test('without a token nothing can be changed over http, and all can be read', async (t) => {
  const control = sampleControl()
  const app = createAdminServer(control, { type: 'nobody' })
  for (const url of ['/drain', '/undrain', '/weight', '/reload']) {
    const answer = await app.inject(
      post(url, { cache: 'cache-1' }, { authorization: 'Bearer secret' }),
    )
    t.equal(answer.statusCode, 403, url)
    t.match(answer.json(), { problems: [/admin\.token is not set/] })
  }
  t.strictSame(control.calls, [])
  t.equal((await app.inject('/status')).statusCode, 200)
  t.equal((await app.inject(post('/simulate', { down: ['a'] }))).statusCode, 200)
})

void t.test('with a token only who shows it may change things', async (t) => {
  const control = sampleControl()
  const app = createAdminServer(control, { type: 'token', token: 'secret' })
  for (const authorization of [
    '',
    'Bearer',
    'Bearer secre',
    'Bearer secret2',
    'secret',
    'Bearer SECRET',
    'Basic secret',
  ]) {
    const answer = await app.inject(post('/drain', { cache: 'a' }, { authorization }))
    t.equal(answer.statusCode, 401, authorization)
  }
  t.strictSame(control.calls, [])
  for (const authorization of ['Bearer secret', 'bearer  secret']) {
    const answer = await app.inject(post('/drain', { cache: 'a' }, { authorization }))
    t.equal(answer.statusCode, 200, authorization)
  }
  t.equal(control.calls.length, 2)
})
