import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { ApplianceError } from '../../../common/runtime/appliance-error.ts'
import { FileQueue } from '../../../common/runtime/file-queue.ts'
import type { CertificatePair } from '../messages.ts'
import { readSecret } from './secret-files.ts'

/** A pair that may be served, and what an operator should know of it all the same. */
export interface LoadedPair {
  readonly pair: CertificatePair
  /** A sentence each: expired, not yet valid. */
  readonly warnings: readonly string[]
}

/**
 * Reads a certificate (PEM, its chain behind it) and its key. Rejects with
 * `RTR_CERTIFICATE_REFUSED` and a sentence unless both can be read and belong together. An expired one is served, with a warning:
 * refusing it would help nobody.
 */
export async function loadCertificate(
  files: { readonly certificate: string; readonly key: string },
  nowMs: number,
  queue = new FileQueue(),
): Promise<LoadedPair> {
  const certificate = await readText(files.certificate, 'certificate', queue)
  const key = await readText(files.key, 'key', queue)
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

const readText = (file: string, what: string, queue: FileQueue): Promise<string> =>
  readSecret(file, queue, (reason, cause) => {
    const message = `Cannot read the ${what} ${file}: ${reason}`
    return new ApplianceError('RTR_CERTIFICATE_REFUSED', message, { cause })
  })

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
