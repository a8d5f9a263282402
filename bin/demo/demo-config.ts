/** What the demo's router is to serve, and from where. */
export interface DemoConfig {
  readonly publicPort: number
  /** Metrics and the rest of the admin API, for reading. */
  readonly adminPort: number
  readonly caches: readonly { readonly name: string; readonly port: number }[]
}

/** The configuration file of the demo's router, as an operator would write it. */
export function demoConfigText({ publicPort, adminPort, caches }: DemoConfig): string {
  const servers = caches.map(({ name, port }) => `      ${name}: "127.0.0.1:${port}"\n`).join('')
  return `# Written by "photoedge demo": one photo router in front of ${caches.length} caches, on loopback.
edge: demo

boxes:
  router-1: { address: 127.0.0.1 }

pools:
  caches:
    check: caches
    servers:
${servers}
router:
  boxes: [router-1]
  workers: 1
  drainDeadline: 1s
  listen:
    - { address: 127.0.0.1:${publicPort} }
  accessLog: { file: access.log, format: json }
  groups:
    photos: { user: "/u/{user}/{photo}", pool: caches, fallback: spread, rampUp: 5s }
  routes:
    - { path: /u/*, group: photos }

checks:
  caches: { type: http, path: /health, interval: 500ms, timeout: 300ms, fall: 2, rise: 1 }

admin:
  socket: router.sock
  http: 127.0.0.1:${adminPort}
`
}
