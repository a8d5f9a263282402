import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { until } from './wait.ts'

export interface VarnishInit {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly folder: string
  /** Where its storage lies. */
  readonly photoFolder: string
  readonly storagePort: number
}

/** A real Varnish in front of storage, its photos in a file on a disk. Ends by the returned function. */
export async function startVarnish(init: VarnishInit): Promise<() => Promise<void>> {
  const { name, address, port, folder, photoFolder, storagePort } = init
  fs.mkdirSync(folder, { recursive: true })
  const vcl = path.join(folder, 'cache.vcl')
  fs.writeFileSync(
    vcl,
    `vcl 4.1;
backend storage { .host = "127.0.0.1"; .port = "${storagePort}"; }
sub vcl_recv { if (req.url == "/health") { return (synth(200)); } }
sub vcl_backend_response { set beresp.ttl = 1h; }
sub vcl_deliver {
  set resp.http.X-Cache-Name = "${name}";
  if (obj.hits > 0) { set resp.http.X-Cache-Status = "HIT"; }
  else { set resp.http.X-Cache-Status = "MISS"; }
}
`,
  )
  const storage = `file,${path.join(photoFolder, 'photos.bin')},32m`
  const where = ['-n', path.join(folder, 'work'), '-a', `${address}:${port}`, '-T', 'none']
  const args = ['-F', '-j', 'none', ...where, '-f', vcl, '-s', storage]
  const child = spawn('varnishd', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  await until(`${name} on port ${port}`, 20_000, async () => {
    if (child.exitCode !== null) throw new Error(said)
    return (await fetch(`http://${address}:${port}/health`)).status
  })
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
}
