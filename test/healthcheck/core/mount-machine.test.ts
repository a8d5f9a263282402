import t from 'tap'
import type { MountConfig, MountcheckConfig } from '../../../common/config/config.ts'
import { monotonicMs } from '../../../common/net/units.ts'
import type { KeptMount } from '../../../healthcheck/core/kept-mounts.ts'
import { answerOf, answerStandsUntil } from '../../../healthcheck/core/mount-answer.ts'
import {
  createMountMachine,
  isUnderWay,
  nextMountDeadline,
  stepMounts,
} from '../../../healthcheck/core/mount-machine.ts'
import type { MountEffect, MountEvent } from '../../../healthcheck/core/mount-machine.ts'
import type { MountEntry } from '../../../healthcheck/core/mount-info.ts'
import { judgeMount } from '../../../healthcheck/core/mount-report.ts'
import type { MountReport } from '../../../healthcheck/core/mount-report.ts'
import { WALL_MS } from '../world.ts'

const mount = (changes: Partial<MountConfig> = {}): MountConfig => ({
  path: '/srv/photos',
  source: undefined,
  type: undefined,
  options: [],
  minFree: { type: 'share', pct: 5 },
  minInodes: { type: 'share', pct: 5 },
  intervalMs: 1000,
  deadlineMs: 1000,
  canary: undefined,
  ...changes,
})

const entry: MountEntry = {
  id: 90,
  mountPoint: '/srv/photos',
  type: 'xfs',
  source: '/dev/sdb1',
  options: ['rw', 'noatime'],
}

const well: MountReport = {
  entry,
  hiddenBy: undefined,
  linkTarget: undefined,
  elsewhere: undefined,
  isSource: true,
  space: { sizeBytes: 1000, freeBytes: 500, inodes: 100, freeInodes: 50 },
  latencyMs: 2,
  token: 'abc',
  canarySha256: undefined,
  errorCount: 0,
  failure: undefined,
}

const space = { sizeBytes: 1000, freeBytes: 500, inodes: 100, freeInodes: 50 }
const roomy = { sizeBytes: 64 << 20, freeBytes: 25 << 20 }
const failure = { step: 'write', code: 'EIO', message: '' } as const
const judgements: {
  name: string
  config?: Partial<MountConfig>
  report: Partial<MountReport>
  reason: string
}[] = [
  { name: 'a mount that is well', report: {}, reason: 'well' },
  { name: 'nothing mounted', report: { entry: undefined }, reason: '/srv/photos is not mounted' },
  {
    name: 'mounted elsewhere',
    config: { source: '/dev/sdb1' },
    report: { entry: undefined, elsewhere: '/mnt/x' },
    reason: '/srv/photos is not mounted: /dev/sdb1 is mounted at /mnt/x',
  },
  {
    name: 'a link to a mount',
    config: { source: '/dev/sdb1' },
    report: { entry: undefined, linkTarget: '/mnt/x', elsewhere: '/mnt/x' },
    reason: '/srv/photos is not mounted: a symbolic link leads from there to /mnt/x, name that',
  },
  {
    name: 'hidden by a mount above',
    config: { source: '/dev/sdc1', type: 'ext4' },
    report: { hiddenBy: { ...entry, source: '/dev/sdd1', mountPoint: '/srv' }, isSource: false },
    reason: '/srv/photos is mounted, but hidden by /dev/sdd1, mounted at /srv',
  },
  {
    name: 'another source',
    config: { source: '/dev/sdc1' },
    report: { isSource: false },
    reason: '/srv/photos is mounted from /dev/sdb1 instead of /dev/sdc1',
  },
  {
    name: 'another type',
    config: { type: 'ext4' },
    report: {},
    reason: '/srv/photos has type xfs instead of ext4',
  },
  {
    name: 'a missing option',
    config: { options: ['noatime', 'nodev'] },
    report: {},
    reason: '/srv/photos is mounted without the option nodev',
  },
  {
    name: 'a read-only mount',
    report: {
      entry: { ...entry, options: ['ro'] },
      failure: { ...failure, code: 'EROFS' },
    },
    reason: '/srv/photos is mounted read-only',
  },
  {
    name: 'too little space',
    report: { space: { ...space, freeBytes: 49 } },
    reason: '/srv/photos has 4.9 % of its bytes free, less than 5 %',
  },
  {
    name: 'a full disk, by its numbers rather than by the write that failed',
    report: { space: { ...space, freeBytes: 0 }, failure: { ...failure, code: 'ENOSPC' } },
    reason: '/srv/photos has 0.0 % of its bytes free, less than 5 %',
  },
  {
    name: 'an amount of space',
    config: { minFree: { type: 'amount', amount: 501 } },
    report: {},
    reason: '/srv/photos has 500 of its bytes free, less than 501',
  },
  {
    name: 'too few inodes',
    report: { space: { ...space, freeInodes: 4 } },
    reason: '/srv/photos has 4.0 % of its inodes free, less than 5 %',
  },
  {
    name: 'a file system without a number of inodes',
    report: { space: { ...space, inodes: 0, freeInodes: 0 } },
    reason: 'well',
  },
  {
    name: 'a device out of space beneath a file system that is not',
    report: { space: { ...space, ...roomy }, failure: { ...failure, code: 'ENOSPC' } },
    reason:
      '/srv/photos cannot be written: no space left on the device beneath, though the file system itself has 25 MB free',
  },
  {
    name: 'a file system that is full to its last block',
    config: { minFree: { type: 'amount', amount: 0 } },
    report: { space: { ...space, freeBytes: 4096 }, failure: { ...failure, code: 'ENOSPC' } },
    reason: '/srv/photos cannot be written: no space left',
  },
  {
    name: 'a file system with no inode left',
    config: { minInodes: { type: 'amount', amount: 0 } },
    report: {
      space: { ...space, ...roomy, freeInodes: 0 },
      failure: { ...failure, code: 'ENOSPC' },
    },
    reason: '/srv/photos cannot be written: no inode left',
  },
  {
    name: 'no space, and nothing known of it',
    report: { space: undefined, failure: { ...failure, code: 'ENOSPC' } },
    reason: '/srv/photos cannot be written: no space or no inode left',
  },
  {
    name: 'a file system that made itself read-only after errors',
    report: { failure: { ...failure, code: 'EROFS' }, errorCount: 1 },
    reason:
      '/srv/photos cannot be written: it has made itself read-only, as after an error; its file system has counted 1 error',
  },
  {
    name: 'a mount that is read-only after errors',
    report: { entry: { ...entry, options: ['ro'] }, errorCount: 2 },
    reason: '/srv/photos is mounted read-only; its file system has counted 2 errors',
  },
  {
    name: 'a failed write',
    report: { failure },
    reason: '/srv/photos cannot be written: I/O error',
  },
  {
    name: 'a link where the file should be',
    report: { failure: { ...failure, code: 'ELOOP' } },
    reason: '/srv/photos cannot be written: a symbolic link lies in its place',
  },
  {
    name: 'an error nobody thought of',
    report: { failure: { step: 'sync', code: 'EWEIRD', message: 'what' } },
    reason: '/srv/photos cannot be synced: EWEIRD what',
  },
  {
    name: 'a wrong canary',
    config: { canary: { file: 'canary.jpg', sha256: 'AA' } },
    report: { canarySha256: 'bb' },
    reason: '/srv/photos has a wrong canary file canary.jpg: its SHA-256 is bb',
  },
  {
    name: 'the right canary',
    config: { canary: { file: 'c', sha256: 'AA' } },
    report: { canarySha256: 'aa' },
    reason: 'well',
  },
  {
    name: 'errors that the file system counted',
    report: { errorCount: 3 },
    reason: 'well, but its file system has counted 3 errors',
  },
  {
    name: 'a mount point with a newline in its name',
    config: { path: '/srv/a\nb' },
    report: { entry: undefined },
    reason: '/srv/a b is not mounted',
  },
  {
    name: 'a device mounted at a point with a newline in its name',
    config: { source: '/dev/sdb1' },
    report: { entry: undefined, elsewhere: '/mnt/a\nb\u0007' },
    reason: '/srv/photos is not mounted: /dev/sdb1 is mounted at /mnt/a b',
  },
]
for (const { name, config, report, reason } of judgements) {
  void t.test(`judged: ${name}`, (t) => {
    const judged = judgeMount(mount(config), { ...well, ...report })
    t.same(judged, { isUp: reason.startsWith('well'), reason })
    t.end()
  })
}

