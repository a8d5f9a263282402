import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ListenerConfig } from '../../../../common/config/config.ts'
import { loadCertificate } from '../../../../router/io/tls/certificates.ts'
import { FileQueue } from '../../../../common/runtime/file-queue.ts'
import { createNameTable } from '../../../../router/io/tls/server-names.ts'
import { parseTicketKeys, readTicketKeys } from '../../../../router/io/tls/ticket-keys.ts'
import { TlsSecrets } from '../../../../router/io/tls/secrets.ts'
import type { SecretsChange } from '../../../../router/io/tls/secrets.ts'
import { makeCertificate } from '../../service/router-process.ts'

const pairOf = (folder: string, name: string) => ({
  certificate: join(folder, `${name}.pem`),
  key: join(folder, `${name}.key`),
})

/** What a look tells, taken at once. */
async function changes(tls: TlsSecrets): Promise<SecretsChange[]> {
  const told: SecretsChange[] = []
  const onChange = (change: SecretsChange) => void told.push(change)
  const inTurn = (act: () => void) => Promise.resolve().then(act)
  await tls.poll({ inTurn, onChange })
  return told
}

const filesIn = (folder: string, name: string) => Object.values(pairOf(folder, name))

void t.test('a name finds its own entry, then its wildcard, and a wildcard is one label', (t) => {
  const table = createNameTable([
    ['a.example.com', 1],
    ['*.example.com', 2],
    ['a.example.com', 3],
  ])
  t.equal(table.find('a.example.com'), 1)
  t.equal(table.find('b.example.com'), 2)
  t.equal(table.find('x.b.example.com'), undefined)
  t.equal(table.find('example.com'), undefined)
  t.equal(table.find(''), undefined)
  t.equal(table.find('A.Example.com.'), 1)
  t.equal(table.find('b.example.com.'), 2)
  t.end()
})

void t.test('ticket keys: 48 bytes a line, newest first, and any mistake is named', async (t) => {
  const [a, b] = [Buffer.alloc(48, 1), Buffer.alloc(48, 2)]
  const parsed = parseTicketKeys(`${a.toString('base64')}\n\n${b.toString('base64')}\r\n`)
  t.strictSame(parsed, { ok: true, keys: [new Uint8Array(a), new Uint8Array(b)] })
  t.match(parseTicketKeys('AAAA\n'), { ok: false, line: 1, message: /3 bytes instead of 48/ })
  t.match(parseTicketKeys('\n!\n'), { ok: false, line: 2, message: /not base64/ })
  const file = join(t.testdir({ empty: '' }), 'empty')
  await t.rejects(readTicketKeys(file), { message: /it holds no key/ })
  await t.rejects(readTicketKeys(`${file}.x`), { message: /there is no such file/ })
})

void t.test(
  'a certificate is taken with its key only; an expired one with a warning',
  async (t) => {
    const folder = t.testdir({})
    makeCertificate(folder, 'a', 'A.example.com')
    makeCertificate(folder, 'b', 'b.example.com')
    const { pair, warnings } = await loadCertificate(pairOf(folder, 'a'), Date.now())
    t.strictSame(pair.names, ['a.example.com'])
    t.strictSame(warnings, [])
    const later = await loadCertificate(pairOf(folder, 'a'), Date.now() + 40 * 86_400_000)
    t.match(later.warnings, [/has expired: it was valid until/])
    const mixed = { ...pairOf(folder, 'a'), key: join(folder, 'b.key') }
    await t.rejects(loadCertificate(mixed, 0), { message: /belongs to another certificate/ })
    await t.rejects(loadCertificate(pairOf(folder, 'c'), 0), {
      message: /^Cannot read the certificate .*c\.pem: there is no such file$/,
    })
    writeFileSync(join(folder, 'a.key'), 'no key')
    await t.rejects(loadCertificate(pairOf(folder, 'a'), 0), { message: /no private key in PEM/ })
  },
)

void t.test(
  'a changed file is told once; a wrong one leaves in place what was there',
  async (t) => {
    const folder = t.testdir({})
    makeCertificate(folder, 'a', 'a.example.com')
    const listener = { name: 'l', tls: [pairOf(folder, 'a')], ticketKeys: undefined }
    const listeners = [listener as unknown as ListenerConfig]
    const tls = new TlsSecrets(() => Date.now())
    const loaded = await tls.load(listeners)
    if (!loaded.ok) throw new Error(loaded.problems.join())
    tls.use(listeners, loaded.secrets)
    t.strictSame(await changes(tls), [])

    writeFileSync(join(folder, 'a.key'), 'half written')
    t.match(await changes(tls), [{ ok: false, listener: 'l', problem: /no private key/ }])
    t.strictSame(await changes(tls), [], 'not told again')
    makeCertificate(folder, 'a', 'new.example.com')
    t.match(await changes(tls), [
      { ok: true, secrets: { pairs: [{ names: ['new.example.com'] }] } },
    ])
    t.strictSame(await changes(tls), [])
  },
)

