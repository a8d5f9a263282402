import t from 'tap'
import type { Config } from '../../../common/config/config.ts'
import { parseConfig } from '../../../common/config/parse-config.ts'
import { explainUrl } from '../../../router/core/explain-url.ts'
import type { Standing } from '../../../router/core/standing.ts'

const text = `edge: test
boxes: { r1: { address: 127.0.0.1 } }
pools: { caches: { check: health, servers: { c1: 127.0.0.1:8080 } } }
checks: { health: { type: http, path: /health } }
router:
  boxes: [r1]
  listen: [{ address: "127.0.0.1:80" }]
  groups: { photos: { user: "/u/{user}/{photo}", pool: caches } }
  routes: [{ path: "/u/*", group: photos }]
admin: { socket: ./r.sock, http: off }
`

function configOf(source: string): Config {
  const parsed = parseConfig(source, { file: 'router.yaml', folder: '.' })
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.config
}
const plain = configOf(text)

const up: Standing = {
  state: 'up',
  factor: 1,
  returningMs: undefined,
  isDrained: false,
  weight: 1,
  reason: 'status 200',
  suspectIn: [],
  held: 'no',
}

function whyWith(change: Partial<Standing>, ready = [1, 2], config = plain): string {
  const standing: Standing = { ...up, ...change }
  const state = {
    config,
    standing: () => standing,
    shardTables: new Map(),
    workers: { ready, count: 2 },
  }
  return explainUrl(state, '/u/1/2.jpg', undefined).why
}

void t.test('what is no request of a photo is refused as the router refuses it', (t) => {
  const state = {
    config: plain,
    standing: () => up,
    shardTables: new Map(),
    workers: { ready: [], count: 2 },
  }
  const refused = { answer: 'refused with 400', caches: [] }
  for (const url of ['/u/1/2.jpg#f', 'http://x/u/1/2.jpg#f', 'http://x#f'])
    t.match(explainUrl(state, url, undefined), {
      ...refused,
      why: 'The request target holds a character that must be encoded',
    })
  for (const url of ['ftp://x/', 'ws://x/u/1/2.jpg'])
    t.match(explainUrl(state, url, undefined), {
      ...refused,
      why: 'The request target is neither a path nor an http URL',
    })
  t.match(explainUrl(state, 'u/1/2.jpg', undefined), { path: '/u/1/2.jpg', choice: 'c1' })
  t.match(explainUrl(state, 'HTTP://x/u/1/2.jpg?u=ftp://x/', undefined), { choice: 'c1' })
  t.end()
})

void t.test('a verdict is told as it is: plain, kept, suspected or down', (t) => {
  const usable = "The user's home c1 is usable: up"
  t.equal(whyWith({}), usable)
  t.equal(whyWith({ held: 'panic' }), `${usable}, kept up: the checks suspect themselves`)
  t.equal(whyWith({ suspectIn: [2] }), `${usable}, suspect in worker 2: until a check of it passes`)
  const byTcp = configOf(text.replace('type: http, path: /health', 'type: tcp'))
  t.match(
    whyWith({ suspectIn: [2] }, [], byTcp),
    /suspect in worker 2: one request at a time tries/,
  )
  t.match(whyWith({ suspectIn: [2] }, [2]), /passed by .*, but it is asked all the same/)
  t.match(
    whyWith({ state: 'down', factor: 0, reason: 'status 503', held: 'flapping' }),
    /not usable \(down: status 503\)/,
  )
  t.end()
})