/** A machine with its clock. Its processes are ready at once, but for the paths in `slow`. */
class Checker {
  readonly machine
  readonly slow = new Set<string>()
  /** What was to be started, in order. */
  readonly started: string[] = []
  readonly told: string[] = []
  /** What was given to keep, each time. */
  readonly kept: (readonly KeptMount[])[] = []
  nowMs = 0

  constructor(
    changes: Partial<MountcheckConfig> = {},
    kept: readonly KeptMount[] = [],
    {
      startsAtOnce = 100,
      slow = [],
    }: { readonly startsAtOnce?: number; readonly slow?: readonly string[] } = {},
  ) {
    this.machine = createMountMachine({ startsAtOnce, kept })
    for (const path of slow) this.slow.add(path)
    this.configure(changes)
  }

  configure(changes: Partial<MountcheckConfig>): MountEffect[] {
    const listen = { boxes: [], address: '', port: 0 }
    const config = { ...listen, partial: 'weight', mounts: [mount()], scripts: [] } as const
    return this.send({ type: 'configure', config: { ...config, ...changes } })
  }

  send(event: MountEvent): MountEffect[] {
    const moment = { now: monotonicMs(this.nowMs), wallMs: WALL_MS + this.nowMs }
    const effects = stepMounts(this.machine, event, moment)
    for (const effect of effects) {
      if (effect.type === 'tell')
        this.told.push(`${this.nowMs} ${effect.event.event}: ${effect.event.reason}`)
      if (effect.type === 'keep') this.kept.push(effect.mounts)
    }
    return effects.flatMap((effect) => {
      if (effect.type !== 'start') return [effect]
      this.started.push(effect.path)
      return this.slow.has(effect.path) ? [] : this.ready(effect.path)
    })
  }

  ready(path = '/srv/photos'): MountEffect[] {
    return this.send({ type: 'ready', path })
  }

  gone(how: string, path = '/srv/photos'): MountEffect[] {
    return this.send({ type: 'gone', path, how })
  }

  report(run: number, report: Partial<MountReport> = {}): MountEffect[] {
    return this.send({ type: 'report', run, report: { ...well, ...report } })
  }

  at(nowMs: number): this {
    this.nowMs = nowMs
    return this
  }

  answer() {
    return answerOf(this.machine, 'boot-1', monotonicMs(this.nowMs))
  }
}

const isLook = ({ type }: MountEffect): boolean => type === 'look'

void t.test('before the first look the answer is 503, then as the look says', (t) => {
  const checker = new Checker()
  t.match(checker.answer(), {
    httpStatus: 503,
    body: {
      status: 'down',
      weight: 0,
      cache: null,
      reason: '/srv/photos has not been looked at yet',
    },
  })
  checker.at(5).report(1)
  t.strictSame(checker.answer(), {
    httpStatus: 200,
    body: {
      status: 'up',
      reason: 'all is well',
      weight: 1,
      boot: 'boot-1',
      cache: 'abc',
      mounts: [
        {
          path: '/srv/photos',
          up: true,
          reason: 'well',
          since: new Date(WALL_MS + 5).toISOString(),
          latencyMs: 2,
          freeBytes: 500,
          freeInodes: 50,
          source: '/dev/sdb1',
          type: 'xfs',
          options: ['rw', 'noatime'],
        },
      ],
      scripts: [],
    },
  })
  t.equal(nextMountDeadline(checker.machine), 1000, 'from start to start')
  t.end()
})

void t.test(
  'a silence past the deadline is 503, grows, never makes a second look, and ends by itself',
  (t) => {
    const checker = new Checker()
    checker.at(5).report(1)
    t.match(checker.at(1000).send({ type: 'deadline' }), [{ type: 'look', run: 2 }])
    t.equal(nextMountDeadline(checker.machine), 2000)
    checker.at(1999).send({ type: 'deadline' })
    t.equal(checker.answer().httpStatus, 200)
    checker.at(2000).send({ type: 'deadline' })
    t.match(checker.answer(), {
      httpStatus: 503,
      body: { reason: 'no answer from /srv/photos for 1 s' },
    })
    t.same(checker.at(60_000).send({ type: 'deadline' }), [])
    t.equal(nextMountDeadline(checker.machine), undefined)
    t.match(checker.answer().body.reason, 'no answer from /srv/photos for 59 s')
    t.match(checker.answer().body, { cache: 'abc' }, 'who it is, is still known')
    // The disk is back: this late answer is not believed, the next one, at once, is.
    t.match(checker.at(61_000).report(2), [{ type: 'look', run: 3 }])
    t.match(checker.answer().body.reason, '/srv/photos answered only after 60 s')
    checker.at(61_005).report(3)
    t.equal(checker.answer().httpStatus, 200)
    t.same(checker.told, [
      '5 mount up: well',
      '2000 mount down: no answer from /srv/photos for 1 s',
      '61005 mount up: well',
    ])
    t.end()
  },
)

