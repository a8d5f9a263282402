import t from 'tap'
import { forBox } from '../../common/config/for-box.ts'
import { parseConfig } from '../../common/config/parse-config.ts'

void t.test('a box sees its own name, and its part where that is told', (t) => {
  const parsed = parseConfig(
    `edge: lab
boxes: { a: { address: 10.0.0.1 } }
admin: { socket: "/run/{box}-{part}.sock" }`,
    { file: 'edge.yaml' },
  )
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  t.equal(forBox(parsed.config, 'a').admin.socket, '/run/a-{part}.sock')
  t.equal(forBox(parsed.config, 'a', 'router').admin.socket, '/run/a-router.sock')
  t.end()
})
