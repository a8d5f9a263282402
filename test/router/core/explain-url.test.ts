import t from 'tap'
import { parseConfig } from '../../../common/config/parse-config.ts'
import { explainUrl } from '../../../router/core/explain-url.ts'
import type { Standing } from '../../../router/core/standing.ts'

const parsed = parseConfig(
  `edge: test
boxes: { r1: { address: 127.0.0.1 } }
pools: { caches: { check: health, servers: { c1: 127.0.0.1:8080 } } }
checks: { health: { type: http, path: /health } }
router:
  boxes: [r1]
  listen: [{ address: "127.0.0.1:80" }]
  groups: { photos: { user: "/u/{user}/{photo}", pool: caches } }
  routes: [{ path: "/u/*", group: photos }]
admin: { socket: ./r.sock, http: off }
`,
  { file: 'router.yaml', folder: '.' },
)
if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
const { config } = parsed

function whyWith(change: Partial<Standing>, ready = [1, 2]): string {
  const standing: Standing = {
    state: 'up',
    factor: 1,
    returningMs: undefined,
    isDrained: false,
    weight: 1,
    reason: 'status 200',
    suspectIn: [],
    held: 'no',
    ...change,
  }
  const state = {
    config,
    standing: () => standing,
    shardTables: new Map(),
    workers: { ready, count: 2 },
  }
  return explainUrl(state, '/u/1/2.jpg', undefined).why
}

void t.test('a verdict is told as it is: plain, kept, suspected or down', (t) => {
  const usable = "The user's home c1 is usable: up"
  t.equal(whyWith({}), usable)
  t.equal(whyWith({ held: 'panic' }), `${usable}, kept up: the checks suspect themselves`)
  t.equal(whyWith({ suspectIn: [2] }), `${usable}, suspect in worker 2: until a check of it passes`)
  t.match(whyWith({ suspectIn: [2] }, [2]), /passed by .*, but it is asked all the same/)
  t.match(
    whyWith({ state: 'down', factor: 0, reason: 'status 503', held: 'flapping' }),
    /not usable \(down: status 503\)/,
  )
  t.end()
})