void t.test('an answer stands until the next second of a silence, else for ever', (t) => {
  const checker = new Checker()
  const standsUntil = () => answerStandsUntil(checker.machine, monotonicMs(checker.nowMs))
  t.equal(standsUntil(), undefined)
  checker.at(1000).send({ type: 'deadline' })
  t.equal(standsUntil(), 2000)
  checker.at(2999)
  t.equal(standsUntil(), 3000)
  checker.report(1)
  t.equal(standsUntil(), undefined)
  t.end()
})

void t.test('a late answer is late though no deadline event came first', (t) => {
  const checker = new Checker()
  checker.at(1001).report(1)
  t.match(checker.answer().body.reason, '/srv/photos answered only after 1.001 s')
  t.end()
})

const eight = Array.from({ length: 8 }, (_, index) => mount({ path: `/srv/${index}` }))

void t.test('a part of the mounts gone leaves the rest its share by size as last seen', (t) => {
  const checker = new Checker({ mounts: eight })
  for (let run = 1; run <= 8; run += 1) checker.report(run)
  t.equal(checker.answer().body.weight, 1)
  t.match(checker.answer().body.cache, /^[0-9a-f]{16}$/)
  const cache = checker.answer().body.cache
  checker.at(1000).send({ type: 'deadline' })
  checker.report(9, { entry: undefined, space: undefined, token: undefined })
  t.match(checker.answer(), {
    httpStatus: 200,
    body: {
      status: 'up',
      weight: 0.875,
      reason: '1 of 8 mounts failing: /srv/0 is not mounted',
      cache,
    },
  })
  checker.report(10, { space: { ...space, sizeBytes: 9000, freeBytes: 9000 } })
  t.equal(checker.answer().body.weight, 0.9375, '15,000 of 16,000 bytes')
  checker.report(11, { token: 'other' })
  t.not(checker.answer().body.cache, cache, 'one emptied disk is another cache')
  t.end()
})

void t.test('partial: down takes a part for the whole', (t) => {
  const checker = new Checker({ mounts: eight, partial: 'down' })
  for (let run = 1; run <= 7; run += 1) checker.report(run)
  checker.report(8, { entry: undefined })
  t.match(checker.answer(), { httpStatus: 503, body: { status: 'down', weight: 0 } })
  t.end()
})

void t.test('all mounts gone is down, whatever partial says', (t) => {
  const checker = new Checker({ mounts: eight })
  for (let run = 1; run <= 8; run += 1) checker.report(run, { entry: undefined })
  t.match(checker.answer(), { httpStatus: 503, body: { weight: 0 } })
  t.end()
})

void t.test('any failing script is 503 with its reason, in its own rhythm', (t) => {
  const scripts = [{ command: ['/bin/logic', 'x'], intervalMs: 5000, timeoutMs: 2000 }]
  const checker = new Checker({ scripts })
  checker.report(2)
  t.match(checker.answer(), { httpStatus: 503, body: { reason: '/bin/logic: has not run yet' } })
  checker.send({ type: 'script', run: 1, isUp: true, reason: 'exit 0' })
  t.equal(checker.answer().httpStatus, 200)
  checker.at(1000).send({ type: 'deadline' })
  checker.report(3)
  t.match(checker.at(5000).send({ type: 'deadline' }), [
    { type: 'look' },
    { type: 'script', run: 5 },
  ])
  checker.report(4)
  checker.send({ type: 'script', run: 5, isUp: false, reason: 'exit 1: queue is full' })
  t.match(checker.answer(), {
    httpStatus: 503,
    body: {
      status: 'down',
      reason: '/bin/logic: exit 1: queue is full',
      scripts: [{ command: '/bin/logic x', up: false, reason: 'exit 1: queue is full' }],
    },
  })
  t.end()
})

void t.test('what the checker itself lacks takes no script down for ten seconds', (t) => {
  const scripts = [{ command: ['/bin/logic'], intervalMs: 60_000, timeoutMs: 2000 }]
  const checker = new Checker({ mounts: [], scripts })
  const own = "no descriptors left (the prober's own)"
  let run = 1
  const fail = () => {
    checker.send({ type: 'script', run, isUp: false, isVoid: true, reason: own })
    return checker.answer()
  }
  t.match(fail(), { body: { reason: '/bin/logic: has not run yet' } }, 'not known yet')
  t.match(checker.at(1000).send({ type: 'deadline' }), [{ type: 'script', run: 2 }])
  checker.send({ type: 'script', run: 2, isUp: true, reason: 'exit 0' })
  t.match(checker.at(61_000).send({ type: 'deadline' }), [{ type: 'script', run: 3 }])
  for (run = 3; run < 13; run += 1) {
    t.match(fail(), { httpStatus: 200, body: { scripts: [{ up: true, reason: 'exit 0' }] } })
    const at = 61_000 + (run - 2) * 1000
    t.match(checker.at(at).send({ type: 'deadline' }), [{ type: 'script', run: run + 1 }])
  }
  t.match(fail(), { httpStatus: 503, body: { reason: `/bin/logic: ${own}` } })
  t.match(checker.at(72_000).send({ type: 'deadline' }), [{ type: 'script', run: 14 }])
  run = 14
  t.equal(fail().httpStatus, 503, 'and it stays so')
  checker.at(73_000).send({ type: 'deadline' })
  checker.send({ type: 'script', run: 15, isUp: true, reason: 'exit 0' })
  t.equal(checker.answer().httpStatus, 200)
  t.end()
})

void t.test('draining is 503 whatever the disks say', (t) => {
  const checker = new Checker()
  checker.report(1)
  checker.send({ type: 'drain' })
  t.match(checker.answer(), { httpStatus: 503, body: { status: 'draining', weight: 0 } })
  t.end()
})

void t.test('a reload keeps what is known of the mounts that stay', (t) => {
  const checker = new Checker()
  checker.report(1)
  const mounts = [mount(), mount({ path: '/srv/new' })]
  t.match(checker.at(10).configure({ mounts }), [{ type: 'look', mount: { path: '/srv/new' } }])
  t.match(checker.answer().body.mounts, [{ up: true }, { up: false }])
  t.end()
})