void t.test('each pair and the ticket keys are taken by themselves', async (t) => {
  const folder = t.testdir({})
  const keys = join(folder, 'tickets.key')
  const writeKeys = (byte: number) => {
    writeFileSync(keys, `${Buffer.alloc(48, byte).toString('base64')}\n`)
  }
  for (const name of ['cdn', 'alt']) makeCertificate(folder, name, `${name}.example.com`)
  writeKeys(1)
  const tlsPairs = [pairOf(folder, 'cdn'), pairOf(folder, 'alt')]
  const listeners = [{ name: 'l', tls: tlsPairs, ticketKeys: keys } as unknown as ListenerConfig]
  const tls = new TlsSecrets(() => Date.now())
  const loaded = await tls.load(listeners)
  if (!loaded.ok) throw new Error(loaded.problems.join())
  tls.use(listeners, loaded.secrets)

  writeFileSync(join(folder, 'alt.key'), 'half written')
  writeFileSync(keys, 'garbage')
  makeCertificate(folder, 'cdn', 'new.example.com')
  const pairs = [{ names: ['new.example.com'] }, { names: ['alt.example.com'] }]
  t.match(await changes(tls), [
    { what: 'certificate', ok: true, files: filesIn(folder, 'cdn'), secrets: { pairs } },
    { what: 'certificate', ok: false, problem: /alt\.key/ },
    { what: 'ticket keys', ok: false, problem: /tickets\.key:1: the key has 5 bytes/ },
  ])
  t.strictSame(await changes(tls), [], 'told once')

  writeKeys(2)
  const ticketKeys = new Uint8Array(48).fill(2)
  t.match(await changes(tls), [{ what: 'ticket keys', ok: true, secrets: { pairs, ticketKeys } }])
  makeCertificate(folder, 'alt', 'newer.example.com')
  const after = [{ names: ['new.example.com'] }, { names: ['newer.example.com'] }]
  t.match(await changes(tls), [
    { what: 'certificate', ok: true, secrets: { pairs: after, ticketKeys } },
  ])

  writeFileSync(join(folder, 'alt.key'), 'half written')
  t.match(await tls.load(listeners), { ok: false }, 'a start takes all of it, or nothing')
})

void t.test('a file that does not answer is told once, and changes nothing', async (t) => {
  const folder = t.testdir({})
  makeCertificate(folder, 'a', 'a.example.com')
  const listener = { name: 'l', tls: [pairOf(folder, 'a')], ticketKeys: undefined }
  const listeners = [listener as unknown as ListenerConfig]
  const answers: (() => void)[] = []
  let isHung = false
  class HungQueue extends FileQueue {
    override ask<T>(file: string, act: (file: string) => Promise<T>): Promise<T> {
      const late = () => new Promise<void>((resolve) => answers.push(resolve)).then(() => act(file))
      return super.ask(file, isHung && file.endsWith('.key') ? late : act)
    }
  }
  const tls = new TlsSecrets(() => Date.now(), new HungQueue({ answerWithinMs: 30 }))
  const loaded = await tls.load(listeners)
  if (!loaded.ok) throw new Error(loaded.problems.join())
  tls.use(listeners, loaded.secrets)

  isHung = true
  const taker = { inTurn: () => t.fail('nothing is taken') as never, onChange: () => undefined }
  const message = `the file ${join(folder, 'a.key')} cannot be read: no answer for 0.03 s`
  t.match(await tls.poll(taker), { message })
  t.equal(await tls.poll(taker), undefined, 'told once')
  t.strictSame(await tls.load(listeners), { ok: false, problems: [message] })
  t.equal(answers.length, 1, 'one thread waits, however often it is looked at')

  makeCertificate(folder, 'a', 'new.example.com')
  isHung = false
  for (const answer of answers) answer()
  await new Promise(setImmediate)
  while ((await changes(tls)).length === 0) await new Promise(setImmediate)
  t.match((await tls.load(listeners)).ok, true)
})

void t.test('what was read does not come into another configuration', async (t) => {
  const folder = t.testdir({})
  makeCertificate(folder, 'a', 'a.example.com')
  const listener = { name: 'l', tls: [pairOf(folder, 'a')], ticketKeys: undefined }
  const listeners = [listener as unknown as ListenerConfig]
  const tls = new TlsSecrets(() => Date.now())
  const load = async () => {
    const loaded = await tls.load(listeners)
    if (!loaded.ok) throw new Error(loaded.problems.join())
    return loaded.secrets
  }
  tls.use(listeners, await load())
  makeCertificate(folder, 'a', 'new.example.com')
  await tls.poll({
    inTurn: async (act) => {
      tls.use(listeners, await load())
      act()
    },
    onChange: () => t.fail('the reload has read it'),
  })
  t.strictSame(await changes(tls), [])
})
