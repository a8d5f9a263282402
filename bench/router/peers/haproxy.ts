import { writeFileSync } from 'node:fs'
import { CACHE_HEALTH_PATH } from '../caches.ts'
import { versionOf } from '../nginx-common.ts'
import { freePorts } from '../stage.ts'
import type { Peer, PeerGround } from './peer.ts'

/** The fields of our own access log, as HAProxy names them. */
const LOG_FIELDS = [
  '"time":"%tr"',
  '"id":"%ID"',
  '"client":"%ci"',
  '"clientPort":%cp',
  '"listener":"%fi:%fp"',
  '"tls":"%sslv"',
  '"cipher":"%sslc"',
  '"method":"%HM"',
  '"host":"%[capture.req.hdr(0),json]"',
  '"target":"%[capture.req.uri,json]"',
  '"protocol":"%HV"',
  '"status":%ST',
  '"bytes":%B',
  '"referer":"%[capture.req.hdr(1),json]"',
  '"userAgent":"%[capture.req.hdr(2),json]"',
  '"group":"photos"',
  '"user":"%[var(txn.user),json]"',
  '"cache":"%b/%s"',
  '"retries":%rc',
  '"connectMs":%Tc',
  '"firstByteMs":%Tr',
  '"totalMs":%Ta',
  '"end":"%tsc"',
]

/**
 * HAProxy as a careful operator runs it: consistent hash on the user, kernel splicing, one
 * thread, HTTP checks, a JSON log. Without a syslog server it writes the log to a file itself,
 * line by line, which is how it logs anywhere.
 */
export async function startHaproxy({ stage, cachePorts, certificate }: PeerGround): Promise<Peer> {
  const [httpPort = 0, httpsPort = 0, metricsPort = 0] = await freePorts(3)
  const logFile = stage.file('haproxy-access.log')
  const format = `{${LOG_FIELDS.join(',')}}`
  const config = `global
  nbthread 1
  maxconn 8192
  maxpipes 512
  log stdout format raw local0 info
  tune.pipesize 262144
  tune.ssl.cachesize 20000
  ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
  mode http
  option http-keep-alive
  option splice-response
  option redispatch 1
  retries 3
  http-reuse always
  timeout connect 250ms
  timeout client 60s
  timeout server 5s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout check 500ms

frontend photos
  bind 127.0.0.1:${httpPort} name http backlog 4096
  bind 127.0.0.1:${httpsPort} name https ssl crt ${certificate.combined} alpn http/1.1 backlog 4096
  log global
  capture request header Host len 64
  capture request header Referer len 256
  capture request header User-Agent len 256
  unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-Id
  http-request set-var(txn.user) path,field(3,/)
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http unless { ssl_fc }
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  http-request add-header Via "1.1 haproxy"
  log-format '${format}'
  use_backend caches if { path_beg /u/ }

frontend metrics
  bind 127.0.0.1:${metricsPort}
  http-request use-service prometheus-exporter if { path /metrics }

backend caches
  balance hash path,field(3,/)
  hash-type consistent sdbm avalanche
  option httpchk GET ${CACHE_HEALTH_PATH}
  default-server inter 1s fall 3 rise 1
${cachePorts.map((port, index) => `  server c${index} 127.0.0.1:${port} check`).join('\n')}
`
  const configFile = stage.file('haproxy.cfg')
  writeFileSync(configFile, config)
  const child = stage.start('haproxy', ['haproxy', '-db', '-f', configFile], {
    core: 'proxy',
    stdoutFile: logFile,
  })
  const version = versionOf('haproxy', '-v', /version ([0-9.]+)/)
  const metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`
  return { name: 'HAProxy', version, child, httpPort, httpsPort, metricsUrl, logFile }
}