/** What a reload changes while a look is under way, and what that look reports. */
const changed: { name: string; to: Partial<MountConfig>; old: Partial<MountReport> }[] = [
  { name: 'an added canary', to: { canary: { file: 'c', sha256: 'aa' } }, old: {} },
  {
    name: 'another canary',
    to: { canary: { file: 'c', sha256: 'aa' } },
    old: { canarySha256: 'bb' },
  },
  { name: 'an added source', to: { source: '/dev/sdb1' }, old: {} },
]
for (const { name, to, old } of changed) {
  void t.test(`a look under way says nothing of ${name}: the next one, at once, does`, (t) => {
    const canary = 'canarySha256' in old ? { file: 'c', sha256: 'bb' } : undefined
    const checker = new Checker({ mounts: [mount({ intervalMs: 10_000, canary })] })
    checker.report(1, old)
    checker.at(10_000).send({ type: 'deadline' })
    const mounts = [mount({ intervalMs: 10_000, ...to })]
    const between = [mount({ intervalMs: 10_000, canary: { file: 'd', sha256: 'dd' } })]
    checker.at(10_050).configure({ mounts: between })
    t.same(checker.at(10_100).configure({ mounts }), [], 'no second one beside it')
    t.match(checker.at(10_900).report(2, old), [{ type: 'look', run: 3, mount: to }])
    t.match(checker.answer(), { httpStatus: 200, body: { reason: 'all is well' } })
    checker.at(10_905).report(3, { canarySha256: 'cc', isSource: false })
    t.equal(checker.answer().httpStatus, 503, 'by what is configured now')
    t.equal(nextMountDeadline(checker.machine), 20_900, 'and one only')
    t.end()
  })
}

void t.test('a look under way that hangs is told over a reload that changes its mount', (t) => {
  const checker = new Checker()
  checker.report(1)
  checker.at(1000).send({ type: 'deadline' })
  const mounts = [mount({ canary: { file: 'c', sha256: 'aa' } })]
  checker.at(1100).configure({ mounts })
  t.equal(nextMountDeadline(checker.machine), 2000)
  t.same(checker.at(2000).send({ type: 'deadline' }).filter(isLook), [])
  t.match(checker.answer().body.reason, 'no answer from /srv/photos for 1 s')
  t.same(checker.at(5000).configure({ mounts: [mount()] }), [])
  t.equal(checker.started.length, 1)
  t.match(checker.at(6000).report(2), [{ type: 'look', run: 3, mount: { canary: undefined } }])
  t.end()
})

void t.test('a process that dies in a look of before a reload is not started without end', (t) => {
  const checker = new Checker()
  checker.report(1)
  checker.at(1000).send({ type: 'deadline' })
  checker.slow.add('/srv/photos')
  checker.at(1100).configure({ mounts: [mount({ source: '/dev/sdc1' })] })
  checker.at(2000).send({ type: 'deadline' })
  checker.at(2100).gone('ended with SIGKILL')
  t.equal(checker.started.length, 2, 'at once')
  checker.at(2101).gone('cannot be run: EAGAIN')
  checker.at(2102).gone('cannot be run: EAGAIN')
  t.equal(checker.started.length, 3)
  t.equal(nextMountDeadline(checker.machine), 3102)
  t.end()
})

void t.test('a process that dies in a look of before a reload is replaced for a new one', (t) => {
  const checker = new Checker()
  checker.report(1)
  checker.at(1000).send({ type: 'deadline' })
  checker.at(1100).configure({ mounts: [mount({ source: '/dev/sdc1' })] })
  const look = { type: 'look', run: 3, mount: { source: '/dev/sdc1' } }
  t.match(checker.at(1500).gone('ended with SIGKILL'), [{ type: 'tell' }, look])
  t.same(checker.at(1505).report(3, { isSource: false }).filter(isLook), [])
  const reason = '/srv/photos is mounted from /dev/sdb1 instead of /dev/sdc1'
  t.match(checker.answer().body, { reason }, 'by what is configured now')
  t.end()
})

void t.test('a mount that a reload changes is looked at at once', (t) => {
  const intervalMs = 3_600_000
  const checker = new Checker({ mounts: [mount({ intervalMs, source: '/dev/sdc1' })] })
  checker.report(1, { isSource: false })
  t.equal(checker.answer().httpStatus, 503)
  const mounts = [mount({ intervalMs, source: '/dev/sdb1' })]
  t.match(checker.at(60_000).configure({ mounts }), [{ type: 'look', run: 2 }])
  checker.at(60_100).configure({ mounts: [mount({ intervalMs, source: '/dev/sdb' })] })
  checker.at(60_200).configure({ mounts })
  t.match(checker.report(2, { isSource: false }), [{ type: 'look', run: 3 }])
  checker.at(60_205).report(3)
  t.equal(checker.answer().httpStatus, 200, 'after a look under way, too')
  t.end()
})

const SLOW_SCRIPT = { command: ['/bin/logic'], intervalMs: 3_600_000, timeoutMs: 2000 }

/** A box of a mount and a script that are looked at once an hour, first at 0. */
function hourly(): Checker {
  const mounts = [mount({ intervalMs: 3_600_000 })]
  const checker = new Checker({ mounts, scripts: [SLOW_SCRIPT] })
  checker.send({ type: 'script', run: 1, isUp: true, reason: 'exit 0' })
  checker.report(2)
  return checker
}
const every = (intervalMs: number): Partial<MountcheckConfig> => ({
  mounts: [mount({ intervalMs })],
  scripts: [{ ...SLOW_SCRIPT, intervalMs }],
})

void t.test('an interval that a reload shortens counts from the last look on', (t) => {
  const checker = hourly()
  t.same(checker.at(4000).configure(every(10_000)), [], 'not over yet')
  t.equal(nextMountDeadline(checker.machine), 10_000)
  t.match(checker.at(10_000).send({ type: 'deadline' }), [{ type: 'look' }, { type: 'script' }])
  const late = hourly()
  t.match(late.at(60_000).configure(every(10_000)), [{ type: 'look' }, { type: 'script' }], 'over')
  const under = new Checker(every(3_600_000))
  under.at(100).configure(every(10_000))
  under.at(200).send({ type: 'script', run: 1, isUp: true, reason: 'exit 0' })
  t.same(under.report(2).filter(isLook), [])
  t.equal(nextMountDeadline(under.machine), 10_000, 'of a look under way, too')
  const dying = hourly()
  dying.at(3_600_000).send({ type: 'deadline' })
  dying.slow.add('/srv/photos')
  for (const ms of [10, 20]) dying.at(3_600_000 + ms).gone('ended with SIGKILL')
  dying.at(3_600_030).configure(every(60_000))
  t.equal(nextMountDeadline(dying.machine), 3_601_020, 'and puts no retry off')
  t.end()
})

