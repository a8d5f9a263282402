import koffi from 'koffi'
import type { Address } from '../address-of.ts'

/**
 * The calls of OpenSSL that TLS connections are served with, by their own names (man ssl(7),
 * crypto(7)). They are those of Node's own binary, which re-exports them for addons (Node's
 * documentation, "C++ addons", linking to libraries included with Node.js). koffi counts their
 * arguments and checks each one's type.
 */
const CALLS = {
  TLS_server_method: 'intptr_t ()',
  SSL_CTX_new: 'intptr_t (intptr_t method)',
  SSL_CTX_free: 'void (intptr_t context)',
  SSL_CTX_ctrl: 'long (intptr_t context, int what, long value, intptr_t more)',
  SSL_CTX_callback_ctrl: 'long (intptr_t context, int what, intptr_t callback)',
  SSL_CTX_set_options: 'uint64_t (intptr_t context, uint64_t options)',
  SSL_CTX_set_cipher_list: 'int (intptr_t context, const char *list)',
  SSL_CTX_set_ciphersuites: 'int (intptr_t context, const char *list)',
  SSL_CTX_set_session_id_context: 'int (intptr_t context, const char *id, uint32_t length)',
  SSL_CTX_set_alpn_select_cb: 'void (intptr_t context, intptr_t callback, intptr_t more)',
  SSL_CTX_use_certificate: 'int (intptr_t context, intptr_t certificate)',
  SSL_CTX_use_PrivateKey: 'int (intptr_t context, intptr_t key)',

  SSL_new: 'intptr_t (intptr_t context)',
  SSL_free: 'void (intptr_t session)',
  SSL_set_bio: 'void (intptr_t session, intptr_t read, intptr_t write)',
  SSL_set_accept_state: 'void (intptr_t session)',
  SSL_set_SSL_CTX: 'intptr_t (intptr_t session, intptr_t context)',
  SSL_do_handshake: 'int (intptr_t session)',
  SSL_read: 'int (intptr_t session, intptr_t into, int length)',
  SSL_write: 'int (intptr_t session, intptr_t from, int length)',
  SSL_shutdown: 'int (intptr_t session)',
  SSL_in_init: 'int (intptr_t session)',
  SSL_get_error: 'int (intptr_t session, int result)',
  SSL_get_current_cipher: 'intptr_t (intptr_t session)',
  SSL_session_reused: 'int (intptr_t session)',

  BIO_new_bio_pair: 'int (int64_t *one, size_t oneBytes, int64_t *other, size_t otherBytes)',
  BIO_new_mem_buf: 'intptr_t (intptr_t from, int length)',
  BIO_up_ref: 'int (intptr_t bio)',
  BIO_free: 'int (intptr_t bio)',
  BIO_ctrl: 'long (intptr_t bio, int what, long value, intptr_t more)',
  BIO_ctrl_pending: 'size_t (intptr_t bio)',
  BIO_write: 'int (intptr_t bio, intptr_t from, int length)',
  BIO_nwrite0: 'int (intptr_t bio, intptr_t at)',
  BIO_nread: 'int (intptr_t bio, intptr_t at, int most)',

  PEM_read_bio_X509_AUX: 'intptr_t (intptr_t bio, intptr_t into, intptr_t ask, intptr_t password)',
  PEM_read_bio_X509: 'intptr_t (intptr_t bio, intptr_t into, intptr_t ask, intptr_t password)',
  PEM_read_bio_PrivateKey:
    'intptr_t (intptr_t bio, intptr_t into, intptr_t ask, intptr_t password)',
  X509_free: 'void (intptr_t certificate)',
  EVP_PKEY_free: 'void (intptr_t key)',

  ERR_get_error: 'uint64_t ()',
  ERR_peek_error: 'uint64_t ()',
  ERR_clear_error: 'void ()',
} as const

const TEXT_CALLS = {
  SSL_get_servername: 'const char *(intptr_t session, int type)',
  SSL_get_version: 'const char *(intptr_t session)',
  SSL_CIPHER_standard_name: 'const char *(intptr_t cipher)',
  ERR_reason_error_string: 'const char *(uint64_t error)',
} as const

type Value = number | bigint | string | BigInt64Array

export type OpenSsl = Readonly<
  Record<keyof typeof CALLS, (...values: Value[]) => number> &
    Record<keyof typeof TEXT_CALLS, (...values: Value[]) => string | null>
>

/** Undefined where this process does not have all of the calls: TLS is Node's own then. */
export const openSsl: OpenSsl | undefined = load()

/** A copy of the bytes at an address. */
export const bytesAt = (address: Address, length: number): Uint8Array =>
  Uint8Array.from(koffi.decode(BigInt(address), 'uint8_t', length) as Iterable<number>)

export const putAddress = (at: Address, value: Address): void => {
  koffi.encode(BigInt(at), 'intptr_t', value)
}

export const putByte = (at: Address, value: number): void => {
  koffi.encode(BigInt(at), 'uint8_t', value)
}

/** The memory itself; whoever owns it keeps it for as long. */
export const memoryAt = (address: Address, length: number): ArrayBuffer =>
  koffi.view(BigInt(address), length)

/** A function that OpenSSL calls while a call of ours is under way; it may not throw. */
export const callbackFor = (prototype: string, act: (...values: number[]) => number): bigint =>
  koffi.register(act, koffi.pointer(koffi.proto(prototype)))

function load(): OpenSsl | undefined {
  try {
    const own = koffi.load(null)
    return Object.fromEntries(
      Object.entries({ ...CALLS, ...TEXT_CALLS }).map(([name, signature]) => [
        name,
        own.func(signature.replace('(', `${name}(`)),
      ]),
    ) as unknown as OpenSsl
  } catch {
    return undefined
  }
}
