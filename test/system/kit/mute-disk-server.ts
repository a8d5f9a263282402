// A file system of one file, `check.sh`, by FUSE. `node mute-disk-server.ts FOLDER CONTROL` serves it
// at FOLDER. While CONTROL says `open` nobody who opens or reads the file is answered, while it says
// `look` nobody at all; who has waited is answered when it says anything else.

import fs from 'node:fs'
import process from 'node:process'
import koffi from 'koffi'

const [, , folder = '', control = ''] = process.argv
const BODY = Buffer.from('#!/bin/sh\necho fine\n')
const ENOENT = 2
const ENOSYS = 38
/** Of linux/fuse.h. */
const OPERATION = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  release: 18,
  flush: 25,
  init: 26,
  access: 34,
  interrupt: 36,
  batchForget: 42,
} as const
const FOLDER_NODE = 1
const FILE_NODE = 2

const device = fs.openSync('/dev/fuse', 'r+')
const mount = koffi
  .load('libc.so.6')
  .func(
    'int mount(const char *source, const char *target, const char *type, ulong flags, str data)',
  )
const options = `fd=${device},rootmode=40000,user_id=0,group_id=0,allow_other`
if (mount('mute', folder, 'fuse.mute', 0, options) !== 0) {
  throw new Error(`mount failed: errno ${koffi.errno()}`)
}

const waiting: Buffer[] = []
const requestBuffer = Buffer.alloc(1 << 20)
setInterval(() => {
  for (const request of waiting.splice(0)) take(request)
}, 20)
next()

function next(): void {
  fs.read(device, requestBuffer, 0, requestBuffer.length, null, (error, length) => {
    // ENODEV: unmounted. ENOENT: who asked has gone meanwhile.
    if (error?.code === 'ENODEV') process.exit()
    if (error === null) take(Buffer.from(requestBuffer.subarray(0, length)))
    next()
  })
}

function take(request: Buffer): void {
  const operation = request.readUInt32LE(4)
  const mode = fs.readFileSync(control, 'utf8').trim()
  const isOpen = operation === OPERATION.open || operation === OPERATION.read
  if (operation !== OPERATION.init && (mode === 'look' || (mode === 'open' && isOpen))) {
    waiting.push(request)
    return
  }
  const data = answerTo(operation, request)
  if (data === undefined) return
  const head = Buffer.alloc(16)
  const body = typeof data === 'number' ? Buffer.alloc(0) : data
  head.writeUInt32LE(16 + body.length, 0)
  head.writeInt32LE(typeof data === 'number' ? -data : 0, 4)
  request.copy(head, 8, 8, 16)
  try {
    fs.writeSync(device, Buffer.concat([head, body]))
  } catch {
    // ENOENT: the request was interrupted.
  }
}

/** A number is an error; undefined: none is wanted. */
function answerTo(operation: number, request: Buffer): Buffer | number | undefined {
  const node = Number(request.readBigUInt64LE(16))
  switch (operation) {
    case OPERATION.init: {
      const answer = Buffer.alloc(64)
      for (const [index, value] of [7, 31, 65_536].entries()) answer.writeUInt32LE(value, index * 4)
      answer.writeUInt32LE(65_536, 20)
      return answer
    }
    case OPERATION.lookup: {
      if (request.toString('latin1', 40, request.length - 1) !== 'check.sh') return ENOENT
      const answer = Buffer.alloc(40)
      answer.writeBigUInt64LE(BigInt(FILE_NODE), 0)
      return Buffer.concat([answer, attributes(FILE_NODE)])
    }
    case OPERATION.getattr:
      return Buffer.concat([Buffer.alloc(16), attributes(node)])
    case OPERATION.open:
      return Buffer.alloc(16)
    case OPERATION.read: {
      const offset = Number(request.readBigUInt64LE(48))
      return BODY.subarray(offset, offset + request.readUInt32LE(56))
    }
    case OPERATION.release:
    case OPERATION.flush:
    case OPERATION.access:
      return Buffer.alloc(0)
    case OPERATION.forget:
    case OPERATION.batchForget:
    case OPERATION.interrupt:
      return undefined
    default:
      return ENOSYS
  }
}

function attributes(node: number): Buffer {
  const answer = Buffer.alloc(88)
  answer.writeBigUInt64LE(BigInt(node), 0)
  answer.writeBigUInt64LE(BigInt(BODY.length), 8)
  answer.writeUInt32LE(node === FOLDER_NODE ? 0o040755 : 0o100755, 60)
  answer.writeUInt32LE(1, 64)
  answer.writeUInt32LE(4096, 80)
  return answer
}