void t.test(
  'a reload that shortens no interval and changes nothing brings no look forward',
  (t) => {
    const checker = hourly()
    for (let at = 1; at <= 1000; at += 1) {
      t.same(checker.at(at * 1000).configure(every(3_600_000 + (at % 2))), [])
    }
    t.ok(Number(nextMountDeadline(checker.machine)) >= 3_600_000)
    const other = startAnew()
    other.at(1050).gone('ended with SIGKILL')
    other.at(1100).gone('ended with SIGKILL')
    other.at(1200).configure({})
    t.equal(nextMountDeadline(other.machine), 2100, 'nor shortens the pause between two starts')
    t.end()
  },
)

void t.test(
  'a script whose timeout a reload changes runs again at once, not twice at a time',
  (t) => {
    const checker = hourly()
    const mounts = [mount({ intervalMs: 3_600_000 })]
    const patient = [{ ...SLOW_SCRIPT, timeoutMs: 9000 }]
    const [run] = checker.at(1000).configure({ mounts, scripts: patient })
    t.match(run, { type: 'script', run: 3, script: { timeoutMs: 9000 } })
    t.same(checker.at(1100).configure({ mounts, scripts: [SLOW_SCRIPT] }), [])
    const over = { type: 'script', run: 3, isUp: true, reason: 'exit 0' } as const
    t.match(checker.at(1200).send(over), [{ type: 'script', run: 4, script: { timeoutMs: 2000 } }])
    checker.send({ ...over, run: 4 })
    t.equal(nextMountDeadline(checker.machine), 3_600_000)
    t.end()
  },
)

void t.test(
  'a box of several mounts is down until each was looked at or is past its deadline',
  (t) => {
    const checker = new Checker({ mounts: eight })
    const saysNothingYet = (reason: string) => {
      const body = { status: 'down', weight: 0, cache: null, reason }
      t.match(checker.answer(), { httpStatus: 503, body })
    }
    saysNothingYet('8 of 8 mounts not looked at yet: /srv/0 and others')
    checker.report(1, { entry: undefined, space: undefined, token: undefined })
    saysNothingYet('7 of 8 mounts not looked at yet: /srv/1 and others')
    for (let run = 2; run <= 7; run += 1) checker.report(run)
    checker.at(999).send({ type: 'deadline' })
    saysNothingYet('1 of 8 mounts not looked at yet: /srv/7')
    checker.at(1000).send({ type: 'deadline' })
    const reason = '2 of 8 mounts failing: /srv/0 is not mounted'
    t.match(checker.answer(), { httpStatus: 200, body: { status: 'up', weight: 0.75, reason } })
    t.match(checker.answer().body.mounts[7]?.reason, 'no answer from /srv/7 for 1 s')
    t.match(checker.told, [
      '0 mount down: /srv/0 is not mounted',
      ...Array<string>(6).fill('0 mount up: well'),
      '1000 mount down: no answer from /srv/7 for 1 s',
    ])
    t.end()
  },
)

const two = ['/srv/a', '/srv/b'].map((path) => mount({ path }))
const sized = (sizeBytes: number): Partial<MountReport> => ({ space: { ...space, sizeBytes } })
const GONE = { entry: undefined, space: undefined, token: undefined } as const

/** A box with one mount that is up; then one is added to its configuration. */
function addOne(changes: Partial<MountcheckConfig> = {}): Checker {
  const checker = new Checker({ mounts: two.slice(0, 1), ...changes })
  checker.report(1)
  checker.at(100).configure({ mounts: two, ...changes })
  return checker
}

for (const partial of ['weight', 'down'] as const) {
  const was = { status: 'up', weight: 1, cache: 'abc', reason: 'all is well' }

  void t.test(
    `partial ${partial}: a mount added by a reload counts from its first look on`,
    (t) => {
      const checker = addOne({ partial })
      t.match(checker.answer(), { httpStatus: 200, body: was }, 'for nothing yet')
      checker.at(120).report(2, { token: 'def' })
      t.match(checker.answer(), { httpStatus: 200, body: { ...was, cache: /^[0-9a-f]{16}$/ } })
      t.end()
    },
  )

  void t.test(`partial ${partial}: an added mount that is broken is told with its reason`, (t) => {
    const checker = addOne({ partial })
    checker.at(120).report(2, GONE)
    const reason = '1 of 2 mounts failing: /srv/b is not mounted'
    t.match(checker.answer(), {
      httpStatus: partial === 'weight' ? 200 : 503,
      body: { weight: partial === 'weight' ? 0.5 : 0, reason },
    })
    t.match(checker.told, ['0 mount up: well', '120 mount down: /srv/b is not mounted'])
    t.end()
  })

  void t.test(
    `partial ${partial}: an added mount that never answers fails at its deadline`,
    (t) => {
      const checker = addOne({ partial })
      checker.at(1099).send({ type: 'deadline' })
      t.match(checker.answer(), { httpStatus: 200, body: was })
      checker.at(1100).send({ type: 'deadline' })
      const reason = '1 of 2 mounts failing: no answer from /srv/b for 1 s'
      t.match(checker.answer().body, { weight: partial === 'weight' ? 0.5 : 0, reason })
      t.end()
    },
  )
}

void t.test('a mount taken away by a reload counts no more, unless another is to stand in', (t) => {
  const checker = new Checker({ mounts: two })
  checker.report(1)
  checker.at(1000).send({ type: 'deadline' })
  t.match(checker.answer().body, { weight: 0.5, cache: null, reason: /no answer from .srv.b / })
  checker.report(3)
  checker.at(1010).configure({ mounts: [two[0]!, mount({ path: '/srv/c' })] })
  t.match(checker.answer().body, { weight: 0.5, reason: /^1 of 2 mounts failing: .* for 1 s/ })
  t.equal(answerStandsUntil(checker.machine, monotonicMs(1010)), 2000, 'its silence grows')
  checker.at(1020).report(4, { token: 'c' })
  t.match(checker.answer().body, { weight: 1, reason: 'all is well' })
  checker.at(1030).configure({ mounts: [mount({ path: '/srv/c' })] })
  t.match(checker.answer().body, { weight: 1, cache: 'c' }, 'at once')
  checker.at(1040).configure({ mounts: [mount({ path: '/srv/d' })] })
  t.match(checker.answer(), { httpStatus: 200, body: { cache: 'c' } })
  checker.at(1050).report(5, GONE)
  t.match(checker.answer(), { httpStatus: 503, body: { reason: '/srv/d is not mounted' } })
  t.end()
})

