import t from 'tap'
import { demoConfigText } from '../../bin/demo/demo-config.ts'
import { parseConfig } from '../../common/config/parse-config.ts'

void t.test('the demo writes a configuration without a problem or a warning', (t) => {
  const caches = [1, 2, 3, 4].map((n) => ({ name: `cache-${n}`, port: 8090 + n }))
  const parsed = parseConfig(demoConfigText({ publicPort: 8080, adminPort: 9080, caches }), {
    file: '/x/edge.yaml',
  })
  t.match(parsed, { ok: true, warnings: [] })
  const config = parsed.ok ? parsed.config : undefined
  t.equal(config?.router?.listeners[0]?.name, '127.0.0.1:8080')
  t.same(
    config?.pools['caches']?.servers.map(({ name, port }) => `${name} ${String(port)}`),
    ['cache-1 8091', 'cache-2 8092', 'cache-3 8093', 'cache-4 8094'],
  )
  t.equal(config?.admin.socket, '/x/router.sock')
  t.end()
})
