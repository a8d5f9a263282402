import { ApplianceError } from '../../../common/runtime/appliance-error.ts'
import { FileQueue } from '../../../common/runtime/file-queue.ts'
import { readSecret } from './secret-files.ts'

/** What Node's `ticketKeys` takes, too: a key's name, and one for HMAC and AES each, 16 bytes each. */
export const TICKET_KEYS_BYTES = 48

/**
 * Reads a file of session ticket keys: a base64 line of 48 bytes per key, newest first; empty
 * lines do not count. All lines must be right, so that a mistake shows before
 * its key's turn comes. The first key is the one in use: TLS holds one at a time, so after a
 * rotation each client makes one full handshake.
 */
export async function readTicketKeys(file: string, queue = new FileQueue()): Promise<Uint8Array> {
  const text = await readSecret(file, queue, (reason, cause) => refused(file, reason, cause))
  const parsed = parseTicketKeys(text)
  if (!parsed.ok) throw refused(`${file}:${parsed.line}`, parsed.message)
  const [newest] = parsed.keys
  if (newest === undefined)
    throw refused(file, 'it holds no key; "openssl rand -base64 48" makes one')
  return newest
}

type ParsedKeys =
  | { readonly ok: true; readonly keys: readonly Uint8Array[] }
  | { readonly ok: false; readonly line: number; readonly message: string }

/** The keys of a file's text, in its order; total. */
export function parseTicketKeys(text: string): ParsedKeys {
  const keys: Uint8Array[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '') continue
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(line))
      return { ok: false, line: index + 1, message: 'the line is not base64' }
    const key = Buffer.from(line, 'base64')
    if (key.length !== TICKET_KEYS_BYTES)
      return {
        ok: false,
        line: index + 1,
        message: `the key has ${key.length} bytes instead of ${TICKET_KEYS_BYTES}`,
      }
    keys.push(new Uint8Array(key))
  }
  return { ok: true, keys }
}

function refused(where: string, reason: string, cause?: unknown): ApplianceError {
  return new ApplianceError(
    'RTR_TICKET_KEYS_REFUSED',
    `Cannot use the ticket keys ${where}: ${reason}`,
    { cause },
  )
}
