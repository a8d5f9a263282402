import fc from 'fast-check'
import t from 'tap'
import { FIELD, NAME_ID_BITS, fieldId, knownName } from '../../../router/core/field-names.ts'

const KNOWN = Object.entries(FIELD)
  .filter(([key]) => !['other', 'underscored', 'connectionNamed', 'xForwardedOther'].includes(key))
  .map(([key, id]) => {
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    return { name, id }
  })

const look = (text: string, end = text.length): { colon: number; id: number } => {
  const bytes = Buffer.from(text, 'latin1')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const known = knownName(view, 0, Math.min(end, bytes.length))
  return { colon: known >>> NAME_ID_BITS, id: known & ((1 << NAME_ID_BITS) - 1) }
}

void t.test('every known name is recognised, in any case, with its colon', (t) => {
  for (const { name, id } of KNOWN) {
    for (const spelt of [name, name.toUpperCase(), name.replace(/\b./g, (c) => c.toUpperCase())]) {
      t.strictSame(look(`${spelt}: x\r\n`), { colon: name.length, id }, spelt)
    }
  }
  t.end()
})

void t.test('a byte that is not the name', (t) => {
  for (const { name } of KNOWN) {
    for (let at = 0; at < name.length; at++) {
      const own = name.charCodeAt(at)
      for (let byte = 0; byte < 256; byte++) {
        const isLetter = own >= 97
        if (byte === own || (isLetter && byte === own - 32)) continue
        const text = `${name.slice(0, at)}${String.fromCharCode(byte)}${name.slice(at + 1)}: x\r\n`
        const { id, colon } = look(text)
        // A colon within the name ends another, shorter one.
        if (id !== 0 && !(byte === 58 && colon === at)) t.fail(`${JSON.stringify(text)} is ${id}`)
      }
    }
  }
  t.end()
})

void t.test('any bytes are judged as fieldId judges them, and never beyond the end', (t) => {
  const text = fc.oneof(
    fc.constantFrom(...KNOWN.map(({ name }) => `${name}:  \r\n`)),
    fc.string({ unit: 'binary-ascii', maxLength: 40 }),
  )
  fc.assert(
    fc.property(text, fc.nat(60), (text, end) => {
      const { colon, id } = look(text, end)
      if (id === 0) return colon === 0
      const bytes = Buffer.from(text, 'latin1')
      return colon < end && bytes.indexOf(58) === colon && fieldId(bytes, 0, colon) === id
    }),
    { numRuns: 5000 },
  )
  t.end()
})