void t.test('a script added or changed by a reload counts from its first result on', (t) => {
  const checker = new Checker()
  checker.report(1)
  const scripts = [{ command: ['/bin/logic', 'x'], intervalMs: 5000, timeoutMs: 2000 }]
  checker.at(100).configure({ scripts })
  t.match(checker.answer(), { httpStatus: 200, body: { reason: 'all is well' } })
  t.match(checker.answer().body.scripts, [{ up: false, reason: 'has not run yet' }])
  checker.send({ type: 'script', run: 2, isUp: false, reason: 'exit 1: queue is full' })
  const reason = '/bin/logic: exit 1: queue is full'
  t.match(checker.answer(), { httpStatus: 503, body: { reason } })
  t.equal(checker.told.at(-1), '100 script down: exit 1: queue is full')
  const command = ['/bin/logic', 'y']
  checker.at(200).configure({ scripts: [{ ...scripts[0]!, command }] })
  t.equal(checker.answer().httpStatus, 200, 'the one that failed is no more')
  checker.send({ type: 'script', run: 3, isUp: true, reason: 'exit 0' })
  t.equal(checker.answer().httpStatus, 200)
  t.end()
})

void t.test('scripts whose arguments only look the same are two, also over a reload', (t) => {
  const commands = [
    ['/bin/logic', 'a b'],
    ['/bin/logic', 'a', 'b'],
  ]
  const scripts = commands.map((command) => ({ command, intervalMs: 5000, timeoutMs: 2000 }))
  const checker = new Checker({ mounts: [], scripts })
  checker.send({ type: 'script', run: 1, isUp: true, reason: 'exit 0: one' })
  checker.send({ type: 'script', run: 2, isUp: true, reason: 'exit 0: other' })
  checker.at(100).configure({ mounts: [], scripts })
  const reasons = checker.answer().body.scripts.map(({ reason }) => reason)
  t.same(reasons, ['exit 0: one', 'exit 0: other'])
  t.end()
})

void t.test('the identity does not depend on the order of the mounts', (t) => {
  const identity = (mounts: MountConfig[]) => {
    const checker = new Checker({ mounts })
    mounts.forEach(({ path }, index) => checker.report(index + 1, { token: path }))
    return checker.answer().body.cache
  }
  t.match(identity(two), /^[0-9a-f]{16}$/)
  t.equal(identity([...two].reverse()), identity(two))
  t.end()
})

void t.test('sizes and tokens outlive a restart; what the disk says wins', (t) => {
  const before = new Checker({ mounts: two })
  before.report(1, { ...sized(10), token: 'a' })
  before.report(2, { ...sized(90), token: 'b' })
  const { cache } = before.answer().body
  const [kept] = before.kept
  t.same(kept, [
    { path: '/srv/a', sizeBytes: 10, token: 'a' },
    { path: '/srv/b', sizeBytes: 90, token: 'b' },
  ])
  const after = new Checker({ mounts: two }, kept)
  t.match(after.answer(), { httpStatus: 503, body: { cache: null } }, 'nothing counts unseen')
  after.report(1, { ...sized(10), token: 'a' })
  after.report(2, GONE)
  t.match(after.answer(), { httpStatus: 200, body: { weight: 0.1, cache } })
  t.same(after.kept, [], 'nothing new')
  after.at(1000).send({ type: 'deadline' })
  after.report(4, { ...sized(30), token: 'other' })
  t.match(after.answer().body, { weight: 1 })
  t.not(after.answer().body.cache, cache, 'another disk is another cache')
  t.same(after.kept.at(-1)?.[1], { path: '/srv/b', sizeBytes: 30, token: 'other' })
  t.end()
})

void t.test('what is kept is given once all is known, and anew only for what matters', (t) => {
  const checker = new Checker({ mounts: two })
  checker.report(1, sized(1000))
  t.same(checker.kept, [])
  checker.at(1000).send({ type: 'deadline' })
  t.match(checker.kept, [[{ sizeBytes: 1000 }, { sizeBytes: undefined, token: undefined }]])
  checker.report(2, sized(1000))
  t.equal(checker.kept.length, 2)
  checker.report(3, sized(1010))
  t.equal(checker.kept.length, 2, 'a size that varies by a hundredth')
  checker.at(2000).send({ type: 'deadline' })
  checker.report(5, sized(1020))
  t.equal(checker.kept.length, 3)
  checker.configure({ mounts: two.slice(1) })
  t.match(checker.kept.at(-1), [{ path: '/srv/b' }])
  t.equal(checker.kept.at(-1)?.length, 1, 'a mount that is configured no more is forgotten')
  t.end()
})

void t.test('a process that dies in a look is not the mount: another one looks again', (t) => {
  const checker = new Checker()
  checker.report(1)
  checker.at(1000).send({ type: 'deadline' })
  t.match(checker.at(1003).gone('it ended with SIGKILL'), [
    { type: 'tell' },
    { type: 'look', run: 3 },
  ])
  t.match(checker.answer(), { httpStatus: 200, body: { reason: 'all is well' } })
  checker.at(1010).gone('it ended with SIGKILL')
  t.match(checker.answer().body.reason, '/srv/photos cannot be checked: it ended with SIGKILL')
  t.match(checker.at(2003).send({ type: 'deadline' }), [{ type: 'look', run: 4 }])
  checker.at(2010).gone('it ended with SIGKILL')
  t.equal(checker.started.length, 3, 'only once, until there was a report')
  t.match(checker.at(3003).send({ type: 'deadline' }), [{ type: 'look', run: 5 }])
  checker.report(5)
  checker.at(4003).send({ type: 'deadline' })
  t.match(checker.at(4004).gone('it ended with SIGKILL'), [
    { type: 'tell' },
    { type: 'look', run: 7 },
  ])
  const again = 'it ended with SIGKILL: another one looks again'
  t.same(checker.told, [
    '0 mount up: well',
    `1003 mount process died: ${again}`,
    '1010 mount down: /srv/photos cannot be checked: it ended with SIGKILL',
    '3003 mount up: well',
    `4004 mount process died: ${again}`,
  ])
  t.end()
})

void t.test('one that is killed in a silence past the deadline leaves the mount down', (t) => {
  const checker = new Checker()
  checker.at(1000).send({ type: 'deadline' })
  checker.at(1500).gone('it ended with SIGKILL')
  t.match(checker.answer().body.reason, '/srv/photos cannot be checked: it ended with SIGKILL')
  t.equal(checker.started.length, 2)
  t.end()
})

