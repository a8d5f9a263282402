import { Buffer } from 'node:buffer'
import { hkdfSync } from 'node:crypto'
import type { ListenerConfig } from '../../../common/config/config.ts'
import type { CertificatePair } from '../messages.ts'
import { addressOf } from '../address-of.ts'
import type { Address } from '../address-of.ts'
import { bytesAt, callbackFor, putAddress, putByte } from './openssl.ts'
import type { OpenSsl } from './openssl.ts'
import { createNameTable } from './server-names.ts'
import type { NameTable } from './server-names.ts'
import { ALPN_PROTOCOLS, CIPHER_LIST, CIPHER_SUITES, SESSION_CONTEXT } from './choices.ts'

/** What a TLS listener offers, as OpenSSL keeps it: a context (SSL_CTX) for each certificate. */
export class SecureContexts {
  readonly #ssl: OpenSsl
  readonly #contexts: readonly Address[]
  readonly #names: NameTable<Address>

  /** Throws where OpenSSL does not take a pair; all of them were tried before they came here. */
  constructor(
    ssl: OpenSsl,
    { minTls }: Pick<ListenerConfig, 'minTls'>,
    pairs: readonly CertificatePair[],
    ticketKeys: Uint8Array | undefined,
  ) {
    this.#ssl = ssl
    this.#contexts = pairs.map((pair) => createContext(ssl, pair, minTls, ticketKeys))
    this.#names = createNameTable(
      pairs.flatMap(({ names }, index) =>
        names.map((name) => [name, this.#contexts[index] ?? 0] as const),
      ),
    )
    atEnd.register(this, { ssl, contexts: this.#contexts })
  }

  /**
   * A session for a client that just came, under the first certificate until it names another; 0
   * where there is no memory for one.
   */
  newSession(): Address {
    const session = this.#ssl.SSL_new(this.#contexts[0] ?? 0)
    if (session !== 0) this.#ssl.SSL_set_accept_state(session)
    return session
  }

  /** One step of a handshake: what SSL_do_handshake returned. */
  shake(session: Address): number {
    shaking = this.#chooseCertificate
    const result = this.#ssl.SSL_do_handshake(session)
    shaking = undefined
    return result
  }

  /** Called by OpenSSL within `shake`, once the client has named a server, or has not. */
  readonly #chooseCertificate = (session: Address): void => {
    const name = this.#ssl.SSL_get_servername(session, TLSEXT_NAMETYPE_host_name)
    const context = name === null ? undefined : this.#names.find(name)
    if (context !== undefined) this.#ssl.SSL_set_SSL_CTX(session, context)
  }
}

/** The oldest of OpenSSL's errors as Node codes it (`ERR_SSL_…`); all of them are forgotten. */
export function nextError(ssl: OpenSsl): string {
  const reason = ssl.ERR_reason_error_string(ssl.ERR_get_error())
  ssl.ERR_clear_error()
  return `ERR_SSL_${(reason ?? 'error').toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}`
}

function createContext(
  ssl: OpenSsl,
  { certificate, key }: CertificatePair,
  minTls: ListenerConfig['minTls'],
  ticketKeys: Uint8Array | undefined,
): Address {
  const context = ssl.SSL_CTX_new(ssl.TLS_server_method())
  const control = (what: number, value: number, more: Address = 0): boolean =>
    ssl.SSL_CTX_ctrl(context, what, value, more) > 0
  const must = (isDone: boolean, what: string): void => {
    if (!isDone) throw new Error(`OpenSSL refuses the ${what}: ${nextError(ssl)}`)
  }
  ssl.SSL_CTX_set_options(context, OPTIONS)
  control(SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS)
  control(SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL)
  const lowest = minTls === '1.3' ? TLS1_3_VERSION : TLS1_2_VERSION
  must(control(SSL_CTRL_SET_MIN_PROTO_VERSION, lowest), 'lowest version')
  must(control(SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_3_VERSION), 'highest version')
  must(ssl.SSL_CTX_set_ciphersuites(context, CIPHER_SUITES) === 1, 'cipher suites')
  must(ssl.SSL_CTX_set_cipher_list(context, CIPHER_LIST) === 1, 'cipher list')
  const { length } = SESSION_CONTEXT
  must(ssl.SSL_CTX_set_session_id_context(context, SESSION_CONTEXT, length) === 1, 'session id')
  useCertificate(ssl, context, certificate, must)
  useKey(ssl, context, key, must)
  if (ticketKeys !== undefined) {
    const keys = longTicketKeys(ticketKeys)
    must(control(SSL_CTRL_SET_TLSEXT_TICKET_KEYS, keys.length, addressOf(keys)), 'ticket keys')
    keys.fill(0)
  }
  ssl.SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, callbacks().serverName)
  ssl.SSL_CTX_set_alpn_select_cb(context, callbacks().protocol, 0)
  return context
}

type Must = (isDone: boolean, what: string) => void

function useCertificate(ssl: OpenSsl, context: Address, pem: string, must: Must): void {
  readPem(ssl, pem, (bio) => {
    const leaf = ssl.PEM_read_bio_X509_AUX(bio, 0, 0, addressOf(NO_PASSWORD))
    must(leaf !== 0 && ssl.SSL_CTX_use_certificate(context, leaf) === 1, 'certificate')
    ssl.X509_free(leaf)
    for (;;) {
      const issuer = ssl.PEM_read_bio_X509(bio, 0, 0, addressOf(NO_PASSWORD))
      if (issuer === 0) break
      // The context keeps a reference of its own (SSL_CTX_add1_chain_cert).
      must(ssl.SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, issuer) === 1, 'certificate chain')
      ssl.X509_free(issuer)
    }
    // The last look found the end of the file.
    ssl.ERR_clear_error()
  })
}

