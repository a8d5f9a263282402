import t from 'tap'
import { compileRoutes } from '../../../router/core/routes.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
type Routes = Parameters<typeof compileRoutes>[0]

/** The route that a request for this host and path takes. */
function match(routes: Routes, host: string, path: string): number {
  const bytes = encode(`GET ${path}?a=/b Host: ${host} HTTP`)
  const hostStart = 4 + encode(path).length + 5 + 1 + 6
  const pathEnd = 4 + encode(path).length
  return compileRoutes(routes).match(bytes, hostStart, hostStart + encode(host).length, 4, pathEnd)
}

void t.test('the first route that fits wins', (t) => {
  const routes: Routes = [
    { host: 'www.example.com', path: '/old/*' },
    { host: undefined, path: '/robots.txt' },
    { host: undefined, path: '/u/*' },
    { host: 'www.example.com', path: undefined },
  ]
  t.equal(match(routes, 'www.example.com', '/old/x'), 0)
  t.equal(match(routes, 'other', '/old/x'), -1)
  t.equal(match(routes, 'other', '/robots.txt'), 1)
  t.equal(match(routes, 'other', '/robots.txt2'), -1)
  t.equal(match(routes, 'other', '/robots.tx'), -1)
  t.equal(match(routes, 'www.example.com', '/u/1/2'), 2)
  t.equal(match(routes, 'www.example.com', '/U/1/2'), 3, 'a path is case-sensitive')
  t.equal(match([], 'other', '/'), -1)
  t.end()
})

void t.test('a host is compared without its case, port and last dot', (t) => {
  const routes: Routes = [{ host: 'cdn.example.com', path: undefined }]
  for (const host of [
    'cdn.example.com',
    'CDN.Example.COM:8080',
    'cdn.example.com.',
    'cdn.example.com.:80',
  ])
    t.equal(match(routes, host, '/'), 0, host)
  for (const host of ['', ':80', '.', 'cdn.example.co', 'xcdn.example.com', 'cdn_example.com'])
    t.equal(match(routes, host, '/'), -1, host)
  t.equal(match([{ host: '[2001:db8::1]', path: undefined }], '[2001:DB8::1]:443', '/'), 0)
  t.equal(match([{ host: '[2001:db8::1]', path: undefined }], '[2001:db8::1]', '/'), 0)
  t.end()
})

void t.test('a star takes any rest, none too; an empty path is "/"', (t) => {
  const routes: Routes = [
    { host: undefined, path: '/u/*' },
    { host: undefined, path: '/' },
    { host: undefined, path: '/pre*' },
  ]
  t.equal(match(routes, 'a', '/u/'), 0)
  t.equal(match(routes, 'a', '/u'), -1)
  t.equal(match(routes, 'a', ''), 1)
  t.equal(match(routes, 'a', '/prefix/x'), 2)
  t.end()
})
