import t from 'tap'
import { spellingFault } from '../../../router/core/target.ts'
import { bytesOf } from './head-support.ts'

const fault = (path: string): string => {
  const bytes = bytesOf(`..${path}?/../`)
  return spellingFault(bytes, 2, 2 + path.length)?.reason ?? 'fine'
}

void t.test('two spellings of one photo are not both accepted', (t) => {
  for (const [path, expected] of [
    ['/.', 'dot_segment'],
    ['/..', 'dot_segment'],
    ['/u/./a', 'dot_segment'],
    ['/u/../a', 'dot_segment'],
    ['/u/1/..', 'dot_segment'],
    ['/u/%2e/a', 'dot_segment'],
    ['/u/%2E%2e/a', 'dot_segment'],
    ['/u/.%2e', 'dot_segment'],
    ['/u/%2e./a', 'dot_segment'],
    ['//', 'empty_segment'],
    ['//u/1', 'empty_segment'],
    ['/u//1', 'empty_segment'],
    ['/u/1//', 'empty_segment'],
    ['/u%2f1', 'encoded_separator'],
    ['/u%2F1', 'encoded_separator'],
    ['/u%5c1', 'encoded_separator'],
    ['/u%5C1', 'encoded_separator'],
    ['/u\\1', 'encoded_separator'],
    ['/u%00', 'encoded_separator'],
    ['/u%', 'percent'],
    ['/u%2', 'percent'],
    ['/u%2g', 'percent'],
    ['/u%g2', 'percent'],
    ['/u%%41', 'percent'],
    ['/u%u0041', 'percent'],
    ['/', 'fine'],
    ['/u/1/a.jpg', 'fine'],
    ['/u/1/', 'fine'],
    ['/u/...', 'fine'],
    ['/u/.../a', 'fine'],
    ['/u/.a/b./..c', 'fine'],
    ['/u/%2ea', 'fine'],
    ['/u/..;/a', 'fine'],
    ['/u;v=1/a', 'fine'],
    ['/u/%41%20%C3%A4', 'fine'],
    ['/u/%252e%252e/', 'fine'],
  ] as const) {
    t.equal(fault(path), expected, path)
  }
  t.end()
})

void t.test('the query is not looked at', (t) => {
  const bytes = bytesOf('/a?%zz//..')
  t.equal(spellingFault(bytes, 0, 2), undefined)
  t.end()
})