function useKey(ssl: OpenSsl, context: Address, pem: string, must: Must): void {
  readPem(ssl, pem, (bio) => {
    const key = ssl.PEM_read_bio_PrivateKey(bio, 0, 0, addressOf(NO_PASSWORD))
    must(key !== 0 && ssl.SSL_CTX_use_PrivateKey(context, key) === 1, 'key')
    ssl.EVP_PKEY_free(key)
  })
}

function readPem(ssl: OpenSsl, pem: string, read: (bio: Address) => void): void {
  const bytes = Buffer.from(pem)
  const bio = ssl.BIO_new_mem_buf(addressOf(bytes), bytes.length)
  read(bio)
  ssl.BIO_free(bio)
  // OpenSSL read them where they are; and it may have been a key.
  bytes.fill(0)
}

/** OpenSSL wants 80 bytes, a name of 16 and two keys of 32: the file's 48 are stretched to them. */
function longTicketKeys(keys: Uint8Array): Buffer {
  const name = keys.subarray(0, TICKET_NAME_BYTES)
  const secret = keys.subarray(TICKET_NAME_BYTES)
  const info = 'photoedge session tickets'
  const stretched = hkdfSync('sha256', secret, name, info, TICKET_SECRET_BYTES)
  return Buffer.concat([name, new Uint8Array(stretched)])
}

interface Callbacks {
  readonly serverName: bigint
  readonly protocol: bigint
}

/** The two that all contexts share: OpenSSL calls them within a handshake's step alone. */
function callbacks(): Callbacks {
  made ??= {
    serverName: callbackFor(
      'int PhotoedgeServerName(intptr_t session, intptr_t alert, intptr_t more)',
      (session = 0) => {
        shaking?.(session)
        return SSL_TLSEXT_ERR_OK
      },
    ),
    protocol: callbackFor(
      'int PhotoedgeProtocol(intptr_t session, intptr_t out, intptr_t outLength, ' +
        'intptr_t offered, uint32_t offeredLength, intptr_t more)',
      (_session, out = 0, outLength = 0, offered = 0, offeredLength = 0) =>
        chooseProtocol(out, outLength, offered, offeredLength),
    ),
  }
  return made
}

/** RFC 7301: of the protocols that the client offers, a length before each, the one we like best. */
function chooseProtocol(
  out: Address,
  outLength: Address,
  offered: Address,
  offeredLength: number,
): number {
  const list = bytesAt(offered, offeredLength)
  for (const wanted of ALPN_BYTES) {
    for (let at = 0; at < list.length; at += 1 + (list[at] ?? 0)) {
      const name = list.subarray(at + 1, at + 1 + (list[at] ?? 0))
      if (Buffer.compare(name, wanted) !== 0) continue
      putAddress(out, offered + at + 1)
      putByte(outLength, wanted.length)
      return SSL_TLSEXT_ERR_OK
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL
}

// openssl/ssl.h, openssl/tls1.h of OpenSSL 3
const TLS1_2_VERSION = 0x0303
const TLS1_3_VERSION = 0x0304
const SSL_CTRL_MODE = 33
const SSL_CTRL_SET_SESS_CACHE_MODE = 44
const SSL_CTRL_SET_TLSEXT_SERVERNAME_CB = 53
const SSL_CTRL_SET_TLSEXT_TICKET_KEYS = 59
const SSL_CTRL_CHAIN_CERT = 89
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123
const SSL_CTRL_SET_MAX_PROTO_VERSION = 124
const SSL_MODE_RELEASE_BUFFERS = 0x10
const SSL_SESS_CACHE_SERVER = 0x2
const SSL_SESS_CACHE_NO_INTERNAL = 0x300
const SSL_OP_NO_COMPRESSION = 1 << 17
const SSL_OP_CIPHER_SERVER_PREFERENCE = 1 << 22
const SSL_OP_NO_RENEGOTIATION = 1 << 30
const TLSEXT_NAMETYPE_host_name = 0
const SSL_TLSEXT_ERR_OK = 0
const SSL_TLSEXT_ERR_ALERT_FATAL = 2
const OPTIONS = SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION
const TICKET_NAME_BYTES = 16
const TICKET_SECRET_BYTES = 64
/** Or OpenSSL would ask the terminal. */
const NO_PASSWORD = new Uint8Array(1)
const ALPN_BYTES = ALPN_PROTOCOLS.map((name) => Buffer.from(name))

let made: Callbacks | undefined
/** Whose handshake is under way: OpenSSL's callbacks come within it. */
let shaking: ((session: Address) => void) | undefined

/** Sessions keep what they need of a context; a listener that is replaced leaves the rest. */
const atEnd = new FinalizationRegistry<{
  readonly ssl: OpenSsl
  readonly contexts: readonly Address[]
}>(({ ssl, contexts }) => {
  for (const context of contexts) ssl.SSL_CTX_free(context)
})
