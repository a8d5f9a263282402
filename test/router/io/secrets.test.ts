import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ListenerConfig } from '../../../common/config/config.ts'
import { loadCertificate } from '../../../router/io/certificates.ts'
import { createNameTable } from '../../../router/io/server-names.ts'
import { parseTicketKeys, readTicketKeys } from '../../../router/io/ticket-keys.ts'
import { TlsContexts } from '../../../router/io/tls-contexts.ts'
import { makeCertificate } from '../service/router-process.ts'

const pairOf = (folder: string, name: string) => ({
  certificate: join(folder, `${name}.pem`),
  key: join(folder, `${name}.key`),
})

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

void t.test('ticket keys: 48 bytes a line, newest first, and any mistake is named', (t) => {
  const [a, b] = [Buffer.alloc(48, 1), Buffer.alloc(48, 2)]
  const parsed = parseTicketKeys(`${a.toString('base64')}\n\n${b.toString('base64')}\r\n`)
  t.strictSame(parsed, { ok: true, keys: [new Uint8Array(a), new Uint8Array(b)] })
  t.match(parseTicketKeys('AAAA\n'), { ok: false, line: 1, message: /3 bytes instead of 48/ })
  t.match(parseTicketKeys('\n!\n'), { ok: false, line: 2, message: /not base64/ })
  const file = join(t.testdir({ empty: '' }), 'empty')
  t.throws(() => readTicketKeys(file), { message: /it holds no key/ })
  t.throws(() => readTicketKeys(`${file}.x`), { message: /there is no such file/ })
  t.end()
})

void t.test('a certificate is taken with its key only; an expired one with a warning', (t) => {
  const folder = t.testdir({})
  makeCertificate(folder, 'a', 'A.example.com')
  makeCertificate(folder, 'b', 'b.example.com')
  const { pair, warnings } = loadCertificate(pairOf(folder, 'a'), Date.now())
  t.strictSame(pair.names, ['a.example.com'])
  t.strictSame(warnings, [])
  const later = loadCertificate(pairOf(folder, 'a'), Date.now() + 40 * 86_400_000)
  t.match(later.warnings, [/has expired: it was valid until/])
  const mixed = { ...pairOf(folder, 'a'), key: join(folder, 'b.key') }
  t.throws(() => loadCertificate(mixed, 0), { message: /belongs to another certificate/ })
  t.throws(() => loadCertificate(pairOf(folder, 'c'), 0), {
    message: /^Cannot read the certificate .*c\.pem: there is no such file$/,
  })
  writeFileSync(join(folder, 'a.key'), 'no key')
  t.throws(() => loadCertificate(pairOf(folder, 'a'), 0), { message: /no private key in PEM/ })
  t.end()
})

void t.test('a changed file is told once; a wrong one leaves in place what was there', (t) => {
  const folder = t.testdir({})
  makeCertificate(folder, 'a', 'a.example.com')
  const listener = { name: 'l', tls: [pairOf(folder, 'a')], ticketKeys: undefined }
  const listeners = [listener as unknown as ListenerConfig]
  const tls = new TlsContexts(() => Date.now())
  const loaded = tls.load(listeners)
  if (!loaded.ok) throw new Error(loaded.problems.join())
  tls.use(listeners, loaded.secrets)
  t.strictSame(tls.poll(), [])

  writeFileSync(join(folder, 'a.key'), 'half written')
  t.match(tls.poll(), [{ ok: false, listener: 'l', problem: /no private key/ }])
  t.strictSame(tls.poll(), [], 'not told again')
  makeCertificate(folder, 'a', 'new.example.com')
  t.match(tls.poll(), [{ ok: true, secrets: { pairs: [{ names: ['new.example.com'] }] } }])
  t.strictSame(tls.poll(), [])
  t.end()
})

void t.test('each pair and the ticket keys are taken by themselves', (t) => {
  const folder = t.testdir({})
  const keys = join(folder, 'tickets.key')
  const writeKeys = (byte: number) => {
    writeFileSync(keys, `${Buffer.alloc(48, byte).toString('base64')}\n`)
  }
  for (const name of ['cdn', 'alt']) makeCertificate(folder, name, `${name}.example.com`)
  writeKeys(1)
  const tlsPairs = [pairOf(folder, 'cdn'), pairOf(folder, 'alt')]
  const listeners = [{ name: 'l', tls: tlsPairs, ticketKeys: keys } as unknown as ListenerConfig]
  const tls = new TlsContexts(() => Date.now())
  const loaded = tls.load(listeners)
  if (!loaded.ok) throw new Error(loaded.problems.join())
  tls.use(listeners, loaded.secrets)

  writeFileSync(join(folder, 'alt.key'), 'half written')
  writeFileSync(keys, 'garbage')
  makeCertificate(folder, 'cdn', 'new.example.com')
  const pairs = [{ names: ['new.example.com'] }, { names: ['alt.example.com'] }]
  t.match(tls.poll(), [
    { what: 'certificate', ok: true, files: filesIn(folder, 'cdn'), secrets: { pairs } },
    { what: 'certificate', ok: false, problem: /alt\.key/ },
    { what: 'ticket keys', ok: false, problem: /tickets\.key:1: the key has 5 bytes/ },
  ])
  t.strictSame(tls.poll(), [], 'told once')

  writeKeys(2)
  const ticketKeys = new Uint8Array(48).fill(2)
  t.match(tls.poll(), [{ what: 'ticket keys', ok: true, secrets: { pairs, ticketKeys } }])
  makeCertificate(folder, 'alt', 'newer.example.com')
  const after = [{ names: ['new.example.com'] }, { names: ['newer.example.com'] }]
  t.match(tls.poll(), [{ what: 'certificate', ok: true, secrets: { pairs: after, ticketKeys } }])

  writeFileSync(join(folder, 'alt.key'), 'half written')
  t.match(tls.load(listeners), { ok: false }, 'a start takes all of it, or nothing')
  t.end()
})
