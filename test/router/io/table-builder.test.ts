import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openStateFolder } from '../../../common/runtime/state-folder.ts'
import { tableShardMap } from '../../../router/core/shard-table.ts'
import { buildSlotTable } from '../../../router/core/slot-table.ts'
import { createTableBuilder, ShardTableError } from '../../../router/io/table-builder.ts'
import { loadShardTable, loadSlotTable } from '../../../router/io/table-file.ts'
import { withoutRights } from '../../kit/without-rights.ts'

const servers = Array.from({ length: 5 }, (_, i) => ({ name: `cache-${i}`, weight: 1 }))
/** For what holds for any table: a quick one. */
const one = servers.slice(0, 1)

/** A builder that writes into that folder. */
function builderIn(t: Test, folder: string, ...listener: [OnLost?]) {
  const state = openStateFolder(dirname(folder))
  t.teardown(() => state.close())
  return createTableBuilder({ state, name: basename(folder) }, ...listener)
}

type OnLost = Parameters<typeof createTableBuilder>[1]

void t.test('a slot table comes back from its file as it was built', async (t) => {
  const folder = join(t.testdir({}), 'tables')
  const builder = builderIn(t, folder)
  t.teardown(() => builder.close())
  const built = await builder.buildSlots(servers)
  const table = await loadSlotTable(built)
  t.ok(Buffer.from(table.buffer).equals(Buffer.from(buildSlotTable(servers).buffer)))
  t.equal(built.digest, createHash('sha256').update(readFileSync(built.file)).digest('hex'))
  t.strictSame(
    readdirSync(folder).map((name) => join(folder, name)),
    [built.file],
    'no draft is left',
  )
})

void t.test('equal servers share one table, others get their own', async (t) => {
  const folder = t.testdir({})
  const builder = builderIn(t, folder)
  t.teardown(() => builder.close())
  const [first, second] = await Promise.all([builder.buildSlots(one), builder.buildSlots([...one])])
  const third = await builder.buildSlots(servers.slice(0, 2))
  t.equal(first, second)
  t.not(third.file, first.file)
  await builder.prune([third])
  t.strictSame(readdirSync(folder), [third.file.slice(folder.length + 1)])
  const again = await builder.buildSlots(one)
  t.ok(existsSync(again.file), 'a pruned table is built again')
})

void t.test('pruning leaves files alone that are no tables', async (t) => {
  const folder = t.testdir({ 'notes.txt': '', [`${'a'.repeat(32)}.slots.77-1`]: '' })
  const builder = builderIn(t, folder)
  await builder.prune([])
  t.strictSame(readdirSync(folder), ['notes.txt'])
  await builderIn(t, join(folder, 'missing')).prune([])
  await builder.close()
})

void t.test('a damaged table is refused, whatever the damage', async (t) => {
  const builder = builderIn(t, t.testdir({}))
  t.teardown(() => builder.close())
  const built = await builder.buildSlots(one)
  const bytes = readFileSync(built.file)
  const refused = async (content: Buffer, message: RegExp): Promise<void> => {
    writeFileSync(built.file, content)
    await t.rejects(loadSlotTable(built), { code: 'RTR_TABLE_DAMAGED', message })
  }
  const flipped = Buffer.from(bytes)
  flipped[123_456]! ^= 1
  await refused(flipped, /its digest is [0-9a-f]{64} instead of/)
  await refused(bytes.subarray(0, 100), /its digest/)
  const small = { file: built.file, digest: createHash('sha256').update('x').digest('hex') }
  writeFileSync(built.file, 'x')
  await t.rejects(loadSlotTable(small), { message: /its size is another/ })
  await t.rejects(loadShardTable(small), { message: /it is no shard table/ })
  await t.rejects(loadSlotTable({ ...built, file: `${built.file}x` }), { message: /ENOENT/ })
})

