import { Buffer } from 'node:buffer'
import koffi from 'koffi'

/** The most that is moved at once, and so the most to be kept; but for the byte behind. */
export const MOST_PASSED_BYTES = 192 * 1024

/** Whether this system has what `passOn` needs. */
export const canPassOn = (): boolean => calls !== undefined

/**
 * Moves up to `length` bytes that have come on socket `from` to socket `to`, within the kernel and
 * without a copy (splice(2), over a pipe of this process that is empty between calls): how many
 * came, 0 where none can be had so. Of what came, `leftBytes()` were not taken by `to`; where that
 * is not 0, `takeLeft` must follow.
 *
 * The byte behind is looked for as well: a result of `length + 1` says that there is one. It is
 * lost.
 */
export function passOn(from: number, to: number, length: number): number {
  if (calls === undefined) return 0
  const { splice, pipeIn, pipeOut } = calls
  const came = splice(from, 0, pipeIn, 0, Math.min(length, MOST_PASSED_BYTES) + 1, FLAGS)
  if (came <= 0) return 0
  left = Math.min(came, length)
  while (left > 0) {
    const taken = splice(pipeOut, 0, to, 0, left, FLAGS)
    if (taken <= 0) break
    left -= taken
  }
  if (left === 0 && came > length) empty(LOST, 1)
  return came
}

/** What the target of the last `passOn` did not take. */
export const leftBytes = (): number => left

/** Puts it at the start of `out`. */
export function takeLeft(out: Buffer): void {
  empty(out, left)
  empty(LOST, LOST.length)
  left = 0
}

/** Reads up to `length` bytes out of the pipe. */
function empty(out: Buffer, length: number): void {
  let at = 0
  while (at < length) {
    const got = calls?.read(calls.pipeOut, at === 0 ? out : out.subarray(at), length - at) ?? 0
    if (got <= 0) return
    at += got
  }
}

type Splice = (
  from: number,
  fromAt: number,
  to: number,
  toAt: number,
  length: number,
  flags: number,
) => number

interface Calls {
  readonly splice: Splice
  readonly read: (fd: number, out: Uint8Array, length: number) => number
  readonly pipeIn: number
  readonly pipeOut: number
}

function openCalls(): Calls | undefined {
  try {
    const libc = koffi.load('libc.so.6')
    const pipe2 = libc.func('int pipe2(int *ends, int flags)')
    const fcntl = libc.func('int fcntl(int fd, int command, int value)')
    const ends = new Int32Array(2)
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) !== 0) return undefined
    const [pipeOut = -1, pipeIn = -1] = ends
    // Where that is refused it holds less, and so does each call.
    fcntl(pipeIn, F_SETPIPE_SZ, PIPE_BYTES)
    return {
      splice: libc.func(
        'intptr_t splice(int from, intptr_t fromAt, int to, intptr_t toAt, size_t length, uint32_t flags)',
      ) as Splice,
      read: libc.func('intptr_t read(int fd, uint8_t *out, size_t length)') as Calls['read'],
      pipeIn,
      pipeOut,
    }
  } catch {
    return undefined
  }
}

/** SPLICE_F_MOVE | SPLICE_F_NONBLOCK */
const FLAGS = 3
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const F_SETPIPE_SZ = 1031
/** A slot for each page, also where each holds few bytes. */
const PIPE_BYTES = 1024 * 1024
const LOST = Buffer.alloc(1)
const calls = openCalls()
let left = 0
