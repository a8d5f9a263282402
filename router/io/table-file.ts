import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import { decodeShardTable } from '../core/shard-table.ts'
import type { ShardTable } from '../core/shard-table.ts'
import { SLOT_TABLE_BYTES } from '../core/slot-table.ts'
import type { TableFile } from './table-builder.ts'

/** Hashed in one turn of the event loop: some tenths of a millisecond. */
const CHUNK_BYTES = 256 * 1024

/**
 * Reads a slots' table and compares its digest, in pieces, so that no turn of the event loop is
 * held by it. Rejects with
 * `RTR_TABLE_DAMAGED` unless it is, byte for byte, the table that was built.
 */
export async function loadSlotTable(table: TableFile): Promise<Uint16Array> {
  const bytes = await readVerified(table)
  if (bytes.byteLength !== SLOT_TABLE_BYTES) throw damaged(table, 'its size is another')
  return new Uint16Array(bytes)
}

/** As `loadSlotTable`, for a shard table; its parts are views of the file's bytes. */
export async function loadShardTable(table: TableFile): Promise<ShardTable> {
  const shards = decodeShardTable(await readVerified(table))
  if (shards === undefined) throw damaged(table, 'it is no shard table')
  return shards
}

const damaged = (table: TableFile, reason: string): ApplianceError =>
  new ApplianceError('RTR_TABLE_DAMAGED', `Cannot use the table ${table.file}: ${reason}`)

async function readVerified(table: TableFile): Promise<ArrayBuffer> {
  const file = await open(table.file, 'r').catch((cause: unknown) => {
    throw damaged(table, (cause as Error).message)
  })
  try {
    const { size } = await file.stat()
    // Not zeroed and not pooled: the read fills it, and its ArrayBuffer holds nothing else.
    const bytes = Buffer.allocUnsafeSlow(size)
    const hash = createHash('sha256')
    for (let length = 0; length < size;) {
      const { bytesRead } = await file.read(bytes, length, Math.min(CHUNK_BYTES, size - length))
      if (bytesRead === 0) throw damaged(table, 'it was cut while it was read')
      hash.update(bytes.subarray(length, length + bytesRead))
      length += bytesRead
    }
    const digest = hash.digest('hex')
    if (digest !== table.digest)
      throw damaged(table, `its digest is ${digest} instead of ${table.digest}`)
    return bytes.buffer
  } finally {
    await file.close()
  }
}
