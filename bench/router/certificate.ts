import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** The one cipher that the client offers, so that every proxy uses the same. */
export const CIPHER_SUITE = 'TLS_AES_128_GCM_SHA256'

export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
  /** Both in one file, as HAProxy wants them. */
  readonly combined: string
}

/** Makes a self-signed P-256 certificate for a day. Needs openssl. */
export function createCertificate(folder: string): CertificateFiles {
  const certificate = path.join(folder, 'cdn.pem')
  const key = path.join(folder, 'cdn.key')
  const combined = path.join(folder, 'cdn-combined.pem')
  const subject = ['-subj', '/CN=photos.example.com', '-addext', 'subjectAltName=IP:127.0.0.1']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
  const files = ['-keyout', key, '-out', certificate]
  execFileSync(
    'openssl',
    ['req', '-x509', ...curve, '-nodes', '-days', '1', ...subject, ...files],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  writeFileSync(combined, readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'))
  return { certificate, key, combined }
}