void t.test('a shard table is read, or refused with every problem', async (t) => {
  const folder = t.testdir({ 'good.txt': '1-5 cache-1\n7 cache-4\n', 'bad.txt': 'x\n1 cache-9\n' })
  const builder = builderIn(t, join(folder, 'tables'))
  t.teardown(() => builder.close())
  const names = servers.map(({ name }) => name)
  const shards = await loadShardTable(await builder.buildShards(join(folder, 'good.txt'), names))
  t.equal(tableShardMap(shards).homeOf(Buffer.from('7'), 1), 4)
  const refused = await builder.buildShards(join(folder, 'bad.txt'), names).catch((e: unknown) => e)
  t.ok(refused instanceof ShardTableError)
  t.equal(
    (refused as ShardTableError).message,
    `${folder}/bad.txt:1: "x" is neither "from-to cache" nor "id cache"\n` +
      `${folder}/bad.txt:2: the pool has no server "cache-9"`,
  )
  writeFileSync(join(folder, 'bad.txt'), '# nobody\n')
  await t.rejects(builder.buildShards(join(folder, 'bad.txt'), names), {
    code: 'RTR_SHARD_TABLE_INVALID',
    message: `${folder}/bad.txt: it names no user`,
  })
  await t.rejects(builder.buildShards(join(folder, 'none.txt'), names), {
    code: 'RTR_TABLE_FAILED',
    message: /Cannot build .*none.txt: ENOENT/,
  })
})

void t.test('where the folder cannot be written, tables lie elsewhere', async (t) => {
  const folder = t.testdir({ taken: '' })
  const builder = builderIn(t, join(folder, 'taken'))
  const table = await builder.buildSlots(servers)
  t.ok(await loadSlotTable(table))
  t.match(builder.elsewhere?.reason, /ENOTDIR/)
  const other = builder.elsewhere?.folder ?? ''
  t.strictSame(readdirSync(other), [table.file.slice(other.length + 1)])
  t.equal(statSync(other).mode & 0o777, 0o700)
  await builder.buildSlots(one)
  await builder.prune([table])
  t.strictSame(readdirSync(other), [table.file.slice(other.length + 1)])
  await builder.close()
  t.notOk(existsSync(other), 'it goes with its builder')
})

void t.test('a table that cannot take its name leaves no draft', async (t) => {
  const folder = t.testdir({ good: {}, bad: {} })
  const good = builderIn(t, join(folder, 'good'))
  const name = (await good.buildSlots(one)).file.slice(join(folder, 'good').length + 1)
  await good.close()
  mkdirSync(join(folder, 'bad', name, 'x'), { recursive: true })
  const builder = builderIn(t, join(folder, 'bad'))
  t.teardown(() => builder.close())
  await builder.buildSlots(one)
  t.match(builder.elsewhere?.reason, /EISDIR|ENOTEMPTY|EEXIST/)
  t.strictSame(readdirSync(join(folder, 'bad')), [name])
})

void t.test('a table that is there already is used; a damaged one is written anew', async (t) => {
  const folder = t.testdir({})
  const first = builderIn(t, folder)
  const { file } = await first.buildSlots(one)
  await first.close()
  const { ino } = statSync(file)
  const second = builderIn(t, folder)
  t.equal((await second.buildSlots(one)).file, file)
  await second.close()
  t.equal(statSync(file).ino, ino, 'nothing was written')
  writeFileSync(file, 'junk')
  const third = builderIn(t, folder)
  t.ok(await loadSlotTable(await third.buildSlots(one)))
  t.equal(third.elsewhere, undefined)
  await third.close()
})

void t.test('a table whose file is gone or damaged is written anew, and told', async (t) => {
  const folder = t.testdir({ 'shards.txt': '1-5 cache-1\n' })
  const lost: string[] = []
  const builder = builderIn(t, join(folder, 'tables'), (before, after, reason) => {
    t.strictSame(after, before, 'where it was')
    lost.push(reason)
  })
  t.teardown(() => builder.close())
  const slots = await builder.buildSlots(one)
  const shards = await builder.buildShards(join(folder, 'shards.txt'), ['cache-0', 'cache-1'])
  // What it was read from may be wrong by then.
  writeFileSync(join(folder, 'shards.txt'), 'x')
  const { ino } = statSync(slots.file)
  t.strictSame([await builder.restore(slots), await builder.restore(shards)], [slots, shards])
  t.strictSame(await builder.buildSlots(one), slots)
  t.equal(statSync(slots.file).ino, ino, 'one that is whole is left alone')

  rmSync(join(folder, 'tables'), { recursive: true })
  t.strictSame(await builder.buildSlots(one), slots)
  t.ok(await loadSlotTable(slots))
  t.strictSame(await builder.restore(shards), shards)
  t.ok(await loadShardTable(shards))

  for (const { file } of [slots, shards]) {
    const bytes = readFileSync(file)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(file, bytes)
  }
  await builder.prune([slots, shards])
  t.strictSame([await builder.restore(slots), await builder.restore(shards)], [slots, shards])
  t.ok(await loadSlotTable(slots))
  t.ok(await loadShardTable(shards))
  t.match(lost, [/^ENOENT/, /^ENOENT/, /^its digest is /, /^its digest is /])
  t.equal(builder.elsewhere, undefined)
})