void t.test('one that dies while nobody waits for it is replaced for the next look', (t) => {
  const checker = new Checker()
  checker.report(1)
  checker.at(500).gone('ended with SIGKILL')
  t.match(checker.answer(), { httpStatus: 200, body: { reason: 'all is well' } })
  checker.slow.add('/srv/photos')
  t.same(checker.at(1000).send({ type: 'deadline' }), [])
  t.match(checker.at(1900).ready(), [{ type: 'look', run: 2 }], 'its start blames nobody')
  checker.at(2600).report(2)
  t.equal(checker.answer().httpStatus, 200)
  t.same(checker.told, [
    '0 mount up: well',
    '500 mount process died: ended with SIGKILL: another one looks again',
  ])
  t.end()
})

/** A box that is up, whose process dies while idle: the next one is in its start. */
function startAnew(): Checker {
  const checker = new Checker()
  checker.report(1)
  checker.at(500).gone('ended with SIGKILL')
  checker.slow.add('/srv/photos')
  checker.at(1000).send({ type: 'deadline' })
  t.same(checker.started.length, 2)
  return checker
}

void t.test('a process that dies in its start is not the mount: another one is started', (t) => {
  const checker = startAnew()
  checker.at(1050).gone('ended with SIGKILL')
  t.equal(checker.started.length, 3, 'at once')
  checker.at(1100).gone('ended with SIGKILL')
  t.equal(checker.started.length, 3)
  t.equal(nextMountDeadline(checker.machine), 2100, 'not without a pause')
  t.match(checker.answer(), { httpStatus: 200, body: { reason: 'all is well' } })
  checker.at(2100).send({ type: 'deadline' })
  t.match(checker.at(2200).ready(), [{ type: 'look', run: 2 }])
  checker.at(2210).report(2)
  t.equal(checker.answer().httpStatus, 200)
  const died = 'mount process died: ended with SIGKILL: another one looks again'
  t.same(checker.told, ['0 mount up: well', `500 ${died}`, `1050 ${died}`, `1100 ${died}`])
  t.end()
})

void t.test('one that dies in its start again and again is down with that reason, once', (t) => {
  const checker = startAnew()
  const downAt = () => checker.told.filter((told) => told.includes('mount down'))
  const failToStart = () => {
    const startedCount = checker.started.length
    checker.at(checker.nowMs + 1).gone('cannot be run: EAGAIN')
    if (checker.started.length > startedCount) return
    checker.at(nextMountDeadline(checker.machine)!).send({ type: 'deadline' })
  }
  while (downAt().length === 0 && checker.nowMs < 60_000) failToStart()
  const reason = '/srv/photos cannot be checked: cannot be run: EAGAIN'
  t.match(checker.answer(), { httpStatus: 503, body: { reason } })
  t.same(downAt(), [`11012 mount down: ${reason}`], 'in as long as one has that hangs in its start')
  const told = checker.told.length
  for (let round = 1; round <= 20; round += 1) failToStart()
  t.equal(checker.told.length, told, 'then tried on by the interval, and told no more')
  checker.ready()
  checker.report(2)
  t.equal(checker.answer().httpStatus, 200)
  t.end()
})

const how = 'process 7 still waits for its disk'

void t.test('a mount with which a former process hangs is down at once, until it ends', (t) => {
  const checker = new Checker({}, [], { slow: ['/srv/photos'] })
  checker.at(5).send({ type: 'blocked', path: '/srv/photos', how })
  const reason = `/srv/photos cannot be checked: ${how}`
  t.match(checker.answer(), { httpStatus: 503, body: { reason } })
  t.equal(nextMountDeadline(checker.machine), undefined, 'it is not tried anew meanwhile')
  t.same(checker.at(60_000).send({ type: 'deadline' }), [])
  t.equal(checker.started.length, 1)
  checker.at(60_100).send({ type: 'unblocked', path: '/srv/photos' })
  t.equal(checker.started.length, 2, 'at once')
  t.match(checker.answer().body.reason, '/srv/photos has not been looked at again yet')
  t.match(checker.at(60_200).ready(), [{ type: 'look', run: 1 }])
  checker.at(60_205).report(1)
  t.match(checker.answer(), { httpStatus: 200, body: { reason: 'all is well' } })
  t.same(checker.told, [`5 mount down: ${reason}`, '60205 mount up: well'])
  t.end()
})

void t.test('mounts whose former processes end together are not started all at once', (t) => {
  const slow = two.map(({ path }) => path)
  const checker = new Checker({ mounts: two }, [], { startsAtOnce: 1, slow })
  for (const path of slow) checker.send({ type: 'blocked', path, how })
  t.same(checker.started, slow, 'one that is blocked holds none of the others up')
  for (const path of slow) checker.at(1000).send({ type: 'unblocked', path })
  t.same(checker.started.slice(2), ['/srv/a'])
  checker.at(1100).ready('/srv/a')
  t.same(checker.started.slice(2), slow)
  t.end()
})

void t.test('what was last seen of a mount stays in the answer while nobody looks at it', (t) => {
  const checker = new Checker()
  checker.report(1)
  const seen = { source: '/dev/sdb1', type: 'xfs', freeBytes: 500, options: ['rw', 'noatime'] }
  checker.slow.add('/srv/photos')
  checker.at(500).gone('ended with SIGKILL')
  checker.at(1000).send({ type: 'deadline' })
  checker.at(1005).send({ type: 'blocked', path: '/srv/photos', how })
  t.match(checker.answer(), { httpStatus: 503, body: { mounts: [{ ...seen, up: false }] } })
  checker.at(2000).send({ type: 'unblocked', path: '/srv/photos' })
  checker.at(2100).ready()
  checker.at(2101).gone('ended with SIGKILL')
  checker.at(2200).ready()
  checker.at(2201).gone('ended with SIGKILL')
  const reason = '/srv/photos cannot be checked: ended with SIGKILL'
  t.match(checker.answer(), { httpStatus: 503, body: { mounts: [{ ...seen, reason }] } })
  t.end()
})

void t.test('a stall of the checker itself is no mount that is silent or late', (t) => {
  const checker = new Checker({ mounts: two })
  checker.report(1)
  checker.report(2)
  checker.at(1000).send({ type: 'deadline' })
  t.notOk(checker.at(1010).report(3).length)
  // From 1020 to 2520 nothing ran.
  t.same(checker.at(2520).send({ type: 'late', lateMs: 1460 }), [], 'and nothing begins by it')
  checker.send({ type: 'deadline' })
  checker.report(4)
  t.match(checker.answer(), { httpStatus: 200, body: { weight: 1, reason: 'all is well' } })
  t.same(checker.told, ['0 mount up: well', '0 mount up: well'])
  t.end()
})

