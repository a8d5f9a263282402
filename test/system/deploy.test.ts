// Needs: root, fsfreeze, git, mkfs.ext4, npm, ip, nginx, nsenter, systemctl, unshare
// Who follows the lines under "Deploy" has a router that serves, and a mount check: on a box with
// systemd, word for word.

import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { RouterStatus } from '../../admin/schemas.ts'
import type { MountAnswerBody } from '../../healthcheck/core/mount-answer.ts'
import { Box } from './kit/box.ts'
import { Disk } from './kit/disk.ts'
import { Nginx } from './kit/nginx.ts'
import { freePorts } from './kit/ports.ts'
import { until } from './kit/wait.ts'

const ROOT = path.join(import.meta.dirname, '..', '..')
const CONFIG = '/etc/photoedge/edge.yaml'
const UNIT = 'photoedge-router'
const MOUNTCHECK_UNIT = 'photoedge-mountcheck'
const MOUNTCHECK_HEADING = '## The mount check of a cache server'
const LOG = '/var/log/photoedge/router-1-access.log'
const PHOTO = Buffer.from('a photo, byte by byte')

/** The lines of the first shell block under a heading. */
function linesUnder(heading: string, file: string): string[] {
  const text = fs.readFileSync(path.join(ROOT, file), 'utf8')
  const [, block = ''] = text.slice(text.indexOf(`${heading}\n`)).split(/^```(?:sh)?\n/m)
  return block.split('\n').filter(Boolean)
}

/** The tree as it is here, as a repository to clone. */
function repositoryOfTree(folder: string): string {
  const repository = path.join(folder, 'repository')
  const left = ['.git', '.tap', 'node_modules'].map((name) => path.join(ROOT, name))
  fs.cpSync(ROOT, repository, { recursive: true, filter: (source) => !left.includes(source) })
  const git = (...args: string[]) => execFileSync('git', ['-C', repository, ...args])
  git('init', '-q')
  git('add', '-A')
  git('-c', 'user.name=t', '-c', 'user.email=t@localhost', 'commit', '-q', '-m', 'as it is')
  return repository
}

/** Four nginx caches at the addresses that the example names. */
async function startCaches(t: Test, folder: string): Promise<void> {
  const photos = path.join(folder, 'photos')
  fs.mkdirSync(path.join(photos, 'u', '1'), { recursive: true })
  fs.writeFileSync(path.join(photos, 'u', '1', 'a.jpg'), PHOTO)
  fs.writeFileSync(path.join(photos, 'health'), '')
  fs.chmodSync(folder, 0o755)
  const [storagePort = 0] = await freePorts(1)
  const storage = Nginx.storage(storagePort, path.join(folder, 'storage'), photos)
  const caches = [1, 2, 3, 4].map((number) =>
    Nginx.cache({
      name: `cache-${number}`,
      address: `10.77.0.2${number}`,
      port: 80,
      folder: path.join(folder, `cache-${number}`),
      storagePort,
    }),
  )
  for (const nginx of [storage, ...caches]) {
    t.teardown(() => nginx.kill())
    await nginx.start()
  }
}

void t.test('the lines in deploy/README.md are those in README.md', (t) => {
  const lines = linesUnder('## Deploy', 'README.md')
  t.ok(lines.length >= 5)
  t.strictSame(linesUnder('# Deploy a photo router', 'deploy/README.md'), lines)
  t.end()
})

void t.test('a newcomer who follows them has a router that serves', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'photoedge-deploy-'))
  t.teardown(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  const box = await Box.boot({
    name: 'router-1',
    repository: repositoryOfTree(folder),
    address: '10.77.0.11/24',
    ours: ['10.77.0.1/24', ...[1, 2, 3, 4].map((number) => `10.77.0.2${number}/24`)],
  })
  t.teardown(() => box.destroy())
  await startCaches(t, folder)

  const lines = linesUnder('## Deploy', 'README.md').map((line) =>
    line.replace('THIS-REPOSITORY', '/srv/repository'),
  )
  // "Then put your boxes and caches in it": the example's are here; nobody checks their mounts.
  const place = lines.findIndex((line) =>
    line.includes(`install -D deploy/examples/edge.yaml ${CONFIG}`),
  )
  t.ok(place > 0, 'the line that installs the configuration')
  lines.splice(
    place + 1,
    0,
    `sed -i 's/check: \\[caches, caches-answer\\]/check: caches-answer/' ${CONFIG}`,
  )
  const deployed = box.run([IN_ITS_NETWORK, ...lines].join('\n'))
  t.equal(deployed.status, 0, deployed.output)

  const served = await until('photo', 15_000, fetchPhoto).catch(String)
  t.same(served, PHOTO, typeof served === 'string' ? journal(box) : 'the photo')
  t.equal((await fetch('http://10.77.0.11/.photoedge/health')).status, 200)
  const says = (script: string) => box.run(script).output.trim()
  t.equal(says(`ps -o user= -p $(systemctl show -P MainPID ${UNIT})`), 'photoedge')
  t.equal(says('nsenter --net=/proc/1/ns/net sysctl -n net.core.somaxconn'), '4096')
  t.equal(says(`systemctl is-enabled ${UNIT}`), 'enabled')
  t.equal(says(`systemctl show -P OOMPolicy ${UNIT}`), 'continue')

  t.strictSame(box.run(`systemctl reload ${UNIT}`), { status: 0, output: '' })
  box.run(`mv ${LOG} ${LOG}.1; systemctl kill -s USR1 --kill-whom=main ${UNIT}`)
  await until('line in the new log', 10_000, async () => {
    await fetchPhoto()
    return box.run(`grep -q /u/1/a.jpg ${LOG}`).status === 0 ? true : undefined
  })
  const photoedge = 'cd /opt/photoedge && node_modules/.bin/node bin/photoedge.ts'
  const status = says(`${photoedge} status -c ${CONFIG} --json`)
  t.match(JSON.parse(status), { state: 'running', workerRestarts: 0, generation: 2 })

  t.equal(box.run(`${photoedge} drain cache-2 -c ${CONFIG}; systemctl restart ${UNIT}`).status, 0)
  const drained = await until('answer of the next life', 10_000, () => {
    const { status, output } = box.run(`${photoedge} status -c ${CONFIG} --json`)
    return status === 0 ? (JSON.parse(output) as RouterStatus) : undefined
  })
  t.ok(drained.caches.find(({ name }) => name === 'cache-2')?.drained, 'a drain outlives a restart')
  t.equal(says(`systemctl stop ${UNIT}; systemctl show -P Result ${UNIT}`), 'success')

  // A name that the file has not: told at once, and mended without another start.
  const dropIn = `/run/systemd/system/${UNIT}.service.d`
  const misnamed = box.run(`mkdir -p ${dropIn}
    printf '[Service]\\nEnvironment=BOX=router-9\\n' >${dropIn}/box.conf
    systemctl daemon-reload; systemctl start ${UNIT}`)
  t.match(misnamed, { status: 1, output: /failed/ })
  t.match(journal(box), /There is no box "router-9"/)
  await until('sixth try', 20_000, () =>
    Number(says(`systemctl show -P NRestarts ${UNIT}`)) > 5 ? true : undefined,
  )
  box.run(`rm ${dropIn}/box.conf; systemctl daemon-reload`)
  t.same(await until('photo', 10_000, fetchPhoto).catch(String), PHOTO)

  // The same box as a cache server, as far as its mount check goes.
  await t.test('its disk frozen, the mount check restarts at once, and says why', async (t) => {
    const disk = await Disk.make(path.join(folder, 'disk'))
    t.teardown(() => disk.remove())
    await disk.mount()
    const { device } = disk
    const number = execFileSync('stat', ['-c', '%Hr %Lr', device], { encoding: 'utf8' }).trim()
    const plugged = box.run(`hostname cache-1; mkdir -p /srv/photos
      mknod ${device} b ${number}; mount ${device} /srv/photos`)
    t.same(plugged, { status: 0, output: '' })
    const followed = box.run(
      ['cd /opt/photoedge', ...linesUnder(MOUNTCHECK_HEADING, 'deploy/README.md')].join('\n'),
    )
    t.equal(followed.status, 0, followed.output)
    t.match(await until('200', 10_000, () => health(200)), { mounts: [{ path: '/srv/photos' }] })
    t.equal(says(`ps -o user= -p $(systemctl show -P MainPID ${MOUNTCHECK_UNIT})`), 'photoedge')
    t.equal(says(`systemctl show -P OOMPolicy ${MOUNTCHECK_UNIT}`), 'continue')
    await disk.freeze()
    await until('503', 10_000, () => health(503))
    const startMs = performance.now()
    t.equal(box.run(`systemctl restart ${MOUNTCHECK_UNIT}`).status, 0)
    const tookMs = Math.round(performance.now() - startMs)
    t.comment(`restarted in ${tookMs} ms`)
    t.ok(tookMs < 8000, 'no longer than to drain and to start')
    t.match(await until('503', 10_000, () => health(503)), {
      reason: /process \d+ still waits for its disk, since before the last start or reload$/,
    })
    await disk.thaw()
    await until('200', 10_000, () => health(200))
    box.run(`systemctl stop ${MOUNTCHECK_UNIT}; umount /srv/photos`)
  })
})

async function health(wanted: number): Promise<MountAnswerBody | undefined> {
  const answer = await fetch('http://10.77.0.11:8081/health', { signal: AbortSignal.timeout(1000) })
  const body = (await answer.json()) as MountAnswerBody
  if (answer.status === wanted) return body
  throw new Error(`${answer.status} ${body.reason}`)
}

async function fetchPhoto(): Promise<Buffer> {
  const answer = await fetch('http://10.77.0.11/u/1/a.jpg', { signal: AbortSignal.timeout(2000) })
  if (answer.status !== 200) throw new Error(`status ${answer.status}`)
  return Buffer.from(await answer.arrayBuffer())
}

/** What the lines change of the network is the box's; the packages come from outside it. */
const IN_ITS_NETWORK = 'sysctl() { nsenter --net=/proc/1/ns/net /sbin/sysctl "$@"; }'

const journal = (box: Box): string => box.run(`journalctl -u ${UNIT} --no-pager | tail -40`).output
