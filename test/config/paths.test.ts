import t from 'tap'
import { folderOf, resolvePath } from '../../common/config/paths.ts'

void t.test('a path is seen from its folder', (t) => {
  for (const [folder, path, resolved] of [
    ['/etc/photoedge', 'cdn.pem', '/etc/photoedge/cdn.pem'],
    ['/etc/photoedge', './tls//cdn.pem', '/etc/photoedge/tls/cdn.pem'],
    ['/etc/photoedge', '../cdn.pem', '/etc/cdn.pem'],
    ['/etc', '../../cdn.pem', '/cdn.pem'],
    ['/etc', '/srv/cdn.pem', '/srv/cdn.pem'],
    ['/', 'cdn.pem', '/cdn.pem'],
    ['.', 'cdn.pem', 'cdn.pem'],
    ['conf', '../../cdn.pem', '../cdn.pem'],
    ['..', '../cdn.pem', '../../cdn.pem'],
    ['conf', '..', '.'],
  ] as const)
    t.equal(resolvePath(folder, path), resolved, `${path} in ${folder}`)
  t.end()
})

void t.test('the folder of a file', (t) => {
  t.equal(folderOf('edge.yaml'), '.')
  t.equal(folderOf('/edge.yaml'), '/')
  t.equal(folderOf('conf/edge.yaml'), 'conf')
  t.end()
})
