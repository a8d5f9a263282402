import t from 'tap'
import { encodeText } from '../../../router/core/ascii.ts'
import { PARSE } from '../../../router/core/field-section.ts'
import { METHODS } from '../../../router/core/methods.ts'
import { RequestHead } from '../../../router/core/request-head.ts'

void t.test('a plain head is read in one call', (t) => {
  const head = new RequestHead({ targetBytes: 8192, headBytes: 32768, fields: 200 })
  const bytes = encodeText('GET /u/1/a.jpg?s=1 HTTP/1.1\r\nHost: a.example\r\n\r\nrest')
  head.reset()
  t.equal(head.parse(bytes, bytes.length), PARSE.complete)
  t.equal(head.method, METHODS.GET)
  t.equal(head.length, bytes.length - 4)
  t.end()
})