void t.test('a mount that hangs is told at its deadline and the own lateness', (t) => {
  const checker = new Checker()
  checker.report(1)
  checker.at(1000).send({ type: 'deadline' })
  checker.at(1500).send({ type: 'late', lateMs: 300 })
  t.equal(nextMountDeadline(checker.machine), 2300)
  checker.at(2300).send({ type: 'deadline' })
  t.match(checker.answer(), {
    httpStatus: 503,
    body: { reason: 'no answer from /srv/photos for 1 s' },
  })
  checker.at(9000).send({ type: 'late', lateMs: 5000 })
  t.match(
    checker.answer().body.reason,
    'no answer from /srv/photos for 7 s',
    'and nothing undoes it',
  )
  t.end()
})

void t.test('a checker that is late all the time finds a mount that hangs, too', (t) => {
  const checker = new Checker()
  for (let now = 100; now <= 5000; now += 100) {
    checker.at(now).send({ type: 'late', lateMs: 90 })
    checker.send({ type: 'deadline' })
  }
  t.same(checker.told, ['2100 mount down: no answer from /srv/photos for 1 s'])
  checker.report(1)
  t.equal(nextMountDeadline(checker.machine), 6000)
  checker.at(5500).send({ type: 'late', lateMs: 400 })
  t.equal(nextMountDeadline(checker.machine), 6400, 'each look has its own')
  t.end()
})

void t.test('nor is a start blamed for a stall, or one that hangs ever let off', (t) => {
  const checker = new Checker({}, [], { slow: ['/srv/photos'] })
  checker.at(12_000).send({ type: 'late', lateMs: 9000 })
  checker.send({ type: 'deadline' })
  t.same(checker.told, [])
  t.equal(nextMountDeadline(checker.machine), 19_000)
  checker.at(18_000).send({ type: 'late', lateMs: 5000 })
  checker.at(22_000).send({ type: 'late', lateMs: 5000 })
  t.equal(nextMountDeadline(checker.machine), 24_000)
  checker.at(24_000).send({ type: 'deadline' })
  t.match(checker.told, [/^24000 mount down: .* has not started for 10 s$/])
  checker.gone('ended with SIGKILL')
  checker.at(25_000).send({ type: 'late', lateMs: 500 })
  t.equal(nextMountDeadline(checker.machine), 34_500, 'each start has its own')
  t.end()
})

void t.test('what has a deadline ahead is under way, and nothing else', (t) => {
  const scripts = [{ command: ['/bin/logic'], intervalMs: 5000, timeoutMs: 2000 }]
  const checker = new Checker({ scripts }, [], { slow: ['/srv/photos'] })
  const { machine } = checker
  t.ok(isUnderWay(machine), 'a start and a script')
  checker.send({ type: 'script', run: 1, isUp: true, reason: 'exit 0' })
  t.ok(isUnderWay(machine), 'a start')
  checker.at(10_000).send({ type: 'deadline' })
  checker.send({ type: 'script', run: 2, isUp: true, reason: 'exit 0' })
  t.notOk(isUnderWay(machine), 'a start that is late already')
  checker.ready()
  t.ok(isUnderWay(machine), 'a look')
  checker.at(11_000).send({ type: 'deadline' })
  t.notOk(isUnderWay(machine), 'a look that is late already')
  checker.report(3)
  checker.report(4)
  t.notOk(isUnderWay(machine), 'idle')
  t.end()
})

void t.test('a look has its whole deadline from when its process is ready', (t) => {
  const checker = new Checker({}, [], { slow: ['/srv/photos'] })
  checker.at(9_999).send({ type: 'deadline' })
  t.match(checker.answer(), { httpStatus: 503, body: { reason: /has not been looked at yet$/ } })
  t.match(checker.ready(), [{ type: 'look', run: 1 }])
  t.equal(nextMountDeadline(checker.machine), 10_999)
  checker.at(10_998).send({ type: 'deadline' })
  t.match(checker.answer().body.reason, /has not been looked at yet$/)
  checker.at(10_999).send({ type: 'deadline' })
  t.match(checker.answer().body.reason, 'no answer from /srv/photos for 1 s')
  t.end()
})

void t.test('a process that never gets ready is down with that reason, in bounded time', (t) => {
  const reason =
    '/srv/photos cannot be checked: the process that looks at it has not started for 10 s'
  const checker = new Checker({}, [], { slow: ['/srv/photos'] })
  t.equal(nextMountDeadline(checker.machine), 10_000)
  checker.at(10_000).send({ type: 'deadline' })
  t.match(checker.answer(), { httpStatus: 503, body: { reason } })
  t.equal(answerStandsUntil(checker.machine, monotonicMs(10_000)), undefined)
  t.equal(nextMountDeadline(checker.machine), undefined)
  t.same(checker.at(60_000).send({ type: 'deadline' }), [], 'and gets none beside it')
  t.match(checker.ready(), [{ type: 'look', run: 1 }], 'but when it is there after all')
  checker.at(60_005).report(1)
  t.equal(checker.answer().httpStatus, 200)
  t.same(checker.told, [`10000 mount down: ${reason}`, '60005 mount up: well'])
  t.end()
})

void t.test(
  'few processes start at a time, and a mount that waits for its turn is not late',
  (t) => {
    const paths = eight.map(({ path }) => path)
    const checker = new Checker({ mounts: eight }, [], { startsAtOnce: 2, slow: paths })
    t.same(checker.started, ['/srv/0', '/srv/1'])
    checker.at(3_000).ready('/srv/0')
    t.same(checker.started, ['/srv/0', '/srv/1', '/srv/2'])
    t.equal(nextMountDeadline(checker.machine), 4_000, 'nothing wakes it for those that wait')
    checker.report(1)
    checker.gone('ended with SIGKILL', '/srv/1')
    t.same(checker.started.slice(3), ['/srv/3'], 'before another one for /srv/1')
    checker.at(13_000).send({ type: 'deadline' })
    t.same(checker.started.slice(4), ['/srv/4', '/srv/5'], 'one that hangs keeps no place')
    t.match(checker.answer(), {
      httpStatus: 503,
      body: { reason: '5 of 8 mounts not looked at yet: /srv/1 and others' },
    })
    t.end()
  },
)
