import { writeFileSync } from 'node:fs'
import { nginxCommand, nginxGround, nginxTemporaries, versionOf } from '../nginx-common.ts'
import { freePorts } from '../stage.ts'
import type { Peer, PeerGround } from './peer.ts'

/** The fields of our own access log, as nginx names them. */
const LOG_FIELDS = [
  '"time":"$time_iso8601"',
  '"id":"$request_id"',
  '"client":"$remote_addr"',
  '"clientPort":$remote_port',
  '"listener":"$server_addr:$server_port"',
  '"tls":"$ssl_protocol"',
  '"cipher":"$ssl_cipher"',
  '"method":"$request_method"',
  '"host":"$host"',
  '"target":"$request_uri"',
  '"protocol":"$server_protocol"',
  '"status":$status',
  '"bytes":$body_bytes_sent',
  '"referer":"$http_referer"',
  '"userAgent":"$http_user_agent"',
  '"group":"photos"',
  '"user":"$photo_user"',
  '"cache":"$upstream_addr"',
  '"cacheStatus":"$upstream_status"',
  '"connectS":"$upstream_connect_time"',
  '"firstByteS":"$upstream_header_time"',
  '"upstreamS":"$upstream_response_time"',
  '"totalS":$request_time',
  '"end":"$request_completion"',
]

/**
 * nginx as a careful operator runs it in front of photo caches: consistent hash on the user,
 * keep-alive both ways, buffers that hold a whole photo (nothing goes to disk), a buffered log.
 */
export async function startNginx({ stage, cachePorts, certificate }: PeerGround): Promise<Peer> {
  const [httpPort = 0, httpsPort = 0, metricsPort = 0] = await freePorts(3)
  const logFile = stage.file('nginx-access.log')
  const config = `${nginxGround(stage, 'nginx')}pcre_jit on;
http {
  ${nginxTemporaries(stage)}
  log_format exchange escape=json '{${LOG_FIELDS.join(',')}}';
  access_log ${logFile} exchange buffer=64k flush=1s;
  server_tokens off;
  sendfile on;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 100000;
  reset_timedout_connection on;

  map $uri $photo_user {
    default "";
    "~^/u/(?<user>[^/]+)/." $user;
  }
  upstream caches {
    hash $photo_user consistent;
${cachePorts.map((port) => `    server 127.0.0.1:${port} max_fails=3 fail_timeout=1s;`).join('\n')}
    keepalive 128;
    keepalive_requests 100000;
    keepalive_timeout 60s;
  }

  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $request_id;
  proxy_set_header Via "1.1 nginx";
  proxy_connect_timeout 250ms;
  proxy_read_timeout 5s;
  proxy_next_upstream error timeout invalid_header;
  proxy_next_upstream_tries 3;
  proxy_buffer_size 64k;
  proxy_buffers 8 64k;
  proxy_busy_buffers_size 256k;
  proxy_max_temp_file_size 0;

  ssl_certificate ${certificate.certificate};
  ssl_certificate_key ${certificate.key};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:tls:10m;
  ssl_session_timeout 1h;
  ssl_buffer_size 16k;

  server {
    listen 127.0.0.1:${httpPort} backlog=4096;
    listen 127.0.0.1:${httpsPort} ssl backlog=4096;
    location /u/ { proxy_pass http://caches; }
  }
  server {
    listen 127.0.0.1:${metricsPort};
    access_log off;
    location /metrics { stub_status; }
  }
}
`
  const configFile = stage.file('nginx.conf')
  writeFileSync(configFile, config)
  const child = stage.start('nginx', nginxCommand(stage, configFile), { core: 'proxy' })
  const version = versionOf('nginx', '-v', /nginx\/([0-9.]+)/)
  const metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`
  return { name: 'nginx', version, child, httpPort, httpsPort, metricsUrl, logFile }
}
