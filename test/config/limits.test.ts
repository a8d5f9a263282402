import t from 'tap'
import { parseConfig } from '../../common/config/parse-config.ts'

void t.test('aliases that would unfold into millions of values are refused at once', (t) => {
  const words = Array.from({ length: 100 }, (_, i) => `w${i}`).join(', ')
  const tracks = Array.from({ length: 100 }, () => '*command').join(', ')
  const instances = Array.from({ length: 100 }, (_, i) => `    v${i}: { <<: , track: *tracks }`)
  const text = `edge: lab
boxes: { d: { address: 10.0.0.1 } }
director:
  boxes: d
  vrrp:
    first: { track: &tracks [&command { script: [${words}] }, ${tracks}] }
${instances.join('\n')}
checks: { late: { type: photo } }
`
  const parsed = parseConfig(text, { file: 'conf/edge.yaml' })
  const messages = parsed.ok ? [] : parsed.problems.map(({ message }) => message)
  const found = messages.filter((message) => message.includes('aliases'))
  t.notOk(
    messages.some((message) => message.includes('late')),
    'and no more is read',
  )
  t.strictSame(found, ['The aliases of this file expand to more than 200000 values'])
  t.end()
})
