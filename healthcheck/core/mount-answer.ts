import { monotonicMs } from '../../common/net/units.ts'
import type { MonotonicMs } from '../../common/net/units.ts'
import { printable } from './blame.ts'
import { isKnown, reasonOf } from './mount-machine.ts'
import type { MountMachine, MountRecord } from './mount-machine.ts'

/** What `GET /health` says, and with which status. */
export interface MountAnswer {
  readonly httpStatus: 200 | 503
  readonly body: MountAnswerBody
}

export interface MountAnswerBody {
  readonly status: 'up' | 'down' | 'draining'
  /** One sentence. */
  readonly reason: string
  /** Share of the healthy capacity, 0 to 1; 0 unless up. */
  readonly weight: number
  /** This boot of the box. */
  readonly boot: string
  /** This cache's content: another one after it was emptied; null until it is known. */
  readonly cache: string | null
  readonly mounts: readonly MountStatus[]
  readonly scripts: readonly {
    readonly command: string
    readonly up: boolean
    readonly reason: string
  }[]
}

export interface MountStatus {
  readonly path: string
  readonly up: boolean
  readonly reason: string
  /** ISO 8601. */
  readonly since: string
  readonly latencyMs: number | null
  readonly freeBytes: number | null
  readonly freeInodes: number | null
  readonly source: string | null
  readonly type: string | null
  readonly options: readonly string[]
}

/** The answer as of now, from the last looks alone: it never waits for a disk. */
export function answerOf(machine: MountMachine, boot: string, now: MonotonicMs): MountAnswer {
  const { isDraining, isReady, mounts, counted, scripts } = machine
  const share = healthyShare(counted)
  const isWhole = counted.every(({ state }) => state === 'up')
  const isUp =
    isReady &&
    !isDraining &&
    !scripts.some(({ state }) => state === 'down') &&
    share > 0 &&
    (isWhole || machine.partial === 'weight')
  return {
    httpStatus: isUp ? 200 : 503,
    body: {
      status: isDraining ? 'draining' : isUp ? 'up' : 'down',
      reason: isDraining ? 'draining: this box is being stopped' : reasonInAll(machine, now),
      weight: isUp ? share : 0,
      boot,
      cache: identityOf(counted),
      mounts: mounts.map((mount) => statusOf(mount, now)),
      scripts: scripts.map(({ config, state, reason }) => {
        return { command: config.command.join(' '), up: state === 'up', reason }
      }),
    },
  }
}

/**
 * Until when an answer given now says the same, if no event comes: a silence is told in whole
 * seconds. undefined: for ever.
 */
export function answerStandsUntil(
  { mounts, counted }: MountMachine,
  now: MonotonicMs,
): MonotonicMs | undefined {
  let until: number | undefined
  for (const { isOverdue, startedAt } of [...mounts, ...counted]) {
    if (!isOverdue) continue
    const nextSecondAt = startedAt + (Math.floor((now - startedAt) / 1000) + 1) * 1000
    until = Math.min(until ?? Infinity, nextSecondAt)
  }
  return until === undefined ? undefined : monotonicMs(until)
}

/** By size as last seen; a mount never seen counts as the others do on average. */
function healthyShare(mounts: readonly MountRecord[]): number {
  if (mounts.length === 0) return 1
  const known = mounts.flatMap((mount) => mount.sizeBytes ?? [])
  const mean = known.length === 0 ? 1 : sum(known) / known.length
  const sizeOf = (mount: MountRecord): number => mount.sizeBytes ?? mean
  const whole = sum(mounts.map(sizeOf))
  const up = sum(mounts.filter(({ state }) => state === 'up').map(sizeOf))
  return whole > 0 ? Math.round((up / whole) * SHARE_STEPS) / SHARE_STEPS : 0
}

function reasonInAll(
  { isReady, mounts, counted, scripts }: MountMachine,
  now: MonotonicMs,
): string {
  if (!isReady) {
    const [first, ...others] = mounts.filter((mount) => !isKnown(mount))
    if (first !== undefined) return unseenInWords(first, others.length, mounts.length)
  }
  const script =
    scripts.find(({ state }) => state === 'down') ??
    (isReady ? undefined : scripts.find((one) => !isKnown(one)))
  if (script !== undefined) return `${script.config.command[0] ?? 'script'}: ${script.reason}`
  const failing = counted.filter(({ state }) => state === 'down')
  const [first] = failing
  if (first === undefined) return 'all is well'
  const reason = reasonOf(first, now)
  if (counted.length === 1) return reason
  return `${failing.length} of ${counted.length} mounts failing: ${reason}`
}

function unseenInWords(first: MountRecord, otherCount: number, mountCount: number): string {
  if (mountCount === 1) return first.reason
  const more = otherCount === 0 ? '' : ' and others'
  return `${otherCount + 1} of ${mountCount} mounts not looked at yet: ${printable(first.config.path)}${more}`
}

function statusOf(mount: MountRecord, now: MonotonicMs): MountStatus {
  const { config, state, sinceMs, last } = mount
  return {
    path: config.path,
    up: state === 'up',
    reason: reasonOf(mount, now),
    since: new Date(sinceMs).toISOString(),
    latencyMs: last?.latencyMs ?? null,
    freeBytes: last?.space?.freeBytes ?? null,
    freeInodes: last?.space?.freeInodes ?? null,
    source: last?.entry?.source ?? null,
    type: last?.entry?.type ?? null,
    options: last?.entry?.options ?? [],
  }
}

/**
 * One mount's token as it is; of several, one that changes when any of them does, whatever order
 * they are configured in.
 */
function identityOf(mounts: readonly MountRecord[]): string | null {
  const byPath = [...mounts].sort((a, b) => (a.config.path < b.config.path ? -1 : 1))
  const tokens = byPath.flatMap((mount) => mount.token ?? [])
  if (tokens.length === 0 || tokens.length < mounts.length) return null
  if (tokens.length === 1) return tokens[0] ?? null
  return fnv1a64(tokens.join('\n'))
}

/** FNV-1a, 64 bits, in hex: tells identities apart, keeps no secrets. */
function fnv1a64(text: string): string {
  let hash = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  }
  return hash.toString(16).padStart(16, '0')
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** Shares are told to a millionth. */
const SHARE_STEPS = 1_000_000
