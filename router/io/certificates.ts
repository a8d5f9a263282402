import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { ApplianceError } from '../../common/runtime/appliance-error.ts'
import type { CertificatePair } from './messages.ts'
import { reasonOf } from './secret-files.ts'

/** A pair that may be served, and what an operator should know of it all the same. */
export interface LoadedPair {
  readonly pair: CertificatePair
  /** A sentence each: expired, not yet valid. */
  readonly warnings: readonly string[]
}

/**
 * Reads a certificate (PEM, its chain behind it) and its key. Throws `RTR_CERTIFICATE_REFUSED` with
 * a sentence unless both can be read and belong together. An expired one is served, with a warning:
 * refusing it would help nobody.
 */
export function loadCertificate(
  files: { readonly certificate: string; readonly key: string },
  nowMs: number,
): LoadedPair {
  const certificate = readText(files.certificate, 'certificate')
  const key = readText(files.key, 'key')
  const leaf = attempt(files.certificate, 'it is no certificate in PEM', () => {
    return new X509Certificate(certificate)
  })
  const privateKey: KeyObject = attempt(files.key, 'it is no private key in PEM', () =>
    createPrivateKey(key),
  )
  if (!leaf.checkPrivateKey(privateKey))
    throw refused(
      files.certificate,
      `the key ${files.key} belongs to another certificate`,
      undefined,
    )
  attempt(files.certificate, 'TLS does not take it', () =>
    createSecureContext({ cert: certificate, key }),
  )
  return {
    pair: { names: certificateNames(leaf), certificate, key },
    warnings: validityWarnings(files.certificate, leaf, nowMs),
  }
}

/** The DNS names that a certificate is for: its subject alternative names, else its common name. */
export function certificateNames(certificate: X509Certificate): string[] {
  const names = [...(certificate.subjectAltName ?? '').matchAll(/(?:^|, )DNS:("?)([^",]+)\1/g)]
  if (names.length > 0) return names.map(([, , name = '']) => name.toLowerCase())
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1]
  return common === undefined ? [] : [common.toLowerCase()]
}

function validityWarnings(file: string, certificate: X509Certificate, nowMs: number): string[] {
  const { validFromDate, validToDate } = certificate
  if (validToDate.getTime() < nowMs)
    return [`The certificate ${file} has expired: it was valid until ${validToDate.toISOString()}`]
  if (validFromDate.getTime() > nowMs)
    return [
      `The certificate ${file} is not valid yet: it is from ${validFromDate.toISOString()} on`,
    ]
  return []
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch (cause) {
    throw new ApplianceError(
      'RTR_CERTIFICATE_REFUSED',
      `Cannot read the ${what} ${file}: ${reasonOf(cause)}`,
      { cause },
    )
  }
}

function attempt<T>(file: string, problem: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    throw refused(file, `${problem} (${(cause as Error).message})`, cause)
  }
}

function refused(file: string, reason: string, cause: unknown): ApplianceError {
  return new ApplianceError(
    'RTR_CERTIFICATE_REFUSED',
    `Cannot use the certificate ${file}: ${reason}`,
    { cause },
  )
}