void t.test('a table is restored elsewhere, and once more where that is cleaned', async (t) => {
  const folder = t.testdir({})
  const moves: { from: string; to: string }[] = []
  const builder = builderIn(t, join(folder, 'tables'), (before, after) => {
    moves.push({ from: before.file, to: after.file })
  })
  const first = await builder.buildSlots(one)
  rmSync(join(folder, 'tables'), { recursive: true })
  writeFileSync(join(folder, 'tables'), '')
  const second = await builder.buildSlots(one)
  t.ok(await loadSlotTable(second))
  t.match(builder.elsewhere?.reason, /ENOTDIR/)
  const other = builder.elsewhere?.folder ?? ''
  await builder.prune([first])
  t.strictSame(await builder.restore(first), second, 'who knows the former place finds the new one')

  rmSync(other, { recursive: true })
  const third = await builder.restore(first)
  t.ok(await loadSlotTable(third))
  t.not(builder.elsewhere?.folder, other)
  t.strictSame(moves, [
    { from: first.file, to: second.file },
    { from: second.file, to: third.file },
  ])

  rmSync(join(folder, 'tables'))
  rmSync(third.file)
  t.strictSame(await builder.restore(first), first, 'back where it belongs')
  await builder.close()
  t.notOk(existsSync(builder.elsewhere?.folder ?? ''))
})

void t.test('closing rejects what is under way, and a later job gets a new thread', async (t) => {
  const builder = builderIn(t, t.testdir({}))
  const under = builder.buildSlots(one)
  await Promise.all([t.rejects(under, { message: /the router is stopping/ }), builder.close()])
  t.ok((await builder.buildSlots(one)).digest)
  await builder.close()
})

void t.test('a disk that does not answer holds up nothing', async (t) => {
  const path = t.testdir({})
  const disk = openStateFolder(path)
  t.teardown(() => disk.close())
  const state = { ...disk, isAnswering: true }
  const lost: string[] = []
  const builder = createTableBuilder({ state, name: 'tables' }, (_before, _after, reason) => {
    lost.push(reason)
  })
  t.teardown(() => builder.close())
  const kept = await builder.buildSlots(one)
  t.equal(dirname(kept.file), join(path, 'tables'))
  state.write = () => Promise.reject(new Error('late'))
  const other = await builder.buildSlots(servers.slice(0, 2))
  t.equal(builder.elsewhere?.reason, 'late')
  t.equal(dirname(other.file), builder.elsewhere?.folder)
  state.isAnswering = false
  state.write = () => new Promise(() => undefined)
  t.equal(await builder.restore(other), other, 'what lies elsewhere is compared still')
  const moved = await builder.restore(kept)
  t.equal(dirname(moved.file), builder.elsewhere?.folder)
  t.strictSame(lost, ['its disk does not answer'])
  await loadSlotTable(moved)
  await builder.buildSlots(servers.slice(0, 3))
  state.list = () => new Promise(() => undefined)
  await builder.prune([moved])
})

void t.test('where no thread can be had, a table fails with the reason', async (t) => {
  const file = new URL('../../../router/io/table-builder.ts', import.meta.url).href
  const stdout = await withoutRights(`
    const { createTableBuilder } = await import(${JSON.stringify(file)})
    const state = { file: (name) => name, isAnswering: true }
    const builder = createTableBuilder({ state, name: 'tables' })
    await builder.buildSlots([{ name: 'c', weight: 1 }]).catch((error) => console.log(String(error)))
    await builder.close()`)
  t.match(stdout, /Cannot build the slot table of 1 servers: its thread cannot be started: Access/)
})
